package gcptest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// Model is a model of Compute Engine that refuses what a wrong plan asks for: dangling
// references, the deletion of resources in use, changes of immutable fields and stale
// fingerprints. Each refusal is a fault of the plan, since there is no other writer.
type Model struct {
	Resources map[gcp.ID]gcp.Resource
	changes   int // number of changes; fingerprints and addresses are derived from it
}

// NewModel returns a model without resources.
func NewModel() *Model { return &Model{Resources: map[gcp.ID]gcp.Resource{}} }

// Stamp returns the resource with a new fingerprint, if its kind has one.
func (m *Model) Stamp(r gcp.Resource) gcp.Resource {
	m.changes++
	switch r.ID.Kind {
	case gcp.KindService, gcp.KindURLMap, gcp.KindHTTPProxy, gcp.KindHTTPSProxy, gcp.KindRule:
		r.Fingerprint = strconv.Itoa(m.changes)
	case gcp.KindAddress, gcp.KindFirewall, gcp.KindHealthCheck, gcp.KindGroup, gcp.KindCertificate:
	}
	return r
}

// Do executes an action, or returns an error if Compute Engine would refuse it.
func (m *Model) Do(a gcp.Action) error {
	now, there := m.Resources[a.ID]
	if a.ID != a.Want.ID {
		return fmt.Errorf("action on %s wants %s", a.ID, a.Want.ID)
	}
	switch a.Verb {
	case gcp.Create:
		if there {
			return fmt.Errorf("409: %s exists", a.ID)
		}
		return m.Create(a.Want)
	case gcp.Update:
		if !there {
			return fmt.Errorf("404: no %s", a.ID)
		}
		return m.update(a, now)
	case gcp.Attach, gcp.Detach:
		g, ok := now.Spec.(gcp.Group)
		if !ok {
			return fmt.Errorf("404: no %s", a.ID)
		}
		if len(a.Endpoints) == 0 || len(a.Endpoints) > gcp.MaxEndpoints {
			return fmt.Errorf("400: %d endpoints", len(a.Endpoints))
		}
		g, err := exchange(g, a)
		now.Spec = g
		m.Resources[a.ID] = now
		return err
	case gcp.Delete:
		return m.delete(a.ID)
	}
	return fmt.Errorf("unknown verb %q", a.Verb)
}

func exchange(g gcp.Group, a gcp.Action) (gcp.Group, error) {
	endpoints := slices.Clone(g.Endpoints)
	for _, e := range a.Endpoints {
		i := slices.IndexFunc(endpoints, func(o gcp.Endpoint) bool { return o.Address == e.Address })
		switch {
		case a.Verb == gcp.Attach && i >= 0:
			return g, fmt.Errorf("400: %s is in %s already", e.Address, a.ID)
		case a.Verb == gcp.Attach:
			endpoints = append(endpoints, e)
		case i < 0 || endpoints[i] != e:
			return g, fmt.Errorf("400: %v is not in %s", e, a.ID)
		default:
			endpoints = slices.Delete(endpoints, i, i+1)
		}
	}
	slices.SortFunc(endpoints, gcp.Endpoint.Compare)
	g.Endpoints, g.Size = endpoints, int64(len(endpoints))
	return g, nil
}

// Create creates a resource.
func (m *Model) Create(r gcp.Resource) error {
	if err := m.Refers(r); err != nil {
		return err
	}
	switch spec := r.Spec.(type) {
	case gcp.Address:
		r.Spec = gcp.Address{IP: fmt.Sprintf("203.0.113.%d", m.changes)}
	case gcp.Firewall:
		if len(spec.Tags) == 0 {
			return fmt.Errorf("%s opens every machine", r.ID)
		}
	case gcp.Group:
		spec.Endpoints, spec.Size = []gcp.Endpoint{}, 0
		r.Spec = spec
	case gcp.Certificate:
		r.Spec = gcp.Certificate{}
	case gcp.Rule:
		address, _ := m.Resources[spec.Address].Spec.(gcp.Address)
		spec.IP, spec.Scheme = address.IP, cmpOr(spec.Scheme, gcp.Scheme)
		for id, o := range m.Resources {
			other, ok := o.Spec.(gcp.Rule)
			if ok && other.IP == spec.IP && (other.Port == spec.Port || other.Scheme != spec.Scheme) {
				return fmt.Errorf("400: %s is in use by %s", spec.IP, id)
			}
		}
		spec.Address = gcp.ID{}
		r.Spec = spec
	}
	m.Resources[r.ID] = m.Stamp(r)
	return nil
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (m *Model) update(a gcp.Action, now gcp.Resource) error {
	if a.Want.Fingerprint != now.Fingerprint {
		return fmt.Errorf("412: %s has changed", a.ID)
	}
	if err := m.Refers(a.Want); err != nil {
		return err
	}
	if fields := gcp.Changed(a.Want, now); !slices.Equal(fields, a.Fields) {
		return fmt.Errorf("%s: fields are %v, and %v differ", a.ID, a.Fields, fields)
	}
	if fixed := gcp.FixedFields(a.Want, now, a.Fields); len(fixed) > 0 {
		return fmt.Errorf("400: %s: %v cannot be changed", a.ID, fixed)
	}
	r := a.Want
	switch spec := r.Spec.(type) {
	case gcp.Address, gcp.Group, gcp.Certificate:
		return fmt.Errorf("400: %s cannot be updated", a.ID)
	case gcp.Firewall:
		if len(spec.Tags) == 0 {
			return fmt.Errorf("%s opens every machine", r.ID)
		}
	case gcp.Rule:
		before, _ := now.Spec.(gcp.Rule)
		before.Target = spec.Target
		r.Spec = before
	}
	if !slices.Contains(a.Fields, gcp.FieldDescription) {
		r.Mark = now.Mark
	}
	m.Resources[r.ID] = m.Stamp(r)
	return nil
}

// Refers returns an error if the resource refers to one that does not exist.
func (m *Model) Refers(r gcp.Resource) error {
	for _, ref := range r.References() {
		if _, ok := m.Resources[ref]; !ok {
			return fmt.Errorf("400: %s: dangling reference to %s", r.ID, ref)
		}
	}
	return nil
}

// Users returns the resources that refer to this one.
func (m *Model) Users(id gcp.ID) []gcp.ID {
	var by []gcp.ID
	for _, user := range gcp.SortedIDs(m.Resources) {
		if slices.Contains(m.Resources[user].References(), id) {
			by = append(by, user)
		}
	}
	return by
}

func (m *Model) delete(id gcp.ID) error {
	if by := m.Users(id); len(by) > 0 {
		return fmt.Errorf("400: %s is in use by %v", id, by)
	}
	if g, ok := m.Resources[id].Spec.(gcp.Group); ok && len(g.Endpoints) > 0 {
		return fmt.Errorf("%s has endpoints", id)
	}
	delete(m.Resources, id)
	return nil
}

// Remove deletes a resource as a user would, after the resources that use it.
func (m *Model) Remove(id gcp.ID) {
	for _, by := range m.Users(id) {
		m.Remove(by)
	}
	delete(m.Resources, id)
}

// Observe returns the whole state.
func (m *Model) Observe() gcp.Observed {
	o := gcp.Observed{Resources: maps.Clone(m.Resources), Complete: map[gcp.Kind]bool{}}
	for _, k := range gcp.Kinds {
		o.Complete[k] = true
	}
	return o
}

// SameResource reports whether two resources are equal.
func SameResource(a, b gcp.Resource) bool { return reflect.DeepEqual(a, b) }
