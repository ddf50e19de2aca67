package gcp

import (
	"context"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"
)

// insertion is the call that makes the resource of an action.
func (c *Compute) insertion(a Action) (mutation, *Error) {
	r, p := a.Want, c.project
	switch spec := r.Spec.(type) {
	case Address:
		return send("globalAddresses.insert", p, "", c.api.GlobalAddresses.Insert(p, toAddress(r))), nil
	case Firewall:
		p = c.projectOf(spec)
		return send("firewalls.insert", p, "", c.api.Firewalls.Insert(p, toFirewall(r, spec))), nil
	case HealthCheck:
		return send("healthChecks.insert", p, "", c.api.HealthChecks.Insert(p, toHealthCheck(r, spec))), nil
	case Group:
		return send("networkEndpointGroups.insert", p, r.ID.Zone,
			c.api.NetworkEndpointGroups.Insert(p, r.ID.Zone, toGroup(r, spec))), nil
	case Service:
		return send("backendServices.insert", p, "", c.api.BackendServices.Insert(p, toService(r, spec, p))), nil
	case URLMap:
		return send("urlMaps.insert", p, "", c.api.UrlMaps.Insert(p, toURLMap(r, spec, p))), nil
	case Certificate:
		return send("sslCertificates.insert", p, "", c.api.SslCertificates.Insert(p, toCertificate(r, spec))), nil
	case Proxy:
		if r.ID.Kind == KindHTTPSProxy {
			return send("targetHttpsProxies.insert", p, "", c.api.TargetHttpsProxies.Insert(p, toHTTPSProxy(r, spec, p))), nil
		}
		return send("targetHttpProxies.insert", p, "", c.api.TargetHttpProxies.Insert(p, toHTTPProxy(r, spec, p))), nil
	case Rule:
		return send("globalForwardingRules.insert", p, "", c.api.GlobalForwardingRules.Insert(p, toRule(r, spec, p))), nil
	}
	return mutation{}, invalid(a, "there is no such kind of resource")
}

// deletion is the call that deletes the resource of an action.
func (c *Compute) deletion(a Action, p string) (mutation, *Error) {
	name := a.ID.Name
	switch a.ID.Kind {
	case KindAddress:
		return send("globalAddresses.delete", p, "", c.api.GlobalAddresses.Delete(p, name)), nil
	case KindFirewall:
		return send("firewalls.delete", p, "", c.api.Firewalls.Delete(p, name)), nil
	case KindHealthCheck:
		return send("healthChecks.delete", p, "", c.api.HealthChecks.Delete(p, name)), nil
	case KindGroup:
		return send("networkEndpointGroups.delete", p, a.ID.Zone, c.api.NetworkEndpointGroups.Delete(p, a.ID.Zone, name)), nil
	case KindService:
		return send("backendServices.delete", p, "", c.api.BackendServices.Delete(p, name)), nil
	case KindURLMap:
		return send("urlMaps.delete", p, "", c.api.UrlMaps.Delete(p, name)), nil
	case KindCertificate:
		return send("sslCertificates.delete", p, "", c.api.SslCertificates.Delete(p, name)), nil
	case KindHTTPProxy:
		return send("targetHttpProxies.delete", p, "", c.api.TargetHttpProxies.Delete(p, name)), nil
	case KindHTTPSProxy:
		return send("targetHttpsProxies.delete", p, "", c.api.TargetHttpsProxies.Delete(p, name)), nil
	case KindRule:
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
func read[R any, T readCall[T, R]](ctx context.Context, c *Compute, id ID, method string, call T) (R, error) {
	var out R
	err := c.ask(ctx, id, method, func(ctx context.Context) error {
		var err error
		out, err = call.Context(ctx).Do()
		return err
	})
	return out, err
}

// fetch reads a resource. Its value is a pointer to the API's type.
func (c *Compute) fetch(ctx context.Context, id ID, p string) (raw any, description string, err error) {
	name := id.Name
	switch id.Kind {
	case KindAddress:
		r, err := read[*compute.Address](ctx, c, id, "globalAddresses.get", c.api.GlobalAddresses.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case KindFirewall:
		r, err := read[*compute.Firewall](ctx, c, id, "firewalls.get", c.api.Firewalls.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case KindHealthCheck:
		r, err := read[*compute.HealthCheck](ctx, c, id, "healthChecks.get", c.api.HealthChecks.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case KindGroup:
		r, err := read[*compute.NetworkEndpointGroup](ctx, c, id, "networkEndpointGroups.get",
			c.api.NetworkEndpointGroups.Get(p, id.Zone, name))
		return described(r, err, func() string { return r.Description })
	case KindService:
		r, err := read[*compute.BackendService](ctx, c, id, "backendServices.get", c.api.BackendServices.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case KindURLMap:
		r, err := read[*compute.UrlMap](ctx, c, id, "urlMaps.get", c.api.UrlMaps.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case KindCertificate:
		r, err := read[*compute.SslCertificate](ctx, c, id, "sslCertificates.get", c.api.SslCertificates.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case KindHTTPProxy:
		r, err := read[*compute.TargetHttpProxy](ctx, c, id, "targetHttpProxies.get", c.api.TargetHttpProxies.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case KindHTTPSProxy:
		r, err := read[*compute.TargetHttpsProxy](ctx, c, id, "targetHttpsProxies.get", c.api.TargetHttpsProxies.Get(p, name))
		return described(r, err, func() string { return r.Description })
	case KindRule:
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
