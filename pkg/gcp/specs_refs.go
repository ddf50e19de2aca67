package gcp

import "slices"

// Addresses, firewall rules, health checks, groups and certificates refer to nothing.
func (Address) refs() []ID     { return nil }
func (Firewall) refs() []ID    { return nil }
func (HealthCheck) refs() []ID { return nil }
func (Group) refs() []ID       { return nil }
func (Certificate) refs() []ID { return nil }

func (s Service) refs() []ID {
	ids := distinct(nil, s.HealthCheck)
	for _, b := range s.Backends {
		ids = append(ids, b.Group)
	}
	return ids
}

func (m URLMap) refs() []ID {
	ids := distinct(nil, m.Default.Service)
	for _, h := range m.Hosts {
		ids = distinct(ids, h.Default.Service)
		for _, p := range h.Paths {
			ids = distinct(ids, p.Service)
		}
	}
	return ids
}

func (p Proxy) refs() []ID {
	ids := distinct(nil, p.URLMap)
	for _, c := range p.Certificates {
		ids = distinct(ids, c)
	}
	return ids
}

func (r Rule) refs() []ID { return distinct(distinct(nil, r.Address), r.Target) }

// distinct appends an ID unless it is empty or already in the list.
func distinct(ids []ID, id ID) []ID {
	if id == (ID{}) || slices.Contains(ids, id) {
		return ids
	}
	return append(ids, id)
}
