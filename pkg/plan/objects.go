package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/fields"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// clusterOrder returns the names of all clusters of both sides: those of the head's file in
// its order, then those that leave it.
func clusterOrder(in Input) []string {
	var names []string
	for _, side := range []Side{in.Head, in.Base} {
		for _, c := range side.Federation.Clusters {
			if !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

// placed is an object that a cluster is to run.
type placed struct {
	app    string
	object *federation.Object // nil if it is withheld
	file   string
}

// placement is what one cluster is to run, and the apps for which that is not known.
type placement struct {
	objects map[federation.ObjectRef]placed
	broken  map[string]bool
	prune   map[string]federation.PruneVerdict // by app
}

// placements returns the content of a plan, by cluster.
func placements(p federation.Plan) map[string]placement {
	all := map[string]placement{}
	for _, c := range p.Clusters {
		it := placement{objects: map[federation.ObjectRef]placed{}, broken: map[string]bool{}, prune: map[string]federation.PruneVerdict{}}
		for _, app := range c.Apps {
			it.prune[app.App] = app.Prune
			if app.Broken {
				it.broken[app.App] = true
				continue
			}
			for _, o := range app.Objects {
				it.objects[o.Ref] = placed{app.App, o, o.File}
			}
			for _, w := range app.Withheld {
				if _, there := it.objects[w.Object]; !there {
					it.objects[w.Object] = placed{app: app.App, file: w.File}
				}
			}
		}
		all[c.Cluster] = it
	}
	return all
}

// objectChanges compares what each cluster is to run, and merges equal changes.
func objectChanges(in Input, order []string) []ObjectChange {
	before, after := placements(in.Base.Plan), placements(in.Head.Plan)
	g := grouping{changes: []ObjectChange{}, both: in.Both, divided: map[federation.ObjectRef]bool{}, index: map[string]int{}, fields: map[[2]string][]fields.Difference{}}
	for _, side := range []Side{in.Base, in.Head} {
		for _, d := range side.Plan.Replicas {
			g.divided[d.Object] = true
		}
	}
	for _, cluster := range order {
		a, stays := after[cluster]
		if !stays {
			continue // the risk of the cluster covers its objects
		}
		b := before[cluster]
		refs := make([]federation.ObjectRef, 0, len(b.objects)+len(a.objects))
		for ref := range b.objects {
			refs = append(refs, ref)
		}
		for ref := range a.objects {
			if _, there := b.objects[ref]; !there {
				refs = append(refs, ref)
			}
		}
		slices.SortFunc(refs, federation.ObjectRef.Compare)
		for _, ref := range refs {
			was, had := b.objects[ref]
			is, has := a.objects[ref]
			switch {
			case !had && !b.broken[is.app]:
				g.add(cluster, ObjectChange{Action: Create, Object: ref, App: is.app, File: is.file})
			case had && !has && !a.broken[was.app]:
				g.add(cluster, ObjectChange{Action: Delete, Object: ref, App: was.app, File: was.file, Prune: verdictOf(a, was.app)})
			case had && has && differ(was, is):
				if all := g.compare(was, is); len(all) > 0 { // otherwise only the division of its replicas changes
					g.add(cluster, ObjectChange{Action: Change, Object: ref, App: is.app, File: is.file, Fields: all})
				}
			}
		}
	}
	slices.SortStableFunc(g.changes, func(x, y ObjectChange) int {
		return cmp.Or(strings.Compare(x.App, y.App), x.Object.Compare(y.Object))
	})
	return g.changes
}

// verdictOf returns what happens to an object that an app of the cluster no longer has. An
// app without a verdict is in no inventory.
func verdictOf(p placement, app string) federation.PruneVerdict {
	return cmp.Or(p.prune[app], federation.PruneAllowed)
}

// differ reports whether an object differs in Git. It is not known what would have been
// written for a withheld object.
func differ(was, is placed) bool {
	if was.app != is.app {
		return true
	}
	return was.object != nil && is.object != nil && was.object.Digest != is.object.Digest
}

// grouping merges equal changes of several clusters.
type grouping struct {
	both    []string
	divided map[federation.ObjectRef]bool // workloads whose replicas the schedule writes
	changes []ObjectChange
	index   map[string]int                    // of changes, by what they have in common
	fields  map[[2]string][]fields.Difference // by the digests of both states
}

func (g *grouping) add(cluster string, c ObjectChange) {
	c.Both = slices.Contains(g.both, c.File)
	parts := []string{string(c.Action), c.Object.String(), c.App, c.File, string(c.Prune)}
	for _, f := range c.Fields {
		parts = append(parts, f.Path, string(f.Before), string(f.After))
	}
	key := strings.Join(parts, "\x00")
	i, ok := g.index[key]
	if !ok {
		i = len(g.changes)
		g.index[key] = i
		g.changes = append(g.changes, c)
	}
	g.changes[i].Clusters = append(g.changes[i].Clusters, cluster)
}

// compare returns the fields that differ, without divided replicas, which are reported as
// decisions. The result is cached for clusters that have the same objects.
func (g *grouping) compare(was, is placed) []fields.Difference {
	var all []fields.Difference
	if was.app != is.app {
		all = append(all, fields.Difference{Path: "app", Before: fields.Value(was.app), After: fields.Value(is.app)})
	}
	if was.object == nil || is.object == nil || was.object.Digest == is.object.Digest {
		return all
	}
	key := [2]string{was.object.Digest, is.object.Digest}
	found, ok := g.fields[key]
	if !ok {
		found = fields.Compare(is.object.Ref.GroupKind(), was.object.Unstructured().Object, is.object.Unstructured().Object)
		if g.divided[is.object.Ref] {
			found = slices.DeleteFunc(found, func(f fields.Difference) bool { return f.Path == "spec.replicas" })
		}
		g.fields[key] = found
	}
	return append(all, found...)
}

// clusterChanges returns what the change means to each cluster.
func clusterChanges(in Input, order []string, objects []ObjectChange) []Cluster {
	count := map[string]int{}
	for _, o := range objects {
		for _, c := range o.Clusters {
			count[c]++
		}
	}
	has := func(f *federation.Federation, name string) bool {
		return slices.ContainsFunc(f.Clusters, func(c federation.Cluster) bool { return c.Name == name })
	}
	all := make([]Cluster, len(order))
	for i, name := range order {
		c := Cluster{Name: name, State: in.Facts.Clusters[name].State, Objects: count[name]}
		switch was, is := has(in.Base.Federation, name), has(in.Head.Federation, name); {
		case !was:
			c.Change = "joins"
		case !is:
			c.Change = "leaves"
		}
		if in.Answers != nil {
			answer, ok := in.Answers[name]
			c.Asked, c.Unasked = ok && answer.Unasked.IsZero(), answer.Unasked
			if !ok && count[name] > 0 {
				c.Unasked = untrusted.Const("it is not a member before the change is merged")
			}
		}
		all[i] = c
	}
	return all
}
