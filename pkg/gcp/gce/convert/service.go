package convert

import (
	"math"
	"slices"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// The settings of every backend service and backend that fedsync creates.
const (
	SchemeManaged = "EXTERNAL_MANAGED"
	modeRate      = "RATE"
	servingPort   = "USE_SERVING_PORT"
)

// ToHealthCheck returns the health check for the API.
func ToHealthCheck(r gcp.Resource, spec gcp.HealthCheck) *compute.HealthCheck {
	h := &compute.HealthCheck{
		Name:               r.ID.Name,
		Description:        r.Mark.Text(),
		Type:               spec.Protocol,
		CheckIntervalSec:   spec.Interval,
		TimeoutSec:         spec.Timeout,
		HealthyThreshold:   spec.Healthy,
		UnhealthyThreshold: spec.Unhealthy,
	}
	switch spec.Protocol {
	case "HTTPS":
		h.HttpsHealthCheck = &compute.HTTPSHealthCheck{RequestPath: spec.Path, Host: spec.Host, PortSpecification: servingPort}
	case "HTTP2":
		h.Http2HealthCheck = &compute.HTTP2HealthCheck{RequestPath: spec.Path, Host: spec.Host, PortSpecification: servingPort}
	case "TCP":
		h.TcpHealthCheck = &compute.TCPHealthCheck{PortSpecification: servingPort}
	default:
		h.HttpHealthCheck = &compute.HTTPHealthCheck{RequestPath: spec.Path, Host: spec.Host, PortSpecification: servingPort}
	}
	return h
}

// FromHealthCheck reads a health check of the API. If it probes another port than the
// serving port, or expects a certain answer, its Protocol names that: fedsync never wants
// such a protocol.
func FromHealthCheck(h *compute.HealthCheck) gcp.HealthCheck {
	spec := gcp.HealthCheck{
		Protocol: h.Type,
		Interval: h.CheckIntervalSec, Timeout: h.TimeoutSec,
		Healthy: h.HealthyThreshold, Unhealthy: h.UnhealthyThreshold,
	}
	var port, answer string
	switch {
	case h.Type == "HTTP" && h.HttpHealthCheck != nil:
		c := h.HttpHealthCheck
		spec.Path, spec.Host, port, answer = c.RequestPath, c.Host, c.PortSpecification, c.Response
	case h.Type == "HTTPS" && h.HttpsHealthCheck != nil:
		c := h.HttpsHealthCheck
		spec.Path, spec.Host, port, answer = c.RequestPath, c.Host, c.PortSpecification, c.Response
	case h.Type == "HTTP2" && h.Http2HealthCheck != nil:
		c := h.Http2HealthCheck
		spec.Path, spec.Host, port, answer = c.RequestPath, c.Host, c.PortSpecification, c.Response
	case h.Type == "TCP" && h.TcpHealthCheck != nil:
		c := h.TcpHealthCheck
		port, answer = c.PortSpecification, c.Request+c.Response
	default:
		return spec
	}
	if port != servingPort {
		spec.Protocol += " at a fixed port"
	}
	if answer != "" {
		spec.Protocol += " with an expected answer"
	}
	return spec
}

// ToService returns the backend service for the API.
func ToService(r gcp.Resource, spec gcp.Service, project string) *compute.BackendService {
	return &compute.BackendService{
		Name:                r.ID.Name,
		Description:         r.Mark.Text(),
		LoadBalancingScheme: SchemeManaged,
		Protocol:            spec.Protocol,
		HealthChecks:        []string{LinkOf(spec.HealthCheck, project)},
		TimeoutSec:          spec.Timeout,
		ConnectionDraining:  toDraining(spec.Drain),
		Backends:            MergeBackends(nil, spec.Backends, project),
	}
}

func toDraining(seconds int64) *compute.ConnectionDraining {
	return &compute.ConnectionDraining{DrainingTimeoutSec: seconds, ForceSendFields: []string{"DrainingTimeoutSec"}}
}

// FromService reads a backend service of the API. It assumes that every endpoint group of
// the project is ours; the caller knows better, see ForeignBackends.
func FromService(s *compute.BackendService, project string) gcp.Service {
	spec := gcp.Service{Protocol: s.Protocol, Timeout: s.TimeoutSec}
	if s.LoadBalancingScheme != SchemeManaged {
		spec.Protocol += " of scheme " + s.LoadBalancingScheme
	}
	if len(s.HealthChecks) > 0 {
		spec.HealthCheck = idOf(s.HealthChecks[0], project, gcp.KindHealthCheck)
	}
	if len(s.HealthChecks) > 1 {
		spec.HealthCheck.Name += " and others"
	}
	if s.ConnectionDraining != nil {
		spec.Drain = s.ConnectionDraining.DrainingTimeoutSec
	}
	for _, b := range s.Backends {
		group, ok := backendGroup(b, project)
		if !ok {
			spec.Extra = append(spec.Extra, ShortLink(b.Group, project))
			continue
		}
		spec.Backends = append(spec.Backends, fromBackend(b, group))
	}
	SortBackends(&spec)
	return spec
}

// SortBackends orders backends by their groups.
func SortBackends(spec *gcp.Service) {
	slices.SortFunc(spec.Backends, func(a, b gcp.Backend) int { return a.Group.Compare(b.Group) })
	slices.Sort(spec.Extra)
}

// backendGroup returns the endpoint group of a backend; false if its group is of another
// kind or in another project.
func backendGroup(b *compute.Backend, project string) (gcp.ID, bool) {
	l, ok := ParseLink(b.Group, project)
	if !ok || l.Project != project || l.Collection != Collections[gcp.KindGroup] || l.zone() == "" {
		return gcp.ID{}, false
	}
	return gcp.ID{Kind: gcp.KindGroup, Zone: l.zone(), Name: l.Name}, true
}

// fromBackend reads a backend. Its rate is 0, which fedsync never wants, unless the rate
// of the whole group limits it.
func fromBackend(b *compute.Backend, group gcp.ID) gcp.Backend {
	out := gcp.Backend{Group: group, Capacity: math.Round(b.CapacityScaler*1e4) / 1e4}
	if b.BalancingMode == modeRate && b.MaxRatePerEndpoint == 0 && b.MaxRatePerInstance == 0 {
		out.MaxRate = float64(b.MaxRate)
	}
	return out
}

// MergeBackends returns the wanted backends for the API, with those settings of the
// present ones that fedsync does not own.
func MergeBackends(present []*compute.Backend, wanted []gcp.Backend, project string) []*compute.Backend {
	var out []*compute.Backend
	byGroup := map[gcp.ID]*compute.Backend{}
	for _, b := range present {
		if group, ok := backendGroup(b, project); ok {
			byGroup[group] = b
		}
	}
	for _, w := range wanted {
		b := &compute.Backend{}
		if p := byGroup[w.Group]; p != nil {
			copied := *p
			b = &copied
		}
		b.Group = LinkOf(w.Group, project)
		b.BalancingMode = modeRate
		b.MaxRate = int64(math.Ceil(w.MaxRate))
		b.MaxRatePerEndpoint, b.MaxRatePerInstance, b.MaxUtilization = 0, 0, 0
		b.MaxConnections, b.MaxConnectionsPerEndpoint, b.MaxConnectionsPerInstance = 0, 0, 0
		b.CapacityScaler = w.Capacity
		b.ForceSendFields = []string{"CapacityScaler"}
		out = append(out, b)
	}
	return out
}

// ForeignBackends returns the present backends to leave unchanged: those whose group is
// neither wanted nor known to be ours.
func ForeignBackends(present []*compute.Backend, wanted []gcp.Backend, project string, ours func(gcp.ID) bool) []*compute.Backend {
	var kept []*compute.Backend
	for _, b := range present {
		group, ok := backendGroup(b, project)
		isWanted := slices.ContainsFunc(wanted, func(w gcp.Backend) bool { return w.Group == group })
		if !ok || (!isWanted && !ours(group)) {
			copied := *b
			copied.ForceSendFields = append(copied.ForceSendFields, "CapacityScaler")
			kept = append(kept, &copied)
		}
	}
	return kept
}
