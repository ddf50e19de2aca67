package gce

import (
	"context"
	"maps"
	"slices"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
)

// frontListers returns the listers of the kinds in front of the backend services.
func (c *Client) frontListers() []func(context.Context) listing {
	return []func(context.Context) listing{
		c.listURLMaps(), c.listCertificates(), c.listHTTPProxies(), c.listHTTPSProxies(), c.listRules(),
	}
}

func (c *Client) listURLMaps() func(context.Context) listing {
	p := c.project
	return listOf(c, gcp.KindURLMap, "urlMaps.list",
		func(ctx context.Context, token string) ([]*compute.UrlMap, string, error) {
			l, err := pageOf[*compute.UrlMapList](ctx, c, c.api.UrlMaps.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(m *compute.UrlMap) gcp.Resource {
			return seenResource(gcp.ID{Kind: gcp.KindURLMap, Name: m.Name}, m.Description, m.Fingerprint, convert.FromURLMap(m, p))
		})
}

func (c *Client) listCertificates() func(context.Context) listing {
	p := c.project
	return listOf(c, gcp.KindCertificate, "sslCertificates.list",
		func(ctx context.Context, token string) ([]*compute.SslCertificate, string, error) {
			l, err := pageOf[*compute.SslCertificateList](ctx, c, c.api.SslCertificates.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(s *compute.SslCertificate) gcp.Resource {
			return seenResource(gcp.ID{Kind: gcp.KindCertificate, Name: s.Name}, s.Description, "", gcp.Certificate{})
		})
}

func (c *Client) listHTTPProxies() func(context.Context) listing {
	p := c.project
	return listOf(c, gcp.KindHTTPProxy, "targetHttpProxies.list",
		func(ctx context.Context, token string) ([]*compute.TargetHttpProxy, string, error) {
			l, err := pageOf[*compute.TargetHttpProxyList](ctx, c, c.api.TargetHttpProxies.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(t *compute.TargetHttpProxy) gcp.Resource {
			return seenResource(gcp.ID{Kind: gcp.KindHTTPProxy, Name: t.Name}, t.Description, t.Fingerprint, convert.FromHTTPProxy(t, p))
		})
}

func (c *Client) listHTTPSProxies() func(context.Context) listing {
	p := c.project
	return listOf(c, gcp.KindHTTPSProxy, "targetHttpsProxies.list",
		func(ctx context.Context, token string) ([]*compute.TargetHttpsProxy, string, error) {
			l, err := pageOf[*compute.TargetHttpsProxyList](ctx, c, c.api.TargetHttpsProxies.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(t *compute.TargetHttpsProxy) gcp.Resource {
			return seenResource(gcp.ID{Kind: gcp.KindHTTPSProxy, Name: t.Name}, t.Description, t.Fingerprint, convert.FromHTTPSProxy(t, p))
		})
}

func (c *Client) listRules() func(context.Context) listing {
	p := c.project
	return listOf(c, gcp.KindRule, "globalForwardingRules.list",
		func(ctx context.Context, token string) ([]*compute.ForwardingRule, string, error) {
			l, err := pageOf[*compute.ForwardingRuleList](ctx, c, c.api.GlobalForwardingRules.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(f *compute.ForwardingRule) gcp.Resource {
			return seenResource(gcp.ID{Kind: gcp.KindRule, Name: f.Name}, f.Description, f.Fingerprint, convert.FromRule(f, p))
		})
}

func sortedKeys(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
