package schedule

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// freelyPruned is how many objects of an app one plan may delete even above the
// percentage, if that is less than half of them.
const freelyPruned = 3

// verdict decides, for an app in all clusters, whether objects that Git no longer has
// may be deleted. Absence is not deletion: while a rendering or an inventory is missing,
// nothing is deleted.
func (p *pass) verdict(app string) federation.PruneVerdict {
	if v, ok := p.verdicts[app]; ok {
		return v
	}
	v := p.judge(app)
	p.verdicts[app] = v
	return v
}

func (p *pass) judge(name string) federation.PruneVerdict {
	app := p.apps[name]
	if app != nil && !app.Prune {
		return federation.PruneOff
	}
	had, has := map[federation.ObjectRef]bool{}, map[federation.ObjectRef]bool{}
	var hadIn, left int  // clusters that run the app, and how many of them it leaves
	var awaited []string // clusters whose inventory is not known
	unrendered := false
	for _, c := range p.Federation.Clusters {
		facts := p.Facts.Of(c.Name)
		// A cluster to which no app is deployed may still run an app that left it.
		counts := p.Federation.Targets(c) || !facts.Seen
		if !facts.Synced && facts.State != federation.ClusterOffline && !c.Lost && counts {
			awaited = append(awaited, c.Name)
		}
		placed := app != nil && app.Selector.Matches(c)
		b := p.bundles[key{c.Name, name}]
		runs := false // by this plan
		if placed {
			if b == nil || b.Err != nil || b.refused {
				unrendered = true
			}
			if b != nil {
				// An object that its own selector excludes from the cluster is still in Git.
				for _, o := range b.Objects {
					has[o.Ref] = true
				}
				runs = len(b.placed)+len(b.withheld) > 0
			}
		}
		if facts.State == federation.ClusterOffline || c.Lost {
			continue // nothing is deleted there now
		}
		inventory := countable(facts.Inventory[name])
		for _, ref := range inventory {
			had[ref] = true
		}
		if len(inventory) > 0 {
			hadIn++
			if !runs {
				left++
			}
		}
	}
	if unrendered {
		return federation.PruneWaiting // the reason is a separate finding
	}
	gone := slices.SortedFunc(maps.Keys(had), federation.ObjectRef.Compare)
	gone = slices.DeleteFunc(gone, func(ref federation.ObjectRef) bool { return has[ref] })
	if len(awaited) > 0 {
		if len(gone) > 0 {
			p.await(name, gone, awaited)
		}
		return federation.PruneWaiting
	}

	limit := federation.PruneLimit{Percent: 10}
	if app != nil {
		limit = app.PruneLimit
	}
	switch {
	case p.Federation.PruneAllowed():
		return federation.PruneAllowed
	case exceeds(len(gone), len(had), limit):
		p.hold(name, "", fmt.Sprintf("%d of %d objects of app %s would be deleted: %s", len(gone), len(had), name, untrusted.Some(gone, 5)))
		return federation.PruneHeld
	case app != nil && takesPlacement(left, hadIn, limit):
		p.hold(name, "", fmt.Sprintf("app %s would leave %d of its %d clusters", name, left, hadIn))
		return federation.PruneHeld
	}
	return federation.PruneAllowed
}

// countable returns refs without namespaces, which are never pruned.
func countable(refs []federation.ObjectRef) []federation.ObjectRef {
	return slices.DeleteFunc(slices.Clone(refs), func(r federation.ObjectRef) bool {
		return r.Group == "" && r.Kind == "Namespace"
	})
}

// exceeds reports whether deleting gone of had objects is too much for one plan. A count
// in the settings is exact. A percentage always allows freelyPruned objects, but half of
// an app is always too much, unless the percentage itself allows half.
func exceeds(gone, had int, limit federation.PruneLimit) bool {
	if limit.IsCount {
		return gone > limit.Count
	}
	byPercent := gone*100 > had*limit.Percent
	if gone > freelyPruned && byPercent {
		return true
	}
	return gone > 1 && gone*2 >= had && byPercent
}

// takesPlacement reports whether removing an app from left of its clusters is too much
// for one plan: half of them or more, and more than one.
func takesPlacement(left, of int, limit federation.PruneLimit) bool {
	if left <= 1 || left*2 < of {
		return false
	}
	return limit.IsCount || left*100 > of*limit.Percent // a count counts objects, not clusters
}

// allowsAll reports whether the limit allows deleting all of an app's objects.
func allowsAll(limit federation.PruneLimit, objects int) bool {
	if limit.IsCount {
		return limit.Count >= objects
	}
	return limit.Percent >= 100
}

func (p *pass) await(app string, gone []federation.ObjectRef, clusters []string) {
	p.findings.Add(federation.Finding{
		ID: federation.FindingAwaited, Severity: federation.SeverityWarning, App: app,
		Message: untrusted.Textf("deleting %s waits until it is known what runs in %s", untrusted.Some(gone, 5), strings.Join(clusters, ", ")),
	})
}

// hold reports that a user must allow the deletions. An empty cluster stands for all
// clusters.
func (p *pass) hold(app, cluster, why string) {
	p.findings.Add(federation.Finding{
		ID: federation.FindingHeld, Severity: federation.SeverityError, Cluster: cluster, App: app, File: p.Federation.File(),
		Message: untrusted.New("held: " + why),
		Remedy: untrusted.Textf("restore what was removed, raise pruneLimit of the app, or push the annotation %s: Allowed on %s",
			federation.AnnotationPrune, federation.FileName),
	})
}
