package gcp

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/api/compute/v1"
)

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
	if a.Fields = c.left(a, raw, project); len(a.Fields) == 0 {
		return nil // an attempt before did it
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

// left returns those of an update's fields that are not as wanted yet; all that are not
// where it names none.
func (c *Compute) left(a Action, raw any, project string) []string {
	now := observed(raw, project)
	if spec, ok := now.Spec.(Service); ok {
		now.Spec = c.withoutForeign(spec, groupsOf(a.Want.Spec))
	}
	fields := a.Want.Spec.differs(now.Spec)
	if now.Mark.text() != a.Want.Mark.text() {
		fields = append(fields, fieldDescription)
	}
	if len(a.Fields) == 0 {
		return fields
	}
	return slices.DeleteFunc(fields, func(field string) bool { return !fieldSet(a.Fields).has(field) })
}

// groupsOf are the groups behind a backend service.
func groupsOf(spec Spec) map[ID]bool {
	out := map[ID]bool{}
	if s, ok := spec.(Service); ok {
		for _, b := range s.Backends {
			out[b.Group] = true
		}
	}
	return out
}

// observed is a resource as Look would show it, of the kinds that can be changed.
func observed(raw any, project string) Resource {
	switch r := raw.(type) {
	case *compute.Firewall:
		return seenResource(ID{}, r.Description, "", fromFirewall(r, project))
	case *compute.HealthCheck:
		return seenResource(ID{}, r.Description, "", fromHealthCheck(r))
	case *compute.BackendService:
		return seenResource(ID{}, r.Description, "", fromService(r, project))
	case *compute.UrlMap:
		return seenResource(ID{}, r.Description, "", fromURLMap(r, project))
	case *compute.TargetHttpProxy:
		return seenResource(ID{}, r.Description, "", fromHTTPProxy(r, project))
	case *compute.TargetHttpsProxy:
		return seenResource(ID{}, r.Description, "", fromHTTPSProxy(r, project))
	case *compute.ForwardingRule:
		return seenResource(ID{}, r.Description, "", fromRule(r, project))
	}
	return Resource{}
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
	if fields := c.left(a, raw, project); len(fields) > 0 {
		return &Error{
			ID: a.ID, Verb: a.Verb, Class: ClassChanged, ended: true,
			Err: errors.New("another client changed it at the same time: " + strings.Join(fields, ", ")),
		}
	}
	return nil
}

// proxyChanges are the calls of an update of a target proxy: each of its references
// has one of its own.
func (c *Compute) proxyChanges(a Action, raw any, p string) ([]mutation, *Error) {
	spec, _ := a.Want.Spec.(Proxy)
	name, fields, mark := a.ID.Name, fieldSet(a.Fields), a.Want.Mark.text()
	urlMap := &compute.UrlMapReference{UrlMap: linkOf(spec.URLMap, p)}
	var out []mutation
	switch raw.(type) {
	case *compute.TargetHttpProxy:
		if fields.has("urlMap") {
			out = append(out, send("targetHttpProxies.setUrlMap", p, "", c.api.TargetHttpProxies.SetUrlMap(p, name, urlMap)))
		}
		if fields.has("description") {
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
		if fields.has("description") {
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
