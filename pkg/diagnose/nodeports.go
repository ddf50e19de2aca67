package diagnose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// portKey is one port of a managed Service.
type portKey struct {
	protocol string
	port     int32
}

func (k portKey) compare(o portKey) int {
	return cmp.Or(cmp.Compare(k.port, o.port), strings.Compare(k.protocol, o.protocol))
}

// livePorts are the node ports of one Service: by its own port and the node port, the
// clusters that have it.
type livePorts struct {
	app, file string
	ports     map[portKey]map[string][]string
}

// nodePorts compares the node ports of managed Services between clusters: the load
// balancer has one backend for all of them.
func (x *diagnosis) nodePorts() {
	services := map[federation.ObjectRef]*livePorts{}
	for _, m := range x.seen() {
		if !m.facts.PortsKnown {
			continue
		}
		for _, p := range m.facts.NodePorts {
			ours, ok := m.services[p.Holder()]
			if !ok || ours.service.kind == "ClusterIP" || p.ServicePort == 0 {
				continue // of a health check, or of an unknown port
			}
			s := services[ours.Ref]
			if s == nil {
				s = &livePorts{app: ours.app, file: ours.File, ports: map[portKey]map[string][]string{}}
				services[ours.Ref] = s
			}
			key := portKey{p.Protocol, p.ServicePort}
			if s.ports[key] == nil {
				s.ports[key] = map[string][]string{}
			}
			number := strconv.Itoa(int(p.Port))
			s.ports[key][number] = appendNew(s.ports[key][number], m.name)
		}
	}
	for _, ref := range slices.SortedFunc(maps.Keys(services), federation.ObjectRef.Compare) {
		x.differing(ref, services[ref])
	}
}

// differing reports the ports of a Service that are not the same everywhere.
func (x *diagnosis) differing(ref federation.ObjectRef, s *livePorts) {
	f := found{Finding: federation.Finding{
		ID: federation.FindingNodePorts, Severity: federation.SeverityWarning,
		App: s.app, Object: ref, File: s.file,
		Remedy: untrusted.Const("none is needed during the move; clients of the old port must switch to the new one"),
	}}
	sure := false // waiting does not resolve it
	var rows []string
	for _, key := range slices.SortedFunc(maps.Keys(s.ports), portKey.compare) {
		clusters := s.ports[key]
		if len(clusters) < 2 {
			continue
		}
		row := fmt.Sprintf("port %s is node port %s", port(key.port, key.protocol), table(clusters))
		decision := x.decision(ref, key)
		switch {
		case decision.Basis == federation.PortWaiting:
			until, seasoned := x.until(decision.Waits, true)
			row += ", and none is chosen until " + until
			if !sure {
				f.Remedy = untrusted.New(awaitedRemedy(s.file))
				f.patience = patience{grace: x.Grace, seasoned: seasoned}
			}
		case moving(decision, clusters):
			row += fmt.Sprintf(", and is being moved to %d", decision.NodePort)
		default:
			sure = true
			f.Severity = federation.SeverityError
			f.Remedy = untrusted.New(x.pin(ref, s, decision, clusters))
			f.patience = patience{}
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return
	}
	f.Message = untrusted.List("the node ports differ between clusters: ", rows, "; ")
	x.found = append(x.found, f)
}

func awaitedRemedy(file string) string {
	return "repair the clusters that it waits for, or set a nodePort in " + cmp.Or(file, "the Service")
}

func (x *diagnosis) decision(service federation.ObjectRef, key portKey) federation.PortDecision {
	for _, d := range x.ports[service] {
		if d.Protocol == key.protocol && d.Port == key.port {
			return d
		}
	}
	return federation.PortDecision{}
}

// moving reports whether the plan moves every cluster with another port, and no other
// Service holds the new port there.
func moving(d federation.PortDecision, clusters map[string][]string) bool {
	if d.NodePort == 0 || len(d.Moves) == 0 {
		return false
	}
	for number, names := range clusters {
		if number == strconv.Itoa(int(d.NodePort)) {
			continue
		}
		for _, name := range names {
			moves := slices.ContainsFunc(d.Moves, func(m federation.PortMove) bool { return m.Cluster == name })
			clashes := slices.ContainsFunc(d.Clashes, func(c federation.PortClash) bool { return c.Cluster == name })
			if !moves || clashes {
				return false
			}
		}
	}
	return true
}

// pin returns the remedy: pin a port in Git if none is decided, or check what prevents a
// cluster from getting the decided one.
func (x *diagnosis) pin(ref federation.ObjectRef, s *livePorts, d federation.PortDecision, clusters map[string][]string) string {
	values := byRarity(clusters)
	if d.NodePort == 0 {
		return fmt.Sprintf("set nodePort: %s in %s, or free it where it is held", values[len(values)-1], s.file)
	}
	wanted := strconv.Itoa(int(d.NodePort))
	for _, m := range x.members {
		if !slices.Contains(clusters[wanted], m.name) && m.now && m.plans(ref) {
			return fmt.Sprintf("%s should have node port %s: check what prevents it: %s", ref, wanted, m.describe(ref))
		}
	}
	return fmt.Sprintf("set nodePort: %s in %s", wanted, s.file)
}

// waitingPorts reports the ports that are not chosen yet, and the clusters that the
// choice waits for: a port that cannot be checked is not assumed free.
func (x *diagnosis) waitingPorts() {
	for _, service := range slices.SortedFunc(maps.Keys(x.ports), federation.ObjectRef.Compare) {
		var numbers, waits []string
		var first federation.PortDecision
		for _, d := range x.ports[service] {
			if d.Basis != federation.PortWaiting {
				continue
			}
			if numbers == nil {
				first = d
			}
			numbers = append(numbers, port(d.Port, d.Protocol))
			for _, w := range d.Waits {
				waits = appendNew(waits, w)
			}
		}
		if numbers == nil {
			continue
		}
		slices.Sort(waits)
		until, seasoned := x.until(waits, true)
		x.await(federation.Finding{
			ID: federation.FindingPortWaiting, Severity: federation.SeverityWarning, App: first.App, Object: service, File: first.File,
			Message: untrusted.Textf("no node port is chosen for port %s until %s", strings.Join(numbers, ", "), until),
			Remedy:  untrusted.New(awaitedRemedy(first.File)),
		}, seasoned)
	}
}

// until returns the condition on the clusters that a decision waits for. The wait is
// seasoned if the state of the last of them has just become known: after a start, the
// decision waits for all clusters, and a cluster that is away was away before.
func (x *diagnosis) until(waits []string, forPorts bool) (text string, seasoned bool) {
	judged := true
	var back, blind []string
	for _, name := range waits {
		facts := x.Facts.Clusters[name]
		seasoned = seasoned || !x.before.judged[name]
		if forPorts && facts.State == federation.ClusterReady && facts.Synced && !facts.PortsKnown {
			blind = append(blind, name)
			continue
		}
		back = append(back, name)
		judged = judged && troubled(facts.State)
	}
	var parts []string
	switch {
	case len(back) == 1:
		parts = append(parts, back[0]+" is back")
	case len(back) > 1:
		parts = append(parts, strings.Join(back, ", ")+" are back")
	}
	if len(blind) > 0 {
		parts = append(parts, "Services may be listed in "+strings.Join(blind, ", "))
	}
	if len(parts) == 0 {
		return "every cluster is known", judged && seasoned
	}
	return strings.Join(parts, " and "), judged && seasoned
}
