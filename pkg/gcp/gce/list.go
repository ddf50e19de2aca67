package gce

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
)

// maxPages bounds the number of pages of a list.
const maxPages = 1000

// pages reads a list page by page. With an error it returns the items read so far.
func pages[T any](ctx context.Context, c *Client, id gcp.ID, method string,
	page func(ctx context.Context, token string) (items []T, next string, err error),
) ([]T, error) {
	var all []T
	token := ""
	for range maxPages {
		var items []T
		var next string
		err := c.ask(ctx, id, method, func(ctx context.Context) error {
			var err error
			items, next, err = page(ctx, token)
			return err
		})
		all = append(all, items...)
		if err != nil || next == "" {
			return all, err
		}
		token = next
	}
	return all, fmt.Errorf("the list has more than %d pages", maxPages)
}

// spread returns a random time between half of the bound and the bound, so that things
// read at the same time are not read at the same time again.
func spread(bound time.Duration) time.Duration {
	return bound/2 + rand.N(bound/2) //nolint:gosec // spreads load
}

// seenResource returns an observed resource.
func seenResource(id gcp.ID, description, fingerprint string, spec gcp.Spec) gcp.Resource {
	r := gcp.Resource{ID: id, Mark: gcp.ReadMark(description), Spec: spec, Fingerprint: fingerprint}
	if r.Mark.Federation == "" {
		r.Description = description
		if len(description) > gcp.MaxDescription {
			r.Description = strings.ToValidUTF8(description[:gcp.MaxDescription], "")
		}
	}
	return r
}

// listOf returns a function that reads all resources of a global kind.
func listOf[T any](c *Client, kind gcp.Kind, method string,
	page func(ctx context.Context, token string) ([]T, string, error), read func(T) gcp.Resource,
) func(context.Context) listing {
	return func(ctx context.Context) listing {
		items, err := pages(ctx, c, gcp.ID{}, method, page)
		l := listing{kind: kind, err: err}
		for _, item := range items {
			l.resources = append(l.resources, read(item))
		}
		return l
	}
}

// listCall is a call of the API that reads a page of a list.
type listCall[T, L any] interface {
	MaxResults(n int64) T
	PageToken(token string) T
	Context(ctx context.Context) T
	Do(opts ...googleapi.CallOption) (L, error)
}

// pageOf reads one page.
func pageOf[L any, T listCall[T, L]](ctx context.Context, c *Client, call T, token string) (L, error) {
	return call.MaxResults(c.pageSize).PageToken(token).Context(ctx).Do()
}

// listers returns a function for each kind that reads it.
func (c *Client) listers(scope gcp.Scope) []func(context.Context) listing {
	return append(c.frontListers(), c.listAddresses(), c.listFirewalls(scope.Network), c.listHealthChecks(),
		c.listGroups, c.listServices())
}

func (c *Client) listAddresses() func(context.Context) listing {
	p := c.project
	return listOf(c, gcp.KindAddress, "globalAddresses.list",
		func(ctx context.Context, token string) ([]*compute.Address, string, error) {
			l, err := pageOf[*compute.AddressList](ctx, c, c.api.GlobalAddresses.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(a *compute.Address) gcp.Resource {
			return seenResource(gcp.ID{Kind: gcp.KindAddress, Name: a.Name}, a.Description, "", convert.FromAddress(a))
		})
}

// listFirewalls reads the firewall rules of the network's project.
func (c *Client) listFirewalls(network string) func(context.Context) listing {
	p := convert.NetworkProject(network, c.project)
	return listOf(c, gcp.KindFirewall, "firewalls.list",
		func(ctx context.Context, token string) ([]*compute.Firewall, string, error) {
			l, err := pageOf[*compute.FirewallList](ctx, c, c.api.Firewalls.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(f *compute.Firewall) gcp.Resource {
			return seenResource(gcp.ID{Kind: gcp.KindFirewall, Name: f.Name}, f.Description, "", convert.FromFirewall(f, p))
		})
}

func (c *Client) listHealthChecks() func(context.Context) listing {
	p := c.project
	return listOf(c, gcp.KindHealthCheck, "healthChecks.list",
		func(ctx context.Context, token string) ([]*compute.HealthCheck, string, error) {
			l, err := pageOf[*compute.HealthCheckList](ctx, c, c.api.HealthChecks.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(h *compute.HealthCheck) gcp.Resource {
			return seenResource(gcp.ID{Kind: gcp.KindHealthCheck, Name: h.Name}, h.Description, "", convert.FromHealthCheck(h))
		})
}

func (c *Client) listServices() func(context.Context) listing {
	p := c.project
	return listOf(c, gcp.KindService, "backendServices.list",
		func(ctx context.Context, token string) ([]*compute.BackendService, string, error) {
			l, err := pageOf[*compute.BackendServiceList](ctx, c, c.api.BackendServices.List(p), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		}, func(s *compute.BackendService) gcp.Resource {
			return seenResource(gcp.ID{Kind: gcp.KindService, Name: s.Name}, s.Description, s.Fingerprint, convert.FromService(s, p))
		})
}

// listGroups reads the endpoint groups of all zones. A successful page may name a zone
// that does not answer: then the list is incomplete.
func (c *Client) listGroups(ctx context.Context) listing {
	l := listing{kind: gcp.KindGroup}
	silent := map[string]bool{}
	_, l.err = pages(ctx, c, gcp.ID{}, "networkEndpointGroups.aggregatedList",
		func(ctx context.Context, token string) ([]struct{}, string, error) {
			page, err := pageOf[*compute.NetworkEndpointGroupAggregatedList](ctx, c,
				c.api.NetworkEndpointGroups.AggregatedList(c.project), token)
			if err != nil {
				return nil, "", err
			}
			for _, scope := range page.Unreachables {
				silent[scope] = true
			}
			if page.Warning != nil && page.Warning.Code != "NO_RESULTS_ON_PAGE" {
				silent[page.Warning.Code] = true
			}
			for scope, items := range page.Items {
				if w := items.Warning; w != nil && w.Code != "NO_RESULTS_ON_PAGE" {
					silent[scope] = true
				}
				l.resources = append(l.resources, c.groupsOf(scope, items.NetworkEndpointGroups)...)
			}
			return nil, page.NextPageToken, nil
		})
	if l.err == nil && len(silent) > 0 {
		l.err = errors.New("no answer from " + strings.Join(sortedKeys(silent), ", "))
	}
	return l
}

// groupsOf returns the zonal groups of a scope, which is "zones/Z" for a zone.
func (c *Client) groupsOf(scope string, groups []*compute.NetworkEndpointGroup) []gcp.Resource {
	zone, zonal := strings.CutPrefix(scope, "zones/")
	if !zonal {
		return nil
	}
	var out []gcp.Resource
	for _, g := range groups {
		id := gcp.ID{Kind: gcp.KindGroup, Zone: zone, Name: g.Name}
		out = append(out, seenResource(id, g.Description, "", convert.FromGroup(g, c.project)))
	}
	return out
}
