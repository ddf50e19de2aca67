package keeper

import (
	"maps"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
)

// Proposed is what a change would do on Compute Engine, without the actions that are
// pending without it.
type Proposed struct {
	Changes   []Change // in the order of creation
	Addresses []AddressChange
	// Brought and Ended are the findings that the change causes, and those that it ends.
	Brought, Ended []federation.Finding
	Besides        int // actions that are pending without the change
	// Absent is set if nothing that is wanted without the change exists: it was created
	// for another source, or not yet.
	Absent bool
}

// Change is what happens to one resource.
type Change struct {
	Verb   gcp.Verb
	ID     gcp.ID
	Detail untrusted.Text // what differs
}

// AddressChange is an Ingress whose load balancer is reached elsewhere.
type AddressChange struct {
	Ingress       federation.ObjectRef
	Before, After string // the IP if it is known, else the address's name; After is empty if the load balancer goes
}

// Propose compares what two inputs want, given the observed state. It is pure.
//
// Both use the present facts. For the head, objects that it lacks are assumed to be
// pruned, so that the result includes the changes that wait for it.
func Propose(base, head gcp.Input, seen gcp.Observed) Proposed {
	head.Facts = pruned(head.Facts, base.Plan, head.Plan)
	was, is := balancer.Build(base, seen), balancer.Build(head, seen)
	now, then := planner.Plan(was, seen), planner.Plan(is, seen)
	p := Proposed{Besides: len(now.Actions), Addresses: addressChanges(was, is, seen)}
	p.Brought = newFindings(slices.Concat(is.Findings, then.Findings), slices.Concat(was.Findings, now.Findings))
	p.Ended = newFindings(slices.Concat(was.Findings, now.Findings), slices.Concat(is.Findings, then.Findings))
	p.Absent = len(was.Resources) > 0 && !slices.ContainsFunc(gcp.SortedIDs(was.Resources), func(id gcp.ID) bool {
		return was.Resources[id].Mark.Federation != "" && was.Owner.Owns(seen.Resources[id].Mark)
	})
	all := maps.Clone(was.Resources)
	maps.Copy(all, is.Resources)
	for _, id := range gcp.SortedIDs(all) {
		p.Changes = append(p.Changes, compare(id, was, is, seen)...)
	}
	return p
}

// Propose compares what two inputs want, given what the keeper last read; false if it
// has not read everything. It calls no API, and is safe while the keeper runs.
func (k *Keeper) Propose(base, head gcp.Input) (Proposed, bool) {
	k.mu.Lock()
	shown, known := k.shown, k.state.Known()
	k.mu.Unlock()
	if !known {
		return Proposed{}, false
	}
	for _, in := range []*gcp.Input{&base, &head} {
		in.Now, in.Secrets, in.Left = shown.in.Now, shown.in.Secrets, shown.in.Left
	}
	return Propose(base, head, shown.seen), true
}

// pruned returns the facts without the objects that one plan has and another lacks.
func pruned(f federation.Facts, base, head federation.Plan) federation.Facts {
	kept := map[string]map[federation.ObjectRef]bool{}
	for _, c := range head.Clusters {
		kept[c.Cluster] = map[federation.ObjectRef]bool{}
		for _, app := range c.Apps {
			for _, o := range app.Objects {
				kept[c.Cluster][o.Ref] = true
			}
			for _, w := range app.Withheld {
				kept[c.Cluster][w.Object] = true
			}
		}
	}
	f.Clusters = maps.Clone(f.Clusters)
	for _, c := range base.Clusters {
		facts, known := f.Clusters[c.Cluster]
		keeps, stays := kept[c.Cluster]
		if !known || !stays {
			continue
		}
		gone := func(ref federation.ObjectRef) bool { return !keeps[ref] }
		facts.Inventory = maps.Clone(facts.Inventory)
		for app, refs := range facts.Inventory {
			facts.Inventory[app] = slices.DeleteFunc(slices.Clone(refs), gone)
		}
		f.Clusters[c.Cluster] = facts
	}
	return f
}

// compare returns the changes of a resource that one of the two wants.
func compare(id gcp.ID, was, is gcp.Wanted, seen gcp.Observed) []Change {
	before, had := was.Resources[id]
	after, has := is.Resources[id]
	there, exists := seen.Resources[id]
	_, heldBefore := was.Held[id]
	_, heldAfter := is.Held[id]
	change := func(verb gcp.Verb, detail string) []Change {
		return []Change{{Verb: verb, ID: id, Detail: untrusted.New(detail)}}
	}
	switch {
	case before.Mark.Federation == "" && after.Mark.Federation == "":
		return nil // it belongs to the user
	case !has && heldAfter, !had && heldBefore:
		return nil // it stays unchanged
	case !has:
		return change(gcp.Delete, "no Ingress needs it")
	case !had && exists:
		before = there
	case !had:
		return change(gcp.Create, "")
	}
	return specChange(id, before, after, change)
}

// specChange returns how the wanted specs of a resource differ.
func specChange(id gcp.ID, before, after gcp.Resource, change func(gcp.Verb, string) []Change) []Change {
	fields := gcp.Differences(after.Spec, before.Spec)
	switch now := after.Spec.(type) {
	case gcp.Rule:
		if old, ok := before.Spec.(gcp.Rule); ok && old.Address != now.Address && !slices.Contains(fields, "IPAddress") {
			fields = append(fields, "IPAddress")
		}
	case gcp.Group:
		if old, ok := before.Spec.(gcp.Group); ok && len(fields) == 0 {
			return endpointChanges(old, now, change)
		}
	}
	if id.Kind == gcp.KindCertificate && before.Mark.Content != after.Mark.Content {
		fields = append(fields, "certificate")
	}
	if len(fields) == 0 {
		return nil
	}
	return change(gcp.Update, strings.TrimPrefix(planner.Difference(fields, after.Spec, before.Spec), gcp.DiffersIn))
}

func endpointChanges(before, after gcp.Group, change func(gcp.Verb, string) []Change) []Change {
	count := func(list, other []gcp.Endpoint) (n int) {
		for _, e := range list {
			if !slices.Contains(other, e) {
				n++
			}
		}
		return n
	}
	var all []Change
	if n := count(after.Endpoints, before.Endpoints); n > 0 {
		all = append(all, change(gcp.Attach, untrusted.Textf("%d endpoints", n).String())...)
	}
	if n := count(before.Endpoints, after.Endpoints); n > 0 {
		all = append(all, change(gcp.Detach, untrusted.Textf("%d endpoints", n).String())...)
	}
	return all
}

// addressChanges returns the Ingresses that are reached at another address.
func addressChanges(was, is gcp.Wanted, seen gcp.Observed) []AddressChange {
	after := map[federation.ObjectRef]gcp.Balancer{}
	for _, b := range is.Balancers {
		after[b.Ingress] = b
	}
	known := func(id gcp.ID) string {
		if a, ok := seen.Resources[id].Spec.(gcp.Address); ok && a.IP != "" {
			return a.IP
		}
		return id.Name
	}
	var all []AddressChange
	for _, b := range was.Balancers {
		then, stays := after[b.Ingress]
		switch {
		case len(b.Rules) == 0:
		case !stays:
			all = append(all, AddressChange{Ingress: b.Ingress, Before: known(b.Address)})
		case then.Refused == "" && then.Address != b.Address:
			all = append(all, AddressChange{Ingress: b.Ingress, Before: known(b.Address), After: known(then.Address)})
		}
	}
	return all
}

// newFindings returns the findings that another list lacks.
func newFindings(all, known []federation.Finding) []federation.Finding {
	keys := map[string]bool{}
	for _, f := range known {
		keys[f.Key()] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(f federation.Finding) bool { return keys[f.Key()] })
}
