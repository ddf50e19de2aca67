package gcetest

import (
	"net/netip"
	"reflect"
	"slices"

	compute "google.golang.org/api/compute/v1"
)

// The types of zonal endpoint groups that the stand-in supports.
const (
	typeMachines  = "GCE_VM_IP_PORT"
	typeAddresses = "NON_GCP_PRIVATE_IP_PORT"
)

// maxEndpoints is the API's limit on the endpoints that one call attaches or detaches.
const maxEndpoints = 500

const groupsSegment = "networkEndpointGroups"

func endpointGroups() *collection {
	c := collectionOf[compute.NetworkEndpointGroup](groupsSegment, groupsSegment, "networkEndpointGroup", "zones")
	c.refs = []refField{{"network", []string{"networks"}}, {"subnetwork", []string{"subnetworks"}}}
	c.output = []string{"size"}
	c.check = checkEndpointGroup
	c.readable().aggregated().writable().testable()
	c.mutation("attachNetworkEndpoints", reflect.TypeFor[compute.NetworkEndpointGroupsAttachEndpointsRequest](), attachEndpoints)
	c.mutation("detachNetworkEndpoints", reflect.TypeFor[compute.NetworkEndpointGroupsDetachEndpointsRequest](), detachEndpoints)
	return c.add(&method{
		name: "listNetworkEndpoints", verb: "POST", path: c.root() + "/{name}/listNetworkEndpoints", query: listQuery,
		body: reflect.TypeFor[compute.NetworkEndpointGroupsListEndpointsRequest](), serve: listEndpoints,
	})
}

func checkEndpointGroup(d *draft) *refusal {
	kind := d.doc.text("networkEndpointType")
	d.doc["size"] = 0
	if d.doc.text("network") == "" {
		k, refused := d.server.resolve(d.key, "network", "global/networks/default", []string{"networks"})
		if refused != nil {
			return refused
		}
		d.doc["network"] = k.url()
	}
	subnetwork := d.doc.text("subnetwork")
	switch kind {
	case typeAddresses:
		if subnetwork != "" {
			return badField("subnetwork", subnetwork, "A group of type %s has no subnetwork.", kind)
		}
		return nil
	case typeMachines:
	default:
		return badField("networkEndpointType", kind, "The stand-in supports %s and %s.", typeMachines, typeAddresses)
	}
	if subnetwork == "" {
		return badField("subnetwork", "", "A group of type %s needs a subnetwork.", kind)
	}
	k, _ := parseKey(subnetwork, d.key.project)
	if region := "regions/" + regionOf(d.key.zone()); k.scope != region {
		return badField("subnetwork", subnetwork, "It is not in the region of the zone, %s.", region)
	}
	if sub := typed[compute.Subnetwork](d.server, k); sub == nil || sub.Network != d.doc.text("network") {
		return badField("subnetwork", subnetwork, "It does not belong to the network '%s'.", d.doc.text("network"))
	}
	return nil
}

// sized returns the state of a group with these members.
func (c *collection) sized(doc document, members []member) state {
	doc = doc.clone()
	doc["size"] = len(members)
	return c.state(doc, members)
}

func attachEndpoints(q *request) (any, *refusal) {
	r, refused := q.atRest()
	if refused != nil {
		return nil, refused
	}
	asked, refused := q.members(r, as[compute.NetworkEndpointGroupsAttachEndpointsRequest](q.body).NetworkEndpoints, true)
	if refused != nil {
		return nil, refused
	}
	members := slices.Clone(r.now.members)
	for _, m := range asked {
		if !slices.ContainsFunc(members, m.same) {
			members = append(members, m)
		}
	}
	return q.server.accept(q, r, q.collection.sized(r.now.doc, members), "attachNetworkEndpoints").answer(), nil
}

func detachEndpoints(q *request) (any, *refusal) {
	r, refused := q.atRest()
	if refused != nil {
		return nil, refused
	}
	asked, refused := q.members(r, as[compute.NetworkEndpointGroupsDetachEndpointsRequest](q.body).NetworkEndpoints, false)
	if refused != nil {
		return nil, refused
	}
	members := slices.Clone(r.now.members)
	for _, m := range asked {
		before := len(members)
		members = slices.DeleteFunc(members, m.same)
		if len(members) == before {
			return nil, badField("networkEndpoints", m.address, "The endpoint %s:%d is not in the group.", m.address, m.port)
		}
	}
	return q.server.accept(q, r, q.collection.sized(r.now.doc, members), "detachNetworkEndpoints").answer(), nil
}

func (m member) same(o member) bool {
	return m.instance == o.instance && m.address == o.address && m.port == o.port
}

// members parses the endpoints of a request. The machines of endpoints to attach have to
// exist; those of endpoints to detach need not.
func (q *request) members(r *resource, endpoints []*compute.NetworkEndpoint, attach bool) ([]member, *refusal) {
	if len(endpoints) == 0 {
		return nil, refuse(400, reasonRequired, "Required field 'networkEndpoints' not specified")
	}
	if len(endpoints) > maxEndpoints {
		return nil, badField("networkEndpoints", len(endpoints), "At most %d endpoints are allowed in a request.", maxEndpoints)
	}
	group := as[compute.NetworkEndpointGroup](r.now.doc)
	var out []member
	for _, e := range endpoints {
		m, refused := q.member(group, e, attach)
		if refused != nil {
			return nil, refused
		}
		if slices.ContainsFunc(out, m.same) {
			return nil, badField("networkEndpoints", e.IpAddress, "The endpoint %s:%d is given twice.", m.address, m.port)
		}
		out = append(out, m)
	}
	return out, nil
}

func (q *request) member(group *compute.NetworkEndpointGroup, e *compute.NetworkEndpoint, attach bool) (member, *refusal) {
	m := member{address: e.IpAddress, port: e.Port, extra: e.Annotations}
	if m.port == 0 {
		m.port = group.DefaultPort
	}
	if m.port < 1 || m.port > 65535 {
		return m, badField("networkEndpoints.port", m.port, "Must be between 1 and 65535.")
	}
	if group.NetworkEndpointType == typeMachines {
		return q.machineMember(group, e, m, attach)
	}
	if e.Instance != "" {
		return m, badField("networkEndpoints.instance", e.Instance, "Endpoints of type %s have no instance.", typeAddresses)
	}
	if a, err := netip.ParseAddr(m.address); err != nil || !a.Is4() {
		return m, badField("networkEndpoints.ipAddress", m.address, "Must be an IPv4 address.")
	}
	return m, nil
}

func (q *request) machineMember(group *compute.NetworkEndpointGroup, e *compute.NetworkEndpoint, m member, attach bool) (member, *refusal) {
	if e.Instance == "" {
		return m, badField("networkEndpoints.instance", "", "Endpoints of type %s need an instance.", typeMachines)
	}
	m.instance = inventoryKey(e.Instance, q.key.project, q.key.scope, "instances")
	if m.instance.collection != "instances" || m.instance.scope != q.key.scope || m.instance.project != q.key.project {
		return m, badField("networkEndpoints.instance", e.Instance, "The instance must be in the group's project and zone, %s.", q.key.zone())
	}
	machine := typed[compute.Instance](q.server, m.instance)
	if machine == nil {
		if attach {
			return m, badField("networkEndpoints.instance", e.Instance, "The referenced instance resource cannot be found.")
		}
		return m, nil
	}
	nic := machine.NetworkInterfaces[0]
	if m.address == "" {
		m.address = nic.NetworkIP
	}
	if attach && nic.Subnetwork != group.Subnetwork {
		return m, badField("networkEndpoints.instance", e.Instance, "The instance is not in the subnetwork '%s'.", group.Subnetwork)
	}
	if attach && m.address != nic.NetworkIP {
		return m, badField("networkEndpoints.ipAddress", m.address, "Specified IP address %s doesn't belong to the (sub)network %s or to the instance %s.",
			m.address, parseZone(group.Subnetwork), e.Instance)
	}
	return m, nil
}

func (m member) endpoint() *compute.NetworkEndpoint {
	return &compute.NetworkEndpoint{Instance: m.instance.name, IpAddress: m.address, Port: m.port, Annotations: m.extra}
}

func listEndpoints(q *request) (any, *refusal) {
	r, ok := q.server.visible(q.key)
	if !ok {
		return nil, notFound(q.key)
	}
	show := q.body.text("healthStatus")
	if !slices.Contains([]string{"", "SKIP", "SHOW"}, show) {
		return nil, badField("healthStatus", show, "Must be SHOW or SKIP.")
	}
	var all []document
	for _, m := range r.now.members {
		item := &compute.NetworkEndpointWithHealthStatus{NetworkEndpoint: m.endpoint()}
		if show == "SHOW" {
			item.Healths = q.server.healths(q.key, m)
		}
		all = append(all, documentOf(item))
	}
	return q.page(all, "compute#networkEndpointGroupsListNetworkEndpoints")
}
