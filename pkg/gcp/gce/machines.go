package gce

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
)

// How long known machines are valid. Machines of one zone are read together, and zones
// at different times.
const (
	machinesAge = 10 * time.Minute
	missingAge  = time.Minute // of a machine that does not exist
)

// place is a zone of a project.
type place struct{ project, zone string }

func (p place) String() string { return p.project + "/" + p.zone }

// parseProvider splits a node's providerID, "gce://project/zone/name"; false if the node
// is not a machine of Compute Engine.
func parseProvider(id string) (where place, name string, ok bool) {
	rest, ok := strings.CutPrefix(id, "gce://")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return place{}, "", false
	}
	return place{parts[0], parts[1]}, parts[2], true
}

// observeMachines returns the machines of the scope's nodes. It uses those of the previous
// Observe while they are recent enough, and reads the others. If a read fails, the previous
// ones remain.
func (c *Client) observeMachines(ctx context.Context, scope gcp.Scope) (map[string]gcp.Machine, []gcp.ReadError) {
	known := map[string]gcp.Machine{}
	nodes := map[place][]string{}
	for _, id := range scope.Nodes {
		where, _, ok := parseProvider(id)
		if !ok {
			continue
		}
		nodes[where] = append(nodes[where], id)
		if m, found := scope.Earlier.Machines[id]; found {
			known[id] = m
		}
	}
	c.forgetMachines(nodes, known)
	due := map[place][]string{} // decided before the first answer changes known
	for where, ids := range nodes {
		if wanted := c.dueMachines(where, ids, known); len(wanted) > 0 {
			due[where] = wanted
		}
	}
	var mu sync.Mutex // protects known and errs
	var errs []gcp.ReadError
	var work errgroup.Group
	work.SetLimit(readsAtOnce)
	for where, ids := range due {
		work.Go(func() error {
			read, err := c.machinesOf(ctx, where, ids)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(known, read)
			if err != nil {
				errs = append(errs, gcp.ReadError{What: "machines of zone " + where.zone + " of project " + where.project, Err: err})
			}
			return nil
		})
	}
	_ = work.Wait()
	return known, errs
}

// forgetMachines drops the memory of nodes and zones that are gone.
func (c *Client) forgetMachines(nodes map[place][]string, known map[string]gcp.Machine) {
	zones := map[string]bool{}
	for where := range nodes {
		zones[where.String()] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.zones, func(zone string, _ time.Time) bool { return !zones[zone] })
	maps.DeleteFunc(c.missing, func(id string, _ time.Time) bool { return !known[id].Missing })
}

// dueMachines returns those of a zone's nodes whose machines are due to be read.
func (c *Client) dueMachines(where place, ids []string, known map[string]gcp.Machine) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if due, found := c.zones[where.String()]; !found || !now.Before(due) {
		return ids
	}
	var wanted []string
	for _, id := range ids {
		m, found := known[id]
		if !found || (m.Missing && now.Sub(c.missing[id]) > missingAge) {
			wanted = append(wanted, id)
		}
	}
	return wanted
}

// machinesOf reads machines of one zone: a single one by itself, several by a list of the
// zone. With an error it returns those that it could read.
func (c *Client) machinesOf(ctx context.Context, where place, ids []string) (map[string]gcp.Machine, error) {
	out := map[string]gcp.Machine{}
	var listed map[string]gcp.Machine
	if len(ids) > 1 {
		var err error
		if listed, err = c.listMachines(ctx, where); err != nil {
			return out, err
		}
	}
	for _, id := range ids {
		_, name, _ := parseProvider(id)
		if m, found := listed[name]; found {
			out[id] = m
			continue
		}
		// Absence from a list proves nothing.
		m, err := c.machine(ctx, where, name)
		if err != nil {
			return out, err
		}
		out[id] = m
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if due := c.zones[where.String()]; !now.Before(due) {
		c.zones[where.String()] = now.Add(spread(machinesAge))
	}
	for id, m := range out {
		if delete(c.missing, id); m.Missing {
			c.missing[id] = now
		}
	}
	return out, nil
}

func (c *Client) listMachines(ctx context.Context, where place) (map[string]gcp.Machine, error) {
	list, err := pages(ctx, c, gcp.ID{}, "instances.list",
		func(ctx context.Context, token string) ([]*compute.Instance, string, error) {
			l, err := pageOf[*compute.InstanceList](ctx, c, c.api.Instances.List(where.project, where.zone), token)
			if err != nil {
				return nil, "", err
			}
			return l.Items, l.NextPageToken, nil
		})
	if err != nil {
		return nil, err
	}
	out := map[string]gcp.Machine{}
	for _, i := range list {
		out[i.Name] = fromInstance(i, where)
	}
	return out, nil
}

// machine reads one machine. A machine that does not exist is Missing; a zone or a
// project that does not exist is an error.
func (c *Client) machine(ctx context.Context, where place, name string) (gcp.Machine, error) {
	i, err := read[*compute.Instance](ctx, c, gcp.ID{}, "instances.get", c.api.Instances.Get(where.project, where.zone, name))
	if absent(err) && strings.Contains(err.Error(), "/instances/"+name+"'") {
		return gcp.Machine{Project: where.project, Zone: where.zone, Name: name, Missing: true}, nil
	}
	if err != nil {
		return gcp.Machine{}, err
	}
	return fromInstance(i, where), nil
}

func fromInstance(i *compute.Instance, where place) gcp.Machine {
	m := gcp.Machine{Project: where.project, Zone: where.zone, Name: i.Name}
	if i.Tags != nil {
		m.Tags = convert.SortedCopy(i.Tags.Items)
	}
	if len(i.NetworkInterfaces) > 0 {
		first := i.NetworkInterfaces[0]
		m.Network = convert.ShortLink(first.Network, where.project)
		m.Subnetwork = convert.ShortLink(first.Subnetwork, where.project)
		m.Address = first.NetworkIP
	}
	return m
}
