package schedule

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule/ports"
)

// affordable returns the Services whose ports can be decided. The work and the memory
// grow with ports times clusters. If there are too many, the app with the most ports
// stays unchanged in every cluster, then the next app, and so on.
func (p *pass) affordable() []*service {
	most := min(limit.Ports, limit.PortPlaces/max(1, len(p.clusters)))
	all, of := 0, map[string]int{}
	for _, s := range p.services {
		n := s.distinctPorts()
		all += n
		of[s.App] += n
	}
	if all <= most {
		return p.services
	}
	apps := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
	left := map[string]string{} // the reason, by app
	for _, app := range apps {
		if all <= most {
			break
		}
		left[app] = fmt.Sprintf("the Services of app %s have %s ports; node ports can be decided for at most %s in %d clusters", app, limit.Number(of[app]), limit.Number(most), len(p.clusters))
		all -= of[app]
		p.findings.Add(federation.Finding{
			ID: federation.FindingNodePortTaken, Severity: federation.SeverityError, App: app, Message: untrusted.New(left[app]),
			Remedy: untrusted.Const("use fewer ports; until then these Services stay unchanged in every cluster"),
		})
	}
	var kept []*service
	for _, s := range p.services {
		if left[s.App] == "" {
			kept = append(kept, s)
			continue
		}
		s.leave(left[s.App])
	}
	return kept
}

// distinctPorts counts the ports of a Service over all its variants.
func (s *service) distinctPorts() int {
	known := map[ports.Key]bool{}
	for _, v := range s.variants {
		for _, spec := range v.Ports {
			known[ports.Key{Protocol: spec.Protocol, Port: spec.Port, HealthCheck: spec.HealthCheck}] = true
		}
	}
	return len(known)
}

// leave withholds the Service from every cluster.
func (s *service) leave(reason string) {
	for _, v := range s.variants {
		for _, c := range v.Clusters {
			s.withheld[c] = &federation.Withheld{Object: s.Ref, File: cmp.Or(v.File, s.File), Reason: reason}
		}
	}
}
