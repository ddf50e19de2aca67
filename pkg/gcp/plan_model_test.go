package gcp

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// model is Compute Engine as far as a plan can offend it: it refuses dangling
// references, the deletion of what is in use, changes of what is immutable and stale
// fingerprints. Each refusal is a fault of the plan, since nobody else writes
// meanwhile.
type model struct {
	resources map[ID]Resource
	changes   int // so far; the source of fingerprints and addresses
}

func newModel() *model { return &model{resources: map[ID]Resource{}} }

func (m *model) stamp(r Resource) Resource {
	m.changes++
	switch r.ID.Kind {
	case KindService, KindURLMap, KindHTTPProxy, KindHTTPSProxy, KindRule:
		r.Fingerprint = strconv.Itoa(m.changes)
	case KindAddress, KindFirewall, KindHealthCheck, KindGroup, KindCertificate:
	}
	return r
}

func (m *model) do(a Action) error {
	now, there := m.resources[a.ID]
	if a.ID != a.Want.ID {
		return fmt.Errorf("action on %s wants %s", a.ID, a.Want.ID)
	}
	switch a.Verb {
	case Create:
		if there {
			return fmt.Errorf("409: %s exists", a.ID)
		}
		return m.create(a.Want)
	case Update:
		if !there {
			return fmt.Errorf("404: no %s", a.ID)
		}
		return m.update(a, now)
	case Attach, Detach:
		g, ok := now.Spec.(Group)
		if !ok {
			return fmt.Errorf("404: no %s", a.ID)
		}
		if len(a.Endpoints) == 0 || len(a.Endpoints) > MaxEndpoints {
			return fmt.Errorf("400: %d endpoints", len(a.Endpoints))
		}
		g, err := exchange(g, a)
		now.Spec = g
		m.resources[a.ID] = now
		return err
	case Delete:
		return m.delete(a.ID)
	}
	return fmt.Errorf("unknown verb %q", a.Verb)
}

func exchange(g Group, a Action) (Group, error) {
	endpoints := slices.Clone(g.Endpoints)
	for _, e := range a.Endpoints {
		i := slices.IndexFunc(endpoints, func(o Endpoint) bool { return o.Address == e.Address })
		switch {
		case a.Verb == Attach && i >= 0:
			return g, fmt.Errorf("400: %s is in %s already", e.Address, a.ID)
		case a.Verb == Attach:
			endpoints = append(endpoints, e)
		case i < 0 || endpoints[i] != e:
			return g, fmt.Errorf("400: %v is not in %s", e, a.ID)
		default:
			endpoints = slices.Delete(endpoints, i, i+1)
		}
	}
	slices.SortFunc(endpoints, Endpoint.Compare)
	g.Endpoints, g.Size = endpoints, int64(len(endpoints))
	return g, nil
}

func (m *model) create(r Resource) error {
	if err := m.refers(r); err != nil {
		return err
	}
	switch spec := r.Spec.(type) {
	case Address:
		r.Spec = Address{IP: fmt.Sprintf("203.0.113.%d", m.changes)}
	case Firewall:
		if len(spec.Tags) == 0 {
			return fmt.Errorf("%s opens every machine", r.ID)
		}
	case Group:
		spec.Endpoints, spec.Size = []Endpoint{}, 0
		r.Spec = spec
	case Certificate:
		r.Spec = Certificate{}
	case Rule:
		address, _ := m.resources[spec.Address].Spec.(Address)
		spec.IP, spec.Scheme = address.IP, cmpOr(spec.Scheme, scheme)
		for id, o := range m.resources {
			other, ok := o.Spec.(Rule)
			if ok && other.IP == spec.IP && (other.Port == spec.Port || other.Scheme != spec.Scheme) {
				return fmt.Errorf("400: %s is in use by %s", spec.IP, id)
			}
		}
		spec.Address = ID{}
		r.Spec = spec
	}
	m.resources[r.ID] = m.stamp(r)
	return nil
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (m *model) update(a Action, now Resource) error {
	if a.Want.Fingerprint != now.Fingerprint {
		return fmt.Errorf("412: %s has changed", a.ID)
	}
	if err := m.refers(a.Want); err != nil {
		return err
	}
	if fields := changed(a.Want, now); !slices.Equal(fields, a.Fields) {
		return fmt.Errorf("%s: fields are %v, and %v differ", a.ID, a.Fields, fields)
	}
	if fixed := fixedFields(a.Want, now, a.Fields); len(fixed) > 0 {
		return fmt.Errorf("400: %s: %v cannot be changed", a.ID, fixed)
	}
	r := a.Want
	switch spec := r.Spec.(type) {
	case Address, Group, Certificate:
		return fmt.Errorf("400: %s cannot be updated", a.ID)
	case Firewall:
		if len(spec.Tags) == 0 {
			return fmt.Errorf("%s opens every machine", r.ID)
		}
	case Rule:
		before, _ := now.Spec.(Rule)
		before.Target = spec.Target
		r.Spec = before
	}
	if !slices.Contains(a.Fields, fieldDescription) {
		r.Mark = now.Mark
	}
	m.resources[r.ID] = m.stamp(r)
	return nil
}

func (m *model) refers(r Resource) error {
	for _, ref := range r.Spec.refs() {
		if _, ok := m.resources[ref]; !ok {
			return fmt.Errorf("400: %s: dangling reference to %s", r.ID, ref)
		}
	}
	return nil
}

func (m *model) users(id ID) []ID {
	var by []ID
	for _, user := range sortedIDs(m.resources) {
		if slices.Contains(m.resources[user].Spec.refs(), id) {
			by = append(by, user)
		}
	}
	return by
}

func (m *model) delete(id ID) error {
	if by := m.users(id); len(by) > 0 {
		return fmt.Errorf("400: %s is in use by %v", id, by)
	}
	if g, ok := m.resources[id].Spec.(Group); ok && len(g.Endpoints) > 0 {
		return fmt.Errorf("%s has endpoints", id)
	}
	delete(m.resources, id)
	return nil
}

// remove deletes a resource by a person's hand, who deletes first what uses it.
func (m *model) remove(id ID) {
	for _, by := range m.users(id) {
		m.remove(by)
	}
	delete(m.resources, id)
}

// look lists everything.
func (m *model) look() Observed {
	o := Observed{Resources: maps.Clone(m.resources), Complete: map[Kind]bool{}}
	for _, k := range Kinds {
		o.Complete[k] = true
	}
	return o
}

func sameResource(a, b Resource) bool { return reflect.DeepEqual(a, b) }
