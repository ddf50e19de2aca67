package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// portChanges returns the node ports whose decision changes.
func portChanges(before, after []federation.PortDecision) []PortChange {
	type key struct {
		service  federation.ObjectRef
		protocol string
		port     int32
	}
	was := map[key]federation.PortDecision{}
	for _, d := range before {
		was[key{d.Service, d.Protocol, d.Port}] = d
	}
	all := []PortChange{}
	for _, d := range after {
		k := key{d.Service, d.Protocol, d.Port}
		old, had := was[k]
		delete(was, k)
		if had && old.NodePort == d.NodePort && old.Basis == d.Basis && len(old.Clashes) == len(d.Clashes) {
			continue
		}
		if had && old.NodePort == d.NodePort && settled(old.Basis) && settled(d.Basis) && len(d.Clashes) == 0 {
			continue // the same number, for another reason
		}
		all = append(all, PortChange{
			Service: d.Service, Protocol: d.Protocol, Port: d.Port,
			Before: old.NodePort, After: d.NodePort, Basis: d.Basis, Reason: untrusted.New(d.Reason), Clashes: d.Clashes,
		})
	}
	for k, d := range was {
		all = append(all, PortChange{Service: k.service, Protocol: k.protocol, Port: k.port, Before: d.NodePort})
	}
	slices.SortFunc(all, func(x, y PortChange) int {
		return cmp.Or(x.Service.Compare(y.Service), cmp.Compare(x.Port, y.Port), strings.Compare(x.Protocol, y.Protocol))
	})
	return all
}

// settled reports whether a port has its number.
func settled(b federation.PortBasis) bool {
	return b != federation.PortWaiting && b != federation.PortRefused
}

// replicasChanges returns the workloads whose division of replicas changes.
func replicasChanges(before, after []federation.ReplicasDecision) []ReplicasChange {
	was := map[federation.ObjectRef]federation.ReplicasDecision{}
	for _, d := range before {
		was[d.Object] = d
	}
	all := []ReplicasChange{}
	for _, d := range after {
		old := was[d.Object]
		delete(was, d.Object)
		if c := replicasChange(d.Object, old, d); len(c.Shares) > 0 || c.Before != c.After || d.Shortfall > old.Shortfall {
			all = append(all, c)
		}
	}
	for ref, old := range was {
		all = append(all, replicasChange(ref, old, federation.ReplicasDecision{}))
	}
	slices.SortFunc(all, func(x, y ReplicasChange) int { return x.Object.Compare(y.Object) })
	return all
}

// replicasChange compares the shares, and not the counts that are held during a move.
func replicasChange(ref federation.ObjectRef, old, d federation.ReplicasDecision) ReplicasChange {
	c := ReplicasChange{Object: ref, Before: old.Total, After: d.Total, Shares: []ShareChange{}, Shortfall: d.Shortfall, Reason: untrusted.New(d.Reason)}
	had := map[string]int64{}
	for _, s := range old.Shares {
		had[s.Cluster] = s.Share
	}
	for _, s := range d.Shares {
		if before := had[s.Cluster]; before != s.Share {
			c.Shares = append(c.Shares, ShareChange{s.Cluster, before, s.Share})
		}
		delete(had, s.Cluster)
	}
	for _, s := range old.Shares { // the clusters that it leaves
		if before := had[s.Cluster]; before != 0 {
			c.Shares = append(c.Shares, ShareChange{s.Cluster, before, 0})
		}
	}
	return c
}

// findingChanges returns the findings that the change adds and those that it resolves, as
// far as they can be found without running it.
func findingChanges(in Input) (brought, mended []federation.Finding) {
	keys := func(findings []federation.Finding) map[string]bool {
		all := map[string]bool{}
		for _, f := range findings {
			all[f.Key()] = true
		}
		return all
	}
	without := func(findings []federation.Finding, known map[string]bool) []federation.Finding {
		all := []federation.Finding{}
		for _, f := range findings {
			if !known[f.Key()] {
				all = append(all, f)
			}
		}
		slices.SortStableFunc(all, federation.Finding.Compare)
		return slices.CompactFunc(all, func(x, y federation.Finding) bool { return x.Compare(y) == 0 })
	}
	head := slices.Clone(in.Head.Findings)
	for _, answer := range in.Answers {
		head = append(head, answer.Findings...)
	}
	return federation.ShortFindings(without(head, keys(in.Base.Findings))), federation.ShortFindings(without(in.Base.Findings, keys(head)))
}
