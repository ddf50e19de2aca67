package page

import (
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// badge is a word with a colour and an icon. The word alone is enough; the icon's shape
// helps readers who cannot distinguish the colours.
type badge struct {
	Tone string // class in the style sheet: good, wait, warn, bad, dim
	Icon string // symbol in the page: the tone's, or one of its own
	Text string
}

func stateBadge(s status.State) badge {
	switch s {
	case status.Success:
		return badge{"good", "check", "Success"}
	case status.Pending:
		return badge{"wait", "clock", "Pending"}
	case status.Failure:
		return badge{"bad", "cross", "Failure"}
	}
	return badge{"dim", "question", "Unknown"}
}

func clusterBadge(s federation.ClusterState) badge {
	switch s {
	case federation.ClusterReady:
		return badge{"good", "check", "Ready"}
	case federation.ClusterPending:
		return badge{"wait", "clock", "Pending"}
	case federation.ClusterNotReady:
		return badge{"warn", "triangle", "NotReady"}
	case federation.ClusterOffline:
		return badge{"bad", "cross", "Offline"}
	case federation.ClusterUnknown:
		return badge{"warn", "question", "Unknown"}
	}
	return badge{"dim", "question", "Unknown"}
}

func healthBadge(h federation.Health) badge {
	switch h {
	case federation.Healthy:
		return badge{"good", "check", "Healthy"}
	case federation.Progressing:
		return badge{"wait", "clock", "Progressing"}
	case federation.Degraded:
		return badge{"bad", "cross", "Degraded"}
	case federation.Unknown:
		return badge{"warn", "question", "Unknown"}
	}
	return badge{} // health does not apply: the page shows a dash
}

func severityBadge(s federation.Severity) badge {
	switch s {
	case federation.SeverityError:
		return badge{"bad", "cross", "Error"}
	case federation.SeverityWarning:
		return badge{"warn", "triangle", "Warning"}
	case federation.SeverityNote:
		return badge{"wait", "note", "Note"}
	}
	return badge{"dim", "question", "Finding"}
}

func actionBadge(a federation.Action) badge {
	switch a {
	case federation.ActionCreated, federation.ActionConfigured, federation.ActionAdopted,
		federation.ActionPruned, federation.ActionUnchanged:
		return badge{"dim", "check", title(string(a))}
	case federation.ActionFailed:
		return badge{"bad", "cross", "Failed"}
	}
	return badge{"dim", "question", "Unknown"}
}
