package gce

import (
	"context"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
)

// insertion returns the call that creates the resource of an action.
func (c *Client) insertion(a gcp.Action) (mutation, *gcp.Error) {
	r, p := a.Want, c.project
	switch spec := r.Spec.(type) {
	case gcp.Address:
		return send("globalAddresses.insert", p, "", c.api.GlobalAddresses.Insert(p, convert.ToAddress(r))), nil
	case gcp.Firewall:
		p = c.projectOf(spec)
		return send("firewalls.insert", p, "", c.api.Firewalls.Insert(p, convert.ToFirewall(r, spec))), nil
	case gcp.HealthCheck:
		return send("healthChecks.insert", p, "", c.api.HealthChecks.Insert(p, convert.ToHealthCheck(r, spec))), nil
	case gcp.Group:
		return send("networkEndpointGroups.insert", p, r.ID.Zone,
			c.api.NetworkEndpointGroups.Insert(p, r.ID.Zone, convert.ToGroup(r, spec))), nil
	case gcp.Service:
		return send("backendServices.insert", p, "", c.api.BackendServices.Insert(p, convert.ToService(r, spec, p))), nil
	case gcp.URLMap:
		return send("urlMaps.insert", p, "", c.api.UrlMaps.Insert(p, convert.ToURLMap(r, spec, p))), nil
	case gcp.Certificate:
		return send("sslCertificates.insert", p, "", c.api.SslCertificates.Insert(p, convert.ToCertificate(r, spec))), nil
	case gcp.Proxy:
		if r.ID.Kind == gcp.KindHTTPSProxy {
			return send("targetHttpsProxies.insert", p, "", c.api.TargetHttpsProxies.Insert(p, convert.ToHTTPSProxy(r, spec, p))), nil
		}
		return send("targetHttpProxies.insert", p, "", c.api.TargetHttpProxies.Insert(p, convert.ToHTTPProxy(r, spec, p))), nil
	case gcp.Rule:
		return send("globalForwardingRules.insert", p, "", c.api.GlobalForwardingRules.Insert(p, convert.ToRule(r, spec, p))), nil
	}
	return mutation{}, invalid(a, "there is no such kind of resource")
}

// deletion returns the call that deletes the resource of an action.
func (c *Client) deletion(a gcp.Action, p string) (mutation, *gcp.Error) {
	name := a.ID.Name
	switch a.ID.Kind {
	case gcp.KindAddress:
		return send("globalAddresses.delete", p, "", c.api.GlobalAddresses.Delete(p, name)), nil
	case gcp.KindFirewall:
		return send("firewalls.delete", p, "", c.api.Firewalls.Delete(p, name)), nil
	case gcp.KindHealthCheck:
		return send("healthChecks.delete", p, "", c.api.HealthChecks.Delete(p, name)), nil
	case gcp.KindGroup:
		return send("networkEndpointGroups.delete", p, a.ID.Zone, c.api.NetworkEndpointGroups.Delete(p, a.ID.Zone, name)), nil
	case gcp.KindService:
		return send("backendServices.delete", p, "", c.api.BackendServices.Delete(p, name)), nil
	case gcp.KindURLMap:
		return send("urlMaps.delete", p, "", c.api.UrlMaps.Delete(p, name)), nil
	case gcp.KindCertificate:
		return send("sslCertificates.delete", p, "", c.api.SslCertificates.Delete(p, name)), nil
	case gcp.KindHTTPProxy:
		return send("targetHttpProxies.delete", p, "", c.api.TargetHttpProxies.Delete(p, name)), nil
	case gcp.KindHTTPSProxy:
		return send("targetHttpsProxies.delete", p, "", c.api.TargetHttpsProxies.Delete(p, name)), nil
	case gcp.KindRule:
		return send("globalForwardingRules.delete", p, "", c.api.GlobalForwardingRules.Delete(p, name)), nil
	}
	return mutation{}, invalid(a, "there is no such kind of resource")
}

// readCall is a call of the API that reads one resource.
type readCall[T, R any] interface {
	Context(ctx context.Context) T
	Do(opts ...googleapi.CallOption) (R, error)
}

// read makes a call that reads one resource.
func read[R any, T readCall[T, R]](ctx context.Context, c *Client, id gcp.ID, method string, call T) (R, error) {
	var out R
	err := c.ask(ctx, id, method, func(ctx context.Context) error {
		var err error
		out, err = call.Context(ctx).Do()
		return err
	})
	return out, err
}

// fetch reads a resource. The raw result is a pointer to the API's type.
func (c *Client) fetch(ctx context.Context, id gcp.ID, p string) (raw any, description string, err error) {
	name := id.Name
	switch id.Kind {
	case gcp.KindAddress:
		r, err := read[*compute.Address](ctx, c, id, "globalAddresses.get", c.api.GlobalAddresses.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case gcp.KindFirewall:
		r, err := read[*compute.Firewall](ctx, c, id, "firewalls.get", c.api.Firewalls.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case gcp.KindHealthCheck:
		r, err := read[*compute.HealthCheck](ctx, c, id, "healthChecks.get", c.api.HealthChecks.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case gcp.KindGroup:
		r, err := read[*compute.NetworkEndpointGroup](ctx, c, id, "networkEndpointGroups.get",
			c.api.NetworkEndpointGroups.Get(p, id.Zone, name))
		return described(r, err, func() string { return r.Description })
	case gcp.KindService:
		r, err := read[*compute.BackendService](ctx, c, id, "backendServices.get", c.api.BackendServices.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case gcp.KindURLMap:
		r, err := read[*compute.UrlMap](ctx, c, id, "urlMaps.get", c.api.UrlMaps.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case gcp.KindCertificate:
		r, err := read[*compute.SslCertificate](ctx, c, id, "sslCertificates.get", c.api.SslCertificates.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case gcp.KindHTTPProxy:
		r, err := read[*compute.TargetHttpProxy](ctx, c, id, "targetHttpProxies.get", c.api.TargetHttpProxies.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case gcp.KindHTTPSProxy:
		r, err := read[*compute.TargetHttpsProxy](ctx, c, id, "targetHttpsProxies.get", c.api.TargetHttpsProxies.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case gcp.KindRule:
		r, err := read[*compute.ForwardingRule](ctx, c, id, "globalForwardingRules.get", c.api.GlobalForwardingRules.Get(p, name))
		return described(r, err, func() string { return r.Description })
	}
	return nil, "", answer{status: 400, message: "there is no such kind of resource"}.fail("", id)
}

func described(raw any, err error, description func() string) (any, string, error) {
	if err != nil {
		return nil, "", err
	}
	return raw, description(), nil
}
