package gce

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
)

// groupRead holds when the endpoints of a group are due to be read again; zero means at
// the next Observe. Made is when an action of this process created the group, if one did.
type groupRead struct{ due, made time.Time }

const (
	// endpointsAge is how old the known endpoints of a group may get. The reads of
	// different groups are spread over this time.
	endpointsAge = 15 * time.Minute
	// endpointReads bounds the groups whose endpoints one Observe reads. All are due after
	// a start, and reading them all would delay everything else.
	endpointReads = 100
)

// observeEndpoints sets the endpoints of our groups. It uses those of the previous Observe
// unless they are due to be read again. If a read fails, the previous ones remain.
func (c *Client) observeEndpoints(ctx context.Context, seen *gcp.Observed, earlier gcp.Observed) []gcp.ReadError {
	due := c.dueGroups(seen, earlier)
	results := make([][]gcp.Endpoint, len(due))
	failures := make([]error, len(due))
	var work errgroup.Group
	work.SetLimit(readsAtOnce)
	for i, id := range due {
		work.Go(func() error {
			results[i], failures[i] = c.endpoints(ctx, id)
			return nil
		})
	}
	_ = work.Wait()
	var errs []gcp.ReadError
	for i, id := range due {
		if failures[i] != nil {
			errs = append(errs, gcp.ReadError{What: "endpoints of " + id.String(), Err: failures[i]})
			continue
		}
		setEndpoints(seen, id, results[i])
	}
	return errs
}

// dueGroups sets the endpoints of the previous Observe, and returns the groups whose
// endpoints are due to be read, with those that may have changed first.
func (c *Client) dueGroups(seen *gcp.Observed, earlier gcp.Observed) []gcp.ID {
	var changed, aged []gcp.ID
	for id, r := range seen.Resources {
		spec, ok := r.Spec.(gcp.Group)
		if !ok || !c.isOurs(id) {
			continue
		}
		before, _ := earlier.Resources[id].Spec.(gcp.Group)
		setEndpoints(seen, id, before.Endpoints)
		due := c.endpointsDue(id)
		switch {
		case before.Endpoints == nil, before.Size != spec.Size, int(spec.Size) != len(before.Endpoints), due.IsZero():
			changed = append(changed, id)
		case !time.Now().Before(due):
			aged = append(aged, id)
		}
	}
	slices.SortFunc(changed, gcp.ID.Compare)
	slices.SortFunc(aged, gcp.ID.Compare)
	due := slices.Concat(changed, aged)
	return due[:min(len(due), endpointReads)]
}

func setEndpoints(seen *gcp.Observed, id gcp.ID, endpoints []gcp.Endpoint) {
	r := seen.Resources[id]
	spec, _ := r.Spec.(gcp.Group)
	spec.Endpoints = endpoints
	r.Spec = spec
	seen.Resources[id] = r
}

func (c *Client) endpointsDue(id gcp.ID) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.groups[id].due
}

// endpoints reads the endpoints of a group, sorted. The result is not nil.
func (c *Client) endpoints(ctx context.Context, id gcp.ID) ([]gcp.Endpoint, error) {
	body := &compute.NetworkEndpointGroupsListEndpointsRequest{HealthStatus: "SKIP"}
	started := time.Now()
	list, err := pages(ctx, c, id, "networkEndpointGroups.listNetworkEndpoints",
		func(ctx context.Context, token string) ([]*compute.NetworkEndpointWithHealthStatus, string, error) {
			page, err := pageOf[*compute.NetworkEndpointGroupsListNetworkEndpoints](ctx, c,
				c.api.NetworkEndpointGroups.ListNetworkEndpoints(c.project, id.Zone, id.Name, body), token)
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextPageToken, nil
		})
	if err != nil {
		return nil, err
	}
	out := make([]gcp.Endpoint, 0, len(list))
	for _, item := range list {
		if item.NetworkEndpoint != nil {
			out = append(out, convert.FromEndpoint(item.NetworkEndpoint, c.project))
		}
	}
	slices.SortFunc(out, byEndpoint)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups[id] = groupRead{due: started.Add(spread(endpointsAge))}
	return out, nil
}

func byEndpoint(a, b gcp.Endpoint) int {
	return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
}
