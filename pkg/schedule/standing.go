package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule/replicas"
)

// guardWindow is the longest time between departures that count as one fault.
const guardWindow = time.Minute

// member is a member cluster as this plan sees it.
type member struct {
	federation.Cluster
	facts    federation.ClusterFacts
	standing replicas.Standing
	next     int // of the facts' workloads, for workload
}

// workload returns the facts of one workload, and reports whether it exists. Calls are
// in the order of the references, so that no search is necessary.
func (m *member) workload(ref federation.ObjectRef) (federation.Workload, bool) {
	for ; m.next < len(m.facts.Workloads); m.next++ {
		switch w := &m.facts.Workloads[m.next]; w.Object.Compare(ref) {
		case 0:
			return *w, true
		case 1:
			return federation.Workload{}, false
		}
	}
	return federation.Workload{}, false
}

// assessClusters determines the standing of every cluster. Absence alone never evacuates
// a cluster: as many probes must have failed as the threshold demands, and most of the
// federation must not have gone away at the same time.
func (p *pass) assessClusters() {
	p.frozen = frozen(p.Federation, p.Facts)
	p.clusters = make([]member, len(p.Federation.Clusters))
	p.names = make(map[string]bool, len(p.clusters))
	for i, c := range p.Federation.Clusters {
		p.names[c.Name] = true
		m := member{Cluster: c, facts: p.Facts.Of(c.Name)}
		seen := m.facts.Synced && (m.facts.State == federation.ClusterReady || m.facts.State == federation.ClusterNotReady)
		confirmed := slices.Contains(p.Federation.Failover.ConfirmedLost, c.Name)
		switch {
		case c.Lost, confirmed && !seen:
			m.standing = replicas.Lost
		case m.facts.Away() && p.automatic() && !slices.Contains(p.frozen, c.Name):
			m.standing = replicas.Offline
		case !m.facts.Seen:
			m.standing = replicas.Unknown
		case seen:
			m.standing = replicas.Up
		default:
			m.standing = replicas.Kept
		}
		p.clusters[i] = m
	}
}

func (p *pass) automatic() bool { return p.Federation.Failover.Mode != failoverOff }

// failoverOff is the mode in which only users move replicas.
const failoverOff = "Off"

// frozen returns the clusters whose absence is attributed to a fault of fedsync's own
// network: more than half of the Ready clusters went away within guardWindow, and not
// enough of them are back. Clusters that a user declared lost, or to which no app is
// deployed, do not count. Clusters that a user confirmed as lost count but are not
// frozen, since confirming one of them implies nothing about the others.
func frozen(f *federation.Federation, facts federation.Facts) []string {
	type departure struct {
		name string
		at   time.Time
	}
	var left []departure
	ready := 0
	for _, c := range f.Clusters {
		if c.Lost || !f.Targets(c) {
			continue
		}
		switch its := facts.Of(c.Name); {
		case !its.AwaySince.IsZero():
			left = append(left, departure{c.Name, its.AwaySince})
		case its.State == federation.ClusterReady:
			ready++
		}
	}
	slices.SortFunc(left, func(a, b departure) int { return a.at.Compare(b.at) })
	taken := map[string]bool{}
	for first, end := 0, 0; first < len(left); first++ {
		for end < len(left) && left[end].at.Sub(left[first].at) <= guardWindow {
			end++
		}
		// Clusters that left earlier were not Ready when this window began.
		if 2*(end-first) > ready+len(left)-first {
			for _, d := range left[first:end] {
				taken[d.name] = true
			}
		}
	}
	var names []string
	for _, c := range f.Clusters {
		if taken[c.Name] && !slices.Contains(f.Failover.ConfirmedLost, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// explainStanding reports what is not moved because of a cluster's standing.
func (p *pass) explainStanding() {
	var held, returned []string
	for _, c := range p.clusters {
		switch {
		case c.standing != replicas.Offline && c.standing != replicas.Lost && c.facts.Away() && p.Federation.Targets(c.Cluster):
			held = append(held, c.Name)
		case !c.facts.Away() && c.facts.State == federation.ClusterReady && slices.Contains(p.Federation.Failover.ConfirmedLost, c.Name):
			returned = append(returned, c.Name)
		}
	}
	for _, name := range returned {
		p.findings.Add(federation.Finding{
			ID: federation.FindingConfirmLost, Severity: federation.SeverityWarning, Cluster: name, File: p.Federation.File(),
			Message: untrusted.Const("spec.failover.confirmLost names the cluster, but it is Ready and counts again"),
			Remedy:  untrusted.Const("remove it from spec.failover.confirmLost; otherwise its next outage moves replicas without the guard"),
		})
	}
	if len(p.frozen) > 0 {
		f := federation.Finding{
			ID: federation.FindingFrozen, Severity: federation.SeverityError, File: p.Federation.File(),
			Message: untrusted.Textf("more than half of the clusters went away within %d s (%s): fedsync assumes a fault of its own network and does not move %s",
				int(guardWindow.Seconds()), strings.Join(p.frozen, ", "), p.displaced(p.frozen)),
			Remedy: untrusted.Textf("repair the network; or, if the clusters are lost, push spec.failover.confirmLost: [%s] in %s",
				strings.Join(p.frozen, ", "), federation.FileName),
		}
		if len(held) == 0 {
			f.Severity = federation.SeverityWarning // a few failed probes are not an outage yet
		}
		p.findings.Add(f)
		return
	}
	if len(held) > 0 && !p.automatic() {
		names := strings.Join(held, ", ")
		p.findings.Add(federation.Finding{
			ID: federation.FindingFailoverOff, Severity: federation.SeverityWarning, File: p.Federation.File(),
			Message: untrusted.Textf("%s: Offline, and failover is Off; Automatic would place %s in the other clusters", names, p.displaced(held)),
			Remedy: untrusted.Textf("to move them, push spec.failover.confirmLost: [%s] or spec.failover.mode: Automatic in %s",
				names, federation.FileName),
		})
	}
}

// displaced counts the replicas that would be placed in other clusters.
func (p *pass) displaced(clusters []string) string {
	asked := map[string]bool{}
	for _, name := range clusters {
		asked[name] = true
	}
	var replicas int64
	workloads := 0
	for _, d := range p.replicas {
		found := false
		for _, s := range d.Shares {
			if s.Live > 0 && asked[s.Cluster] {
				replicas, found = replicas+s.Live, true
			}
		}
		if found {
			workloads++
		}
	}
	return count(replicas, "replica") + " of " + count(int64(workloads), "workload")
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
