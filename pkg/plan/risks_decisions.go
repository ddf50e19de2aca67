package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// portRisks says what is dangerous about another node port of a Service that is deleted or
// stays.
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
		return nil // nobody uses it yet
	case c.After == 0 && c.Basis == "" && deleted:
		return nil // it is gone with its Service
	case c.After == 0 && c.Basis == "":
		risk.Message = untrusted.Textf("node port %d of %s is given up: whoever sends to it is refused", c.Before, name)
	default:
		risk.Message = untrusted.Textf("the node port of %s changes from %d to %d: whoever sends to the old one is refused", name, c.Before, c.After)
	}
	return []Risk{risk}
}

// replicasRisks says what is dangerous about other replicas.
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
			Message: untrusted.Textf("%d of %d replicas find no place: %s", r.Shortfall, r.After, r.Reason),
		})
	}
	goes := !slices.ContainsFunc(in.Head.Plan.Replicas, func(d federation.ReplicasDecision) bool { return d.Object == r.Object })
	if r.Before > 0 && r.After == 0 && !goes {
		all = append(all, Risk{
			Kind: RiskZero, Severity: federation.SeverityWarning, Object: r.Object,
			Message: untrusted.Textf("nothing of it runs any more: replicas go from %d to 0", r.Before),
		})
	}
	return all
}

// clusterRisks says which clusters leave, or give up what they run.
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
			risk(c.Name, "is declared lost: what it runs is placed elsewhere")
		case c.Drain && !old.Drain:
			risk(c.Name, "is drained: its traffic is taken away, and then its replicas")
		}
	}
	for _, c := range in.Base.Federation.Clusters {
		if _, left := was[c.Name]; !left {
			continue
		}
		message := "leaves the federation and stays as it is: nobody keeps what runs there"
		if in.Head.Federation.OnRemove == federation.OnRemoveDelete {
			message = "leaves the federation: all that fedsync made there will be deleted"
		}
		risk(c.Name, message)
	}
	return all
}

// adoptions says which objects of others would be taken over.
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
			Message: untrusted.Const("exists and is not fedsync's: it would be taken over, and made as Git says"),
		})
	}
	return all
}

// everywhere says that all clusters change at once, so that no one is left to compare with.
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
		Message: untrusted.Textf("all %d clusters change at once: there is none left to compare with", clusters),
	}}
}
