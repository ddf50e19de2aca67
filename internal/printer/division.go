package printer

import (
	"fmt"
	"io"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// maxNamed is how many clusters a line names before it counts the rest.
const maxNamed = 20

// writeDivisions prints how the replicas of each workload are divided, a line each.
// Clusters with equal shares are combined.
func writeDivisions(w io.Writer, r *status.Report) {
	if len(r.Replicas) == 0 {
		return
	}
	visible := map[string]bool{}
	for _, c := range r.Clusters {
		visible[c.Name] = c.Visible()
	}
	fmt.Fprintf(w, "\nREPLICAS\n")
	for _, d := range r.Replicas {
		fmt.Fprintf(w, "%s  %s\n", d.Object, Indented(division(d, visible), "  "))
	}
}

// division returns "26 = 2 in each of 13 clusters", or "14 = 2 in asia; 1 in each of
// 12 others".
func division(d federation.ReplicasDecision, visible map[string]bool) string {
	clusters := map[string][]string{} // by the text of their share
	var order []string
	for _, s := range d.Shares {
		words := shareText(s, visible[s.Cluster])
		if clusters[words] == nil {
			order = append(order, words)
		}
		clusters[words] = append(clusters[words], s.Cluster)
	}
	var parts []string
	most := ""
	for _, words := range order {
		if len(clusters[words]) > max(1, len(clusters[most])) {
			most = words
		}
	}
	for _, words := range order {
		if words != most {
			parts = append(parts, words+" in "+some(clusters[words]))
		}
	}
	switch n := len(clusters[most]); {
	case n == 0: // no two clusters have equal shares
	case len(parts) == 0:
		parts = append(parts, fmt.Sprintf("%s in each of %d clusters", most, n))
	default:
		parts = append(parts, fmt.Sprintf("%s in each of %d others", most, n))
	}
	if d.Shortfall > 0 {
		nowhere := fmt.Sprintf("%d nowhere", d.Shortfall)
		if d.Reason != "" {
			nowhere += ": " + d.Reason
		}
		parts = append(parts, nowhere)
	}
	if len(d.Waits) > 0 {
		parts = append(parts, "waits for "+some(d.Waits))
	}
	return fmt.Sprintf("%d = %s", d.Total, strings.Join(parts, "; "))
}

// shareText returns "2", with exceptions in brackets: "1 (+1 pending, it has room
// for no more)". The live replicas of a cluster that is not visible are unknown.
func shareText(s federation.ReplicasShare, visible bool) string {
	away := s.Basis == federation.ShareOffline || s.Basis == federation.ShareLost || s.Basis == federation.ShareKept
	var notes []string
	if s.Overflow > 0 {
		notes = append(notes, fmt.Sprintf("+%d pending", s.Overflow))
	}
	if !away && s.Replicas != s.Share+s.Overflow {
		notes = append(notes, fmt.Sprintf("%d written", s.Replicas))
	}
	if s.Basis != federation.ShareByWeight && s.Basis != federation.ShareByCurrent {
		notes = append(notes, Because(s.Basis))
	}
	if !away && visible && max(0, s.Live) != s.Replicas {
		notes = append(notes, fmt.Sprintf("%d live", max(0, s.Live)))
	}
	if len(notes) == 0 {
		return fmt.Sprint(s.Share)
	}
	return fmt.Sprintf("%d (%s)", s.Share, strings.Join(notes, ", "))
}

// some names clusters, and counts those that do not fit into a line.
func some(names []string) string {
	return untrusted.Some(names, maxNamed)
}

// Because describes the reason for a share.
func Because(b federation.ShareBasis) string {
	switch b {
	case federation.ShareByWeight:
		return "its weight"
	case federation.ShareByMin:
		return "its minReplicas"
	case federation.ShareByMax:
		return "its maxReplicas"
	case federation.ShareByCapacity:
		return "it has room for no more"
	case federation.ShareByCurrent:
		return "it runs there, and rebalance is off"
	case federation.ShareNone:
		return "the preferences do not name it"
	case federation.ShareOffline:
		return "it is Offline: placed elsewhere"
	case federation.ShareLost:
		return "it is declared lost"
	case federation.ShareKept:
		return "it cannot be seen, and keeps what it ran last"
	case federation.ShareDrained:
		return "it is drained: placed elsewhere"
	case federation.ShareHeld:
		return "held until others are Ready"
	}
	return string(b)
}
