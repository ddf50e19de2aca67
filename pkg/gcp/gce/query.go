package gce

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
)

// Health asks a backend service for the health of one of its groups. A group without
// endpoints in the answer has not been probed yet.
func (c *Client) Health(ctx context.Context, service, group gcp.ID) (gcp.GroupHealth, error) {
	out := gcp.GroupHealth{At: time.Now()}
	body := &compute.ResourceGroupReference{Group: convert.LinkOf(group, c.project)}
	answer, err := read[*compute.BackendServiceGroupHealth](ctx, c, service, "backendServices.getHealth",
		c.api.BackendServices.GetHealth(c.project, service.Name, body))
	if err != nil {
		return gcp.GroupHealth{}, err
	}
	for _, endpoint := range answer.HealthStatus {
		switch endpoint.HealthState {
		case "HEALTHY":
			out.Healthy++
		case "UNHEALTHY":
			out.Unhealthy++
		default:
			out.Unknown++
		}
	}
	return out, nil
}

// Missing returns which of the permissions ("compute.urlMaps.update") are missing,
// sorted. Permissions can be tested only for backend services, URL maps and firewall
// rules, and only if a resource of ours of that kind exists. All others count as granted.
func (c *Client) Missing(ctx context.Context, permissions []string) ([]string, error) {
	var missing []string
	for _, kind := range []gcp.Kind{gcp.KindService, gcp.KindURLMap, gcp.KindFirewall} {
		asked := slices.DeleteFunc(slices.Clone(permissions), func(p string) bool {
			return !strings.HasPrefix(p, "compute."+convert.Collections[kind]+".")
		})
		c.mu.Lock()
		sample, found := c.samples[kind]
		c.mu.Unlock()
		if !found || len(asked) == 0 {
			continue
		}
		granted, err := c.testPermissions(ctx, sample, asked)
		if absent(err) {
			continue // it has just been deleted
		}
		if err != nil {
			return nil, err
		}
		for _, p := range asked {
			if !slices.Contains(granted, p) {
				missing = append(missing, p)
			}
		}
	}
	slices.Sort(missing)
	return missing, nil
}

func (c *Client) testPermissions(ctx context.Context, on gcp.Resource, permissions []string) ([]string, error) {
	body := &compute.TestPermissionsRequest{Permissions: permissions}
	project, name := c.projectOf(on.Spec), on.ID.Name
	var answer *compute.TestPermissionsResponse
	var err error
	switch on.ID.Kind {
	case gcp.KindFirewall:
		answer, err = read[*compute.TestPermissionsResponse](ctx, c, on.ID, "firewalls.testIamPermissions",
			c.api.Firewalls.TestIamPermissions(project, name, body))
	case gcp.KindURLMap:
		answer, err = read[*compute.TestPermissionsResponse](ctx, c, on.ID, "urlMaps.testIamPermissions",
			c.api.UrlMaps.TestIamPermissions(project, name, body))
	case gcp.KindService:
		answer, err = read[*compute.TestPermissionsResponse](ctx, c, on.ID, "backendServices.testIamPermissions",
			c.api.BackendServices.TestIamPermissions(project, name, body))
	case gcp.KindAddress, gcp.KindHealthCheck, gcp.KindGroup, gcp.KindCertificate, gcp.KindHTTPProxy, gcp.KindHTTPSProxy, gcp.KindRule:
		return permissions, nil // the API has no such method
	}
	if err != nil {
		return nil, err
	}
	return answer.Permissions, nil
}

// Quotas returns the quotas of the project, sorted by metric.
func (c *Client) Quotas(ctx context.Context) ([]gcp.Quota, error) {
	project, err := read[*compute.Project](ctx, c, gcp.ID{}, "projects.get", c.api.Projects.Get(c.project))
	if err != nil {
		return nil, err
	}
	var out []gcp.Quota
	for _, q := range project.Quotas {
		out = append(out, gcp.Quota{Metric: q.Metric, Limit: q.Limit, Usage: q.Usage})
	}
	slices.SortFunc(out, func(a, b gcp.Quota) int { return strings.Compare(a.Metric, b.Metric) })
	return out, nil
}
