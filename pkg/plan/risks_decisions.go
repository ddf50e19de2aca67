package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// portRisks returns the risks of a changed node port. deleted reports whether its Service is
// deleted.
func portRisks(c PortChange, deleted bool) []Risk {
	name := fmt.Sprintf("port %d/%s", c.Port, c.Protocol)
	risk := Risk{Object: c.Service, Severity: federation.SeverityWarning, Kind: RiskPort}
	switch {
	case len(c.Clashes) > 0 && c.Basis != federation.PortWaiting:
		risk.Kind, risk.Severity = RiskPortClash, federation.SeverityError
		holders := map[federation.ObjectRef][]string{}
		for _, clash := range c.Clashes {
			holders[clash.Holder] = append(holders[clash.Holder], clash.Cluster)
			risk.Clusters = append(risk.Clusters, clash.Cluster)
		}
		var parts []string
		for _, holder := range slices.SortedFunc(maps.Keys(holders), federation.ObjectRef.Compare) {
			parts = append(parts, fmt.Sprintf("%s in %s", holder, untrusted.Some(holders[holder], 3)))
		}
		risk.Message = untrusted.Textf("node port %d of %s is held by %s", c.After, name, untrusted.Some(parts, 3))
	case c.Basis == federation.PortRefused:
		risk.Kind, risk.Severity, risk.Message = RiskPortClash, federation.SeverityError, untrusted.Textf("%s gets no node port: %s", name, c.Reason)
	case c.Before == 0 || c.Before == c.After:
		return nil // no client uses it yet
	case c.After == 0 && c.Basis == "" && deleted:
		return nil // it is deleted with its Service
	case c.After == 0 && c.Basis == "":
		risk.Message = untrusted.Textf("node port %d of %s is given up: its clients are refused", c.Before, name)
	default:
		risk.Message = untrusted.Textf("the node port of %s changes from %d to %d: clients of the old one are refused", name, c.Before, c.After)
	}
	return []Risk{risk}
}

// replicasRisks returns the risks of changed replicas.
func replicasRisks(in Input, r ReplicasChange) []Risk {
	var all []Risk
	before := int64(0)
	for _, d := range in.Base.Plan.Replicas {
		if d.Object == r.Object {
			before = d.Shortfall
		}
	}
	if r.Shortfall > before {
		all = append(all, Risk{
			Kind: RiskCapacity, Severity: federation.SeverityError, Object: r.Object,
			Message: untrusted.Textf("%d of %d replicas cannot be placed: %s", r.Shortfall, r.After, r.Reason),
		})
	}
	goes := !slices.ContainsFunc(in.Head.Plan.Replicas, func(d federation.ReplicasDecision) bool { return d.Object == r.Object })
	if r.Before > 0 && r.After == 0 && !goes {
		all = append(all, Risk{
			Kind: RiskZero, Severity: federation.SeverityWarning, Object: r.Object,
			Message: untrusted.Textf("it no longer runs anywhere: replicas change from %d to 0", r.Before),
		})
	}
	return all
}

// clusterRisks returns the risks of clusters that leave, or give up what they run.
func clusterRisks(in Input) []Risk {
	was := map[string]federation.Cluster{}
	for _, c := range in.Base.Federation.Clusters {
		was[c.Name] = c
	}
	var all []Risk
	risk := func(cluster, message string) {
		all = append(all, Risk{Kind: RiskCluster, Severity: federation.SeverityWarning, Clusters: []string{cluster}, Message: untrusted.New(message)})
	}
	for _, c := range in.Head.Federation.Clusters {
		old, had := was[c.Name]
		delete(was, c.Name)
		switch {
		case !had:
			continue
		case c.Context != old.Context:
			risk(c.Name, fmt.Sprintf("the name leads to another context: %s instead of %s", c.Context, old.Context))
		case c.Lost && !old.Lost:
			risk(c.Name, "is declared lost: its replicas are placed in other clusters")
		case c.Drain && !old.Drain:
			risk(c.Name, "is drained: its traffic is moved away, and then its replicas")
		}
	}
	for _, c := range in.Base.Federation.Clusters {
		if _, left := was[c.Name]; !left {
			continue
		}
		message := "leaves the federation: its objects stay and are no longer maintained"
		if in.Head.Federation.OnRemove == federation.OnRemoveDelete {
			message = "leaves the federation: all objects that fedsync created there will be deleted"
		}
		risk(c.Name, message)
	}
	return all
}

// adoptions returns the risks of objects that would be taken over.
func adoptions(in Input) []Risk {
	clusters := map[federation.ObjectRef][]string{}
	for _, cluster := range clusterOrder(in) {
		for _, ref := range in.Answers[cluster].Adopted {
			clusters[ref] = append(clusters[ref], cluster)
		}
	}
	var all []Risk
	for _, ref := range slices.SortedFunc(maps.Keys(clusters), federation.ObjectRef.Compare) {
		all = append(all, Risk{
			Kind: RiskAdoption, Severity: federation.SeverityWarning, Object: ref, Clusters: clusters[ref],
			Message: untrusted.Const("exists and is not managed by fedsync: it would be taken over and made equal to Git"),
		})
	}
	return all
}

// everywhere returns a note if all clusters change at the same time, so that none is left to
// compare with.
func everywhere(p *Plan) []Risk {
	clusters := 0
	for _, c := range p.Clusters {
		if c.Objects > 0 {
			clusters++
		}
	}
	disturbing := slices.ContainsFunc(p.Objects, func(o ObjectChange) bool {
		return o.Action == Change && len(o.Clusters) == len(p.Clusters)
	})
	if len(p.Clusters) < 2 || clusters < len(p.Clusters) || !disturbing {
		return nil
	}
	return []Risk{{
		Kind: RiskEverywhere, Severity: federation.SeverityNote,
		Message: untrusted.Textf("all %d clusters change at the same time: none is left to compare with", clusters),
	}}
}
