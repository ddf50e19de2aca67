package gcp

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/api/compute/v1"
)

// fieldSet says which fields an update changes, as Compute Engine names them. An
// empty one changes all that fedsync owns.
type fieldSet []string

// has reports whether one of the fields is among those of the update. Parts of a field
// are told by a dot: "httpHealthCheck.requestPath".
func (f fieldSet) has(names ...string) bool {
	if len(f) == 0 {
		return true
	}
	return slices.ContainsFunc(f, func(field string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			return field == name || strings.HasPrefix(field, name+".") || strings.HasSuffix(field, "."+name)
		})
	})
}

// update changes the fields of an action in a resource that bears the owner's mark,
// and no others.
func (c *Compute) update(ctx context.Context, a Action, request string) *Error {
	project := c.projectOf(a.Want.Spec)
	raw, description, err := c.fetch(ctx, a.ID, project)
	if err != nil {
		e := asError(err)
		e.Verb = a.Verb
		return e
	}
	if e := notOurs(a, description); e != nil {
		return e
	}
	if e := stale(a, raw); e != nil {
		return e
	}
	changes, e := c.changes(a, raw, project)
	if e != nil {
		return e
	}
	for _, m := range changes {
		id := request
		if len(changes) > 1 {
			id = requestFor(request, m.method)
		}
		if failed := c.run(ctx, m, id); failed != nil {
			return failed.fail(a.Verb, a.ID)
		}
	}
	return c.verify(ctx, a, project)
}

// stale returns an error if a resource with a lock was written since it was looked at:
// the plan may not hold for what it is now.
func stale(a Action, raw any) *Error {
	lock := reflect.ValueOf(raw).Elem().FieldByName("Fingerprint")
	if a.Want.Fingerprint == "" || !lock.IsValid() || lock.String() == a.Want.Fingerprint {
		return nil
	}
	return &Error{
		ID: a.ID, Verb: a.Verb, Class: ClassChanged, ended: true,
		Err: errors.New("it was changed since it was looked at"),
	}
}

// changes are the calls of an update, given what there is.
func (c *Compute) changes(a Action, raw any, p string) ([]mutation, *Error) {
	name, fields := a.ID.Name, fieldSet(a.Fields)
	switch now := raw.(type) {
	case *compute.Firewall:
		spec, _ := a.Want.Spec.(Firewall)
		return []mutation{send("firewalls.patch", p, "", c.api.Firewalls.Patch(p, name, patchFirewall(a.Want, spec, now, fields)))}, nil
	case *compute.HealthCheck:
		spec, _ := a.Want.Spec.(HealthCheck)
		return []mutation{send("healthChecks.patch", p, "", c.api.HealthChecks.Patch(p, name, patchHealthCheck(a.Want, spec, now, fields)))}, nil
	case *compute.BackendService:
		if now.LoadBalancingScheme != schemeManaged {
			return nil, invalid(a, "its scheme is %s, which cannot be changed in place: delete it, and it is made anew", now.LoadBalancingScheme)
		}
		spec, _ := a.Want.Spec.(Service)
		patch := c.patchService(a.Want, spec, now, fields)
		return []mutation{send("backendServices.patch", p, "", c.api.BackendServices.Patch(p, name, patch))}, nil
	case *compute.UrlMap:
		spec, _ := a.Want.Spec.(URLMap)
		return []mutation{send("urlMaps.patch", p, "", c.api.UrlMaps.Patch(p, name, patchURLMap(a.Want, spec, now, fields, p)))}, nil
	case *compute.TargetHttpProxy, *compute.TargetHttpsProxy:
		return c.proxyChanges(a, raw, p)
	case *compute.ForwardingRule:
		spec, _ := a.Want.Spec.(Rule)
		if !fields.has("target") || len(fields) > 1 {
			return nil, invalid(a, "only the target of a forwarding rule can be changed")
		}
		body := &compute.TargetReference{Target: linkOf(spec.Target, p)}
		return []mutation{send("globalForwardingRules.setTarget", p, "", c.api.GlobalForwardingRules.SetTarget(p, name, body))}, nil
	}
	return nil, invalid(a, "it cannot be changed in place: it is replaced by another one")
}

// verify reads a resource without a lock again: another client may have written it at
// the same time, and the last one wins.
func (c *Compute) verify(ctx context.Context, a Action, project string) *Error {
	if a.ID.Kind != KindFirewall && a.ID.Kind != KindHealthCheck {
		return nil
	}
	raw, _, err := c.fetch(ctx, a.ID, project)
	if err != nil {
		e := asError(err)
		e.Verb, e.ended = a.Verb, true
		return e
	}
	var now Spec
	switch r := raw.(type) {
	case *compute.Firewall:
		now = fromFirewall(r, project)
	case *compute.HealthCheck:
		now = fromHealthCheck(r)
	}
	fields := fieldSet(a.Fields)
	for _, field := range a.Want.Spec.differs(now) {
		if fields.has(field) {
			return &Error{
				ID: a.ID, Verb: a.Verb, Class: ClassChanged, ended: true,
				Err: errors.New("another client changed it at the same time: " + field),
			}
		}
	}
	return nil
}

func patchFirewall(r Resource, spec Firewall, now *compute.Firewall, fields fieldSet) *compute.Firewall {
	full, patch := toFirewall(r, spec), &compute.Firewall{}
	if fields.has("description") {
		patch.Description = full.Description
	}
	if fields.has("network") {
		patch.Network = full.Network
	}
	if fields.has("sourceRanges") {
		patch.SourceRanges = full.SourceRanges
	}
	if fields.has("targetTags") {
		patch.TargetTags = full.TargetTags
	}
	if fields.has("disabled") {
		patch.Disabled = false
		patch.ForceSendFields = append(patch.ForceSendFields, "Disabled")
	}
	if fields.has("allowed") {
		patch.Allowed = full.Allowed
	}
	// Conditions that fedsync never sets narrow the rule or widen it.
	for _, name := range []string{"SourceTags", "SourceServiceAccounts", "TargetServiceAccounts", "DestinationRanges"} {
		if !reflect.ValueOf(now).Elem().FieldByName(name).IsZero() {
			patch.NullFields = append(patch.NullFields, name)
		}
	}
	return patch
}

func patchHealthCheck(r Resource, spec HealthCheck, now *compute.HealthCheck, fields fieldSet) *compute.HealthCheck {
	full, patch := toHealthCheck(r, spec), &compute.HealthCheck{}
	if fields.has("description") {
		patch.Description = full.Description
	}
	if fields.has("checkIntervalSec") {
		patch.CheckIntervalSec = full.CheckIntervalSec
	}
	if fields.has("timeoutSec") {
		patch.TimeoutSec = full.TimeoutSec
	}
	if fields.has("healthyThreshold") {
		patch.HealthyThreshold = full.HealthyThreshold
	}
	if fields.has("unhealthyThreshold") {
		patch.UnhealthyThreshold = full.UnhealthyThreshold
	}
	if fields.has("type", "requestPath", "host", "port", "portSpecification",
		"httpHealthCheck", "httpsHealthCheck", "http2HealthCheck", "tcpHealthCheck") {
		patch.Type = full.Type
		patch.HttpHealthCheck, patch.HttpsHealthCheck = full.HttpHealthCheck, full.HttpsHealthCheck
		patch.Http2HealthCheck, patch.TcpHealthCheck = full.Http2HealthCheck, full.TcpHealthCheck
		patch.NullFields = dropped(now, patch, "HttpHealthCheck", "HttpsHealthCheck", "Http2HealthCheck",
			"TcpHealthCheck", "SslHealthCheck", "GrpcHealthCheck", "GrpcTlsHealthCheck")
		const fields = "RequestPath Host Port PortName Request Response"
		dropIn(now.HttpHealthCheck, patch.HttpHealthCheck, fields)
		dropIn(now.HttpsHealthCheck, patch.HttpsHealthCheck, fields)
		dropIn(now.Http2HealthCheck, patch.Http2HealthCheck, fields)
		dropIn(now.TcpHealthCheck, patch.TcpHealthCheck, fields)
	}
	return patch
}

func (c *Compute) patchService(r Resource, spec Service, now *compute.BackendService, fields fieldSet) *compute.BackendService {
	full := toService(r, spec, c.project)
	patch := &compute.BackendService{Fingerprint: now.Fingerprint}
	if fields.has("description") {
		patch.Description = full.Description
	}
	if fields.has("protocol") {
		patch.Protocol = full.Protocol
	}
	if fields.has("healthChecks") {
		patch.HealthChecks = full.HealthChecks
	}
	if fields.has("timeoutSec") {
		patch.TimeoutSec = full.TimeoutSec
	}
	if fields.has("connectionDraining") {
		patch.ConnectionDraining = full.ConnectionDraining
	}
	if fields.has("backends") {
		kept := foreignBackends(now.Backends, spec.Backends, c.project, c.isOurs)
		patch.Backends = append(kept, mergeBackends(now.Backends, spec.Backends, c.project)...)
		if len(patch.Backends) == 0 {
			patch.ForceSendFields = append(patch.ForceSendFields, "Backends")
		}
	}
	return patch
}

// isOurs reports whether an endpoint group is known to bear the owner's mark.
func (c *Compute) isOurs(group ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, found := c.groups[group]
	return found
}

// routeFields are the fields of a URL map that belong together.
var routeFields = []string{"defaultService", "defaultRouteAction", "defaultUrlRedirect", "hostRules", "pathMatchers"}

func patchURLMap(r Resource, spec URLMap, now *compute.UrlMap, fields fieldSet, project string) *compute.UrlMap {
	full, patch := toURLMap(r, spec, project), &compute.UrlMap{Fingerprint: now.Fingerprint}
	if fields.has("description") {
		patch.Description = full.Description
	}
	if fields.has(routeFields...) {
		patch.DefaultService, patch.DefaultRouteAction = full.DefaultService, full.DefaultRouteAction
		patch.DefaultUrlRedirect = full.DefaultUrlRedirect
		patch.HostRules, patch.PathMatchers = full.HostRules, full.PathMatchers
		patch.NullFields = dropped(now, patch, "DefaultService", "DefaultRouteAction", "DefaultUrlRedirect",
			"HostRules", "PathMatchers")
		dropIn(now.DefaultRouteAction, patch.DefaultRouteAction, everyField)
		dropIn(now.DefaultUrlRedirect, patch.DefaultUrlRedirect, everyField)
	}
	return patch
}

// proxyChanges are the calls of an update of a target proxy: each of its references
// has one of its own.
func (c *Compute) proxyChanges(a Action, raw any, p string) ([]mutation, *Error) {
	spec, _ := a.Want.Spec.(Proxy)
	name, fields, mark := a.ID.Name, fieldSet(a.Fields), a.Want.Mark.text()
	urlMap := &compute.UrlMapReference{UrlMap: linkOf(spec.URLMap, p)}
	var out []mutation
	switch now := raw.(type) {
	case *compute.TargetHttpProxy:
		if fields.has("urlMap") {
			out = append(out, send("targetHttpProxies.setUrlMap", p, "", c.api.TargetHttpProxies.SetUrlMap(p, name, urlMap)))
		}
		if fields.has("description") && now.Description != mark {
			out = append(out, c.lockedPatch("targetHttpProxies.patch", p, a.ID, mark))
		}
	case *compute.TargetHttpsProxy:
		if fields.has("sslCertificates") {
			body := &compute.TargetHttpsProxiesSetSslCertificatesRequest{SslCertificates: linksOf(spec.Certificates, p)}
			out = append(out, send("targetHttpsProxies.setSslCertificates", p, "", c.api.TargetHttpsProxies.SetSslCertificates(p, name, body)))
		}
		if fields.has("urlMap") {
			out = append(out, send("targetHttpsProxies.setUrlMap", p, "", c.api.TargetHttpsProxies.SetUrlMap(p, name, urlMap)))
		}
		if fields.has("description") && now.Description != mark {
			out = append(out, c.lockedPatch("targetHttpsProxies.patch", p, a.ID, mark))
		}
	}
	return out, nil
}

// lockedPatch changes the description of a proxy. The fingerprint is read at the time
// of the call, since the calls before it change it.
func (c *Compute) lockedPatch(method, p string, id ID, description string) mutation {
	return mutation{method, p, "", func(ctx context.Context, request string) (*compute.Operation, error) {
		if id.Kind == KindHTTPProxy {
			now, err := c.api.TargetHttpProxies.Get(p, id.Name).Context(ctx).Do()
			if err != nil {
				return nil, err
			}
			patch := &compute.TargetHttpProxy{Description: description, Fingerprint: now.Fingerprint}
			return c.api.TargetHttpProxies.Patch(p, id.Name, patch).RequestId(request).Context(ctx).Do()
		}
		now, err := c.api.TargetHttpsProxies.Get(p, id.Name).Context(ctx).Do()
		if err != nil {
			return nil, err
		}
		patch := &compute.TargetHttpsProxy{Description: description, Fingerprint: now.Fingerprint}
		return c.api.TargetHttpsProxies.Patch(p, id.Name, patch).RequestId(request).Context(ctx).Do()
	}}
}

// dropped returns those of the fields that are set now and not wanted: a patch has to
// say null for them. Both are pointers to the same struct. A field that the struct does
// not have is passed over.
func dropped(now, want any, fields ...string) []string {
	n, w := reflect.ValueOf(now).Elem(), reflect.ValueOf(want).Elem()
	var out []string
	for _, name := range fields {
		if f := n.FieldByName(name); f.IsValid() && !f.IsZero() && w.FieldByName(name).IsZero() {
			out = append(out, name)
		}
	}
	return out
}

// everyField stands for all fields of a part.
const everyField = ""

// dropIn makes the wanted part of a resource replace the present one in the given
// fields, not merge with it. Either may be nil.
func dropIn[T any](now, want *T, fields string) {
	if now == nil || want == nil {
		return
	}
	w := reflect.ValueOf(want).Elem()
	names := strings.Fields(fields)
	if fields == everyField {
		for _, f := range reflect.VisibleFields(w.Type()) {
			if f.Name != "ForceSendFields" && f.Name != "NullFields" {
				names = append(names, f.Name)
			}
		}
	}
	w.FieldByName("NullFields").Set(reflect.ValueOf(dropped(now, want, names...)))
}
