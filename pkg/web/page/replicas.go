package page

import (
	"fmt"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// workloadRow is how the replicas of one workload are divided.
type workloadRow struct {
	objectName
	App       string
	Total     string // in Git
	Ready     string // "24/26": of the placed ones, in the clusters that can be seen
	Spread    string // "2 in each of 13 clusters"
	Shortfall string // how many could not be placed, and why
	Waits     string // the clusters whose facts are missing
	Cells     []shareCell
	CellsCut  int    // clusters that are left out
	Unnamed   string // how many clusters the preferences do not name
}

// objectName is the name of an object in the columns of the page.
type objectName struct{ Kind, Namespace, Name string }

// shareCell is one cluster's part, in as few words as possible.
type shareCell struct {
	Cluster *link
	Tone    string // empty if the share is by weight and the cluster runs it
	Share   string
	Notes   []string // what is unusual about it
}

// shareRow is a cluster's part of one workload, on the cluster's own page.
type shareRow struct {
	objectName
	Tone  string
	Share string
	Notes []string
	Live  string // empty if not known
	Total string
}

func (v view) workloads() ([]workloadRow, int) {
	decisions, left := oddFirst(v.report.Replicas, maxWorkloads, v.oddWorkload)
	ready := v.readyOf(decisions)
	rows := make([]workloadRow, 0, len(decisions))
	for _, d := range decisions {
		rows = append(rows, v.workloadRow(d, ready[d.Object]))
	}
	return rows, left
}

func (v view) oddWorkload(d federation.ReplicasDecision) bool {
	return d.Shortfall > 0 || len(d.Waits) > 0 || slices.ContainsFunc(d.Shares, v.oddShare)
}

func (v view) oddShare(s federation.ReplicasShare) bool {
	tone := v.shareTone(s)
	return tone != "" && tone != "dim"
}

// readyOf counts the ready pods of some workloads over the clusters that can be
// seen.
func (v view) readyOf(decisions []federation.ReplicasDecision) map[federation.ObjectRef]int64 {
	ready := make(map[federation.ObjectRef]int64, len(decisions))
	for _, d := range decisions {
		ready[d.Object] = 0
	}
	for _, c := range v.report.Clusters {
		if !c.Visible() {
			continue
		}
		for _, o := range c.Objects {
			if _, shown := ready[o.Object]; shown {
				ready[o.Object] += o.Ready
			}
		}
	}
	return ready
}

func (v view) workloadRow(d federation.ReplicasDecision, ready int64) workloadRow {
	row := workloadRow{
		objectName: nameOf(d.Object),
		App:        d.App,
		Total:      fmt.Sprint(d.Total),
		Ready:      fmt.Sprintf("%d/%d", ready, placed(d)),
		Spread:     spread(d),
		Waits:      named(d.Waits),
	}
	if d.Shortfall > 0 {
		row.Shortfall = fmt.Sprintf("%d could not be placed", d.Shortfall)
		if d.Reason != "" {
			row.Shortfall += ": " + untrusted.Shorten(d.Reason, maxText)
		}
	}
	parts := slices.DeleteFunc(slices.Clone(d.Shares), unnamed)
	if n := len(d.Shares) - len(parts); n > 0 {
		row.Unnamed = fmt.Sprintf("%d %s not named by the preferences", n, plural(n, "cluster is", "clusters are"))
	}
	shares, left := oddFirst(parts, maxShares, v.oddShare)
	row.CellsCut = left
	for _, s := range shares {
		row.Cells = append(row.Cells, v.shareCell(s))
	}
	return row
}

// unnamed reports whether a cluster has no part in a workload and never had one.
func unnamed(s federation.ReplicasShare) bool {
	return s.Basis == federation.ShareNone && s.Share == 0 && s.Replicas == 0 && s.Live <= 0
}

func nameOf(o federation.ObjectRef) objectName {
	return objectName{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

func placed(d federation.ReplicasDecision) int64 {
	var n int64
	for _, s := range d.Shares {
		n += s.Share
	}
	return n
}

// spread returns over how many clusters the replicas are spread, and how evenly, in words.
func spread(d federation.ReplicasDecision) string {
	clusters := 0
	var least, most int64
	for _, s := range d.Shares {
		if s.Share == 0 {
			continue
		}
		if clusters == 0 {
			least, most = s.Share, s.Share
		}
		clusters++
		least, most = min(least, s.Share), max(most, s.Share)
	}
	switch {
	case clusters == 0:
		return "none"
	case clusters == 1:
		return fmt.Sprintf("%d in one cluster", most)
	case least == most:
		return fmt.Sprintf("%d in each of %d clusters", most, clusters)
	}
	return fmt.Sprintf("%d to %d in %d clusters", least, most, clusters)
}

func (v view) shareCell(s federation.ReplicasShare) shareCell {
	cell := shareCell{
		Cluster: v.clusterLink(s.Cluster), Tone: v.shareTone(s),
		Share: fmt.Sprint(s.Share), Notes: shareNotes(s),
	}
	if !v.settled(s) {
		cell.Notes = append(cell.Notes, liveWords(s.Live))
	}
	return cell
}

func shareNotes(s federation.ReplicasShare) []string {
	var notes []string
	if s.Overflow > 0 {
		notes = append(notes, fmt.Sprintf("+%d pending", s.Overflow))
	}
	if held(s) {
		notes = append(notes, fmt.Sprintf("%d written", s.Replicas))
	}
	if words := shareWords(s.Basis); words != "" {
		notes = append(notes, words)
	}
	return notes
}

// held reports whether the number written differs from what the cluster is to run in the
// end.
func held(s federation.ReplicasShare) bool {
	return writable(s) && s.Replicas != s.Share+s.Overflow
}

// settled reports whether the cluster runs what is written, or cannot be seen.
func (v view) settled(s federation.ReplicasShare) bool {
	return !writable(s) || !v.visible[s.Cluster] || max(0, s.Live) == s.Replicas
}

// writable reports whether anything is written to the cluster.
func writable(s federation.ReplicasShare) bool {
	switch s.Basis {
	case federation.ShareOffline, federation.ShareLost, federation.ShareKept:
		return false
	case federation.ShareByWeight, federation.ShareByMin, federation.ShareByMax, federation.ShareByCapacity,
		federation.ShareByCurrent, federation.ShareNone, federation.ShareDrained, federation.ShareHeld:
	}
	return true
}

func liveWords(live int64) string {
	if live < 0 {
		return "not there yet"
	}
	return fmt.Sprintf("%d live", live)
}

func (v view) shareTone(s federation.ReplicasShare) string {
	switch s.Basis {
	case federation.ShareOffline:
		return "bad"
	case federation.ShareKept, federation.ShareByCapacity:
		return "warn"
	case federation.ShareLost, federation.ShareNone, federation.ShareDrained:
		return "dim"
	case federation.ShareByWeight, federation.ShareByMin, federation.ShareByMax, federation.ShareByCurrent,
		federation.ShareHeld:
	}
	switch {
	case s.Overflow > 0:
		return "warn"
	case held(s), !v.settled(s):
		return "wait"
	}
	return ""
}

// shareWords returns the basis of a share in words; empty for the weight.
func shareWords(b federation.ShareBasis) string {
	switch b {
	case federation.ShareByWeight:
		return ""
	case federation.ShareByMin:
		return "its minimum"
	case federation.ShareByMax:
		return "its maximum"
	case federation.ShareByCapacity:
		return "no room for more"
	case federation.ShareByCurrent:
		return "runs there already"
	case federation.ShareNone:
		return "not named"
	case federation.ShareOffline:
		return "placed elsewhere"
	case federation.ShareLost:
		return "declared lost"
	case federation.ShareDrained:
		return "drained"
	case federation.ShareKept:
		return "cannot be seen"
	case federation.ShareHeld:
		return "until others are ready"
	}
	return untrusted.Shorten(string(b), maxText)
}

// shares returns one cluster's parts of all workloads, and how many are left out.
func (v view) shares(c status.Cluster) (rows []shareRow, left int) {
	for _, d := range v.report.Replicas {
		for _, s := range d.Shares {
			if s.Cluster != c.Name {
				continue
			}
			if len(rows) == maxOwn {
				left++
				continue
			}
			row := shareRow{
				objectName: nameOf(d.Object), Tone: v.shareTone(s),
				Share: fmt.Sprint(s.Share), Notes: shareNotes(s), Total: fmt.Sprint(d.Total),
			}
			if c.Visible() && s.Live >= 0 {
				row.Live = fmt.Sprint(s.Live)
			}
			rows = append(rows, row)
		}
	}
	return rows, left
}
