package gce

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
)

// update changes only the fields of an action, in a resource that bears the owner's mark.
func (c *Client) update(ctx context.Context, a gcp.Action, request string) *gcp.Error {
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
		return nil // an earlier attempt succeeded
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

// left returns those of an update's fields that still differ; if it names none, all fields
// that differ.
func (c *Client) left(a gcp.Action, raw any, project string) []string {
	now := observed(raw, project)
	if spec, ok := now.Spec.(gcp.Service); ok {
		now.Spec = c.withoutForeign(spec, groupsOf(a.Want.Spec))
	}
	fields := gcp.Differences(a.Want.Spec, now.Spec)
	if now.Mark.Text() != a.Want.Mark.Text() {
		fields = append(fields, gcp.FieldDescription)
	}
	if len(a.Fields) == 0 {
		return fields
	}
	return slices.DeleteFunc(fields, func(field string) bool { return !fieldSet(a.Fields).has(field) })
}

// groupsOf returns the groups behind a backend service.
func groupsOf(spec gcp.Spec) map[gcp.ID]bool {
	out := map[gcp.ID]bool{}
	if s, ok := spec.(gcp.Service); ok {
		for _, b := range s.Backends {
			out[b.Group] = true
		}
	}
	return out
}

// observed returns a resource as Observe would return it, of the kinds that can be changed.
func observed(raw any, project string) gcp.Resource {
	switch r := raw.(type) {
	case *compute.Firewall:
		return seenResource(gcp.ID{}, r.Description, "", convert.FromFirewall(r, project))
	case *compute.HealthCheck:
		return seenResource(gcp.ID{}, r.Description, "", convert.FromHealthCheck(r))
	case *compute.BackendService:
		return seenResource(gcp.ID{}, r.Description, "", convert.FromService(r, project))
	case *compute.UrlMap:
		return seenResource(gcp.ID{}, r.Description, "", convert.FromURLMap(r, project))
	case *compute.TargetHttpProxy:
		return seenResource(gcp.ID{}, r.Description, "", convert.FromHTTPProxy(r, project))
	case *compute.TargetHttpsProxy:
		return seenResource(gcp.ID{}, r.Description, "", convert.FromHTTPSProxy(r, project))
	case *compute.ForwardingRule:
		return seenResource(gcp.ID{}, r.Description, "", convert.FromRule(r, project))
	}
	return gcp.Resource{}
}

// stale returns an error if a resource with a fingerprint was written since it was read:
// the plan may not be valid for its present state.
func stale(a gcp.Action, raw any) *gcp.Error {
	lock := reflect.ValueOf(raw).Elem().FieldByName("Fingerprint")
	if a.Want.Fingerprint == "" || !lock.IsValid() || lock.String() == a.Want.Fingerprint {
		return nil
	}
	return &gcp.Error{
		ID: a.ID, Verb: a.Verb, Class: gcp.ClassChanged, Ended: true,
		Err: errors.New("it was changed since it was read"),
	}
}

// changes returns the calls of an update, given the present resource.
func (c *Client) changes(a gcp.Action, raw any, p string) ([]mutation, *gcp.Error) {
	name, fields := a.ID.Name, fieldSet(a.Fields)
	switch now := raw.(type) {
	case *compute.Firewall:
		spec, _ := a.Want.Spec.(gcp.Firewall)
		return []mutation{send("firewalls.patch", p, "", c.api.Firewalls.Patch(p, name, patchFirewall(a.Want, spec, now, fields)))}, nil
	case *compute.HealthCheck:
		spec, _ := a.Want.Spec.(gcp.HealthCheck)
		return []mutation{send("healthChecks.patch", p, "", c.api.HealthChecks.Patch(p, name, patchHealthCheck(a.Want, spec, now, fields)))}, nil
	case *compute.BackendService:
		if now.LoadBalancingScheme != convert.SchemeManaged {
			return nil, invalid(a, "its scheme is %s, which cannot be changed in place: delete it, and fedsync creates it again", now.LoadBalancingScheme)
		}
		spec, _ := a.Want.Spec.(gcp.Service)
		patch := c.patchService(a.Want, spec, now, fields)
		return []mutation{send("backendServices.patch", p, "", c.api.BackendServices.Patch(p, name, patch))}, nil
	case *compute.UrlMap:
		spec, _ := a.Want.Spec.(gcp.URLMap)
		return []mutation{send("urlMaps.patch", p, "", c.api.UrlMaps.Patch(p, name, patchURLMap(a.Want, spec, now, fields, p)))}, nil
	case *compute.TargetHttpProxy, *compute.TargetHttpsProxy:
		return c.proxyChanges(a, raw, p)
	case *compute.ForwardingRule:
		spec, _ := a.Want.Spec.(gcp.Rule)
		if !fields.has("target") || len(fields) > 1 {
			return nil, invalid(a, "only the target of a forwarding rule can be changed")
		}
		body := &compute.TargetReference{Target: convert.LinkOf(spec.Target, p)}
		return []mutation{send("globalForwardingRules.setTarget", p, "", c.api.GlobalForwardingRules.SetTarget(p, name, body))}, nil
	}
	return nil, invalid(a, "it cannot be changed in place")
}

// verify reads a resource without a fingerprint again: another client may have written it
// at the same time, and the last write wins.
func (c *Client) verify(ctx context.Context, a gcp.Action, project string) *gcp.Error {
	if a.ID.Kind != gcp.KindFirewall && a.ID.Kind != gcp.KindHealthCheck {
		return nil
	}
	raw, _, err := c.fetch(ctx, a.ID, project)
	if err != nil {
		e := asError(err)
		e.Verb, e.Ended = a.Verb, true
		return e
	}
	if fields := c.left(a, raw, project); len(fields) > 0 {
		return &gcp.Error{
			ID: a.ID, Verb: a.Verb, Class: gcp.ClassChanged, Ended: true,
			Err: errors.New("another client changed it at the same time: " + strings.Join(fields, ", ")),
		}
	}
	return nil
}

// proxyChanges returns the calls of an update of a target proxy: each reference has a
// call of its own.
func (c *Client) proxyChanges(a gcp.Action, raw any, p string) ([]mutation, *gcp.Error) {
	spec, _ := a.Want.Spec.(gcp.Proxy)
	name, fields, mark := a.ID.Name, fieldSet(a.Fields), a.Want.Mark.Text()
	urlMap := &compute.UrlMapReference{UrlMap: convert.LinkOf(spec.URLMap, p)}
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
			body := &compute.TargetHttpsProxiesSetSslCertificatesRequest{SslCertificates: convert.LinksOf(spec.Certificates, p)}
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

// lockedPatch returns a call that changes the description of a proxy. It reads the
// fingerprint first, since the calls before it change it.
func (c *Client) lockedPatch(method, p string, id gcp.ID, description string) mutation {
	return mutation{method, p, "", func(ctx context.Context, request string) (*compute.Operation, error) {
		if id.Kind == gcp.KindHTTPProxy {
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
