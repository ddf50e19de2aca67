package doctor

import (
	"context"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/handover"
)

// judgeSource reports which clusters belong to another source. A daemon with these settings
// writes nothing there, and an examination has no claim that would conflict with theirs.
func (e *Examination) judgeSource(ctx context.Context, cfg *config.Config) {
	var answer []federation.Cluster
	for _, c := range e.Federation.Clusters {
		if e.Comparison.Facts.Clusters[c.Name].State == federation.ClusterReady {
			answer = append(answer, c)
		}
	}
	t, err := handover.Of(ctx, cfg, "", e.log, e.source, e.Snapshot.Revision, e.Federation, answer)
	if err != nil {
		return // canceled, or the kubeconfig is missing, which is reported
	}
	var theirs []string
	for _, c := range t.Clusters {
		if t.OfAnother(c) {
			theirs = append(theirs, c.Name)
		}
	}
	if len(theirs) == 0 {
		return
	}
	e.find(federation.Finding{
		ID: federation.FindingOwned, Severity: federation.SeverityWarning,
		Message: untrusted.Textf("another source (repository, ref and federation) than %s manages %s: a fedsync with these settings writes nothing there", t.Repository, untrusted.Some(theirs, 5)),
		Remedy:  untrusted.Const("in a clone, set --repo and --revision to the daemon's values; if the repository moved, see fedsync takeover"),
	})
}
