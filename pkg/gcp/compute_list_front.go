package gcp

import (
	"context"
	"maps"
	"slices"

	"google.golang.org/api/compute/v1"
)

// frontListers read the kinds in front of the backend services.
func (c *Compute) frontListers() []func(context.Context) listing {
	return []func(context.Context) listing{
		c.listURLMaps(), c.listCertificates(), c.listHTTPProxies(), c.listHTTPSProxies(), c.listRules(),
	}
}

func (c *Compute) listURLMaps() func(context.Context) listing {
	p := c.project
	return listOf(c, KindURLMap, "urlMaps.list",
		func(ctx context.Context, token string) ([]*compute.UrlMap, string, error) {
			l, err := pageOf[*compute.UrlMapList](ctx, c, c.api.UrlMaps.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(m *compute.UrlMap) Resource {
			return seenResource(ID{Kind: KindURLMap, Name: m.Name}, m.Description, m.Fingerprint, fromURLMap(m, p))
		})
}

func (c *Compute) listCertificates() func(context.Context) listing {
	p := c.project
	return listOf(c, KindCertificate, "sslCertificates.list",
		func(ctx context.Context, token string) ([]*compute.SslCertificate, string, error) {
			l, err := pageOf[*compute.SslCertificateList](ctx, c, c.api.SslCertificates.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(s *compute.SslCertificate) Resource {
			return seenResource(ID{Kind: KindCertificate, Name: s.Name}, s.Description, "", Certificate{})
		})
}

func (c *Compute) listHTTPProxies() func(context.Context) listing {
	p := c.project
	return listOf(c, KindHTTPProxy, "targetHttpProxies.list",
		func(ctx context.Context, token string) ([]*compute.TargetHttpProxy, string, error) {
			l, err := pageOf[*compute.TargetHttpProxyList](ctx, c, c.api.TargetHttpProxies.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(t *compute.TargetHttpProxy) Resource {
			return seenResource(ID{Kind: KindHTTPProxy, Name: t.Name}, t.Description, t.Fingerprint, fromHTTPProxy(t, p))
		})
}

func (c *Compute) listHTTPSProxies() func(context.Context) listing {
	p := c.project
	return listOf(c, KindHTTPSProxy, "targetHttpsProxies.list",
		func(ctx context.Context, token string) ([]*compute.TargetHttpsProxy, string, error) {
			l, err := pageOf[*compute.TargetHttpsProxyList](ctx, c, c.api.TargetHttpsProxies.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(t *compute.TargetHttpsProxy) Resource {
			return seenResource(ID{Kind: KindHTTPSProxy, Name: t.Name}, t.Description, t.Fingerprint, fromHTTPSProxy(t, p))
		})
}

func (c *Compute) listRules() func(context.Context) listing {
	p := c.project
	return listOf(c, KindRule, "globalForwardingRules.list",
		func(ctx context.Context, token string) ([]*compute.ForwardingRule, string, error) {
			l, err := pageOf[*compute.ForwardingRuleList](ctx, c, c.api.GlobalForwardingRules.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(f *compute.ForwardingRule) Resource {
			return seenResource(ID{Kind: KindRule, Name: f.Name}, f.Description, f.Fingerprint, fromRule(f, p))
		})
}

func sortedKeys(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
