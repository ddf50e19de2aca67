package gcetest

import (
	"reflect"
	"slices"

	compute "google.golang.org/api/compute/v1"
)

const instanceGroupsSegment = "instanceGroups"

func instanceGroups() *collection {
	c := collectionOf[compute.InstanceGroup](instanceGroupsSegment, instanceGroupsSegment, "instanceGroup", "zones")
	c.lock = "fingerprint"
	c.refs = []refField{{"network", []string{"networks"}}, {"subnetwork", []string{"subnetworks"}}}
	c.output = []string{"size"}
	c.check = func(d *draft) *refusal {
		d.doc["size"] = 0
		return checkNamedPorts(as[compute.InstanceGroup](d.doc).NamedPorts)
	}
	c.readable().aggregated().writable().testable()
	c.mutation("addInstances", reflect.TypeFor[compute.InstanceGroupsAddInstancesRequest](), addInstances)
	c.mutation("removeInstances", reflect.TypeFor[compute.InstanceGroupsRemoveInstancesRequest](), removeInstances)
	c.mutation("setNamedPorts", reflect.TypeFor[compute.InstanceGroupsSetNamedPortsRequest](), setNamedPorts)
	return c.add(&method{
		name: "listInstances", verb: "POST", path: c.root() + "/{name}/listInstances", query: listQuery,
		body: reflect.TypeFor[compute.InstanceGroupsListInstancesRequest](), serve: listInstances,
	})
}

func checkNamedPorts(ports []*compute.NamedPort) *refusal {
	for _, p := range ports {
		if !namePattern.MatchString(p.Name) || p.Port < 1 || p.Port > 65535 {
			return badField("namedPorts", p.Name, "Needs a name and a port between 1 and 65535.")
		}
	}
	return nil
}

func addInstances(q *request) (any, *refusal) {
	r, refused := q.atRest()
	if refused != nil {
		return nil, refused
	}
	members := slices.Clone(r.now.members)
	for _, ref := range as[compute.InstanceGroupsAddInstancesRequest](q.body).Instances {
		k, refused := q.server.resolve(q.key, "instances", ref.Instance, []string{"instances"})
		if refused != nil {
			return nil, refused
		}
		if refused := q.joins(r, k, members); refused != nil {
			return nil, refused
		}
		members = append(members, member{instance: k})
	}
	doc := r.now.doc
	if doc.text("network") == "" && len(members) > 0 { // the first machine decides
		nic := typed[compute.Instance](q.server, members[0].instance).NetworkInterfaces[0]
		doc = doc.clone()
		doc["network"], doc["subnetwork"] = nic.Network, nic.Subnetwork
	}
	return q.server.accept(q, r, q.collection.sized(doc, members), "addInstances").answer(), nil
}

// joins checks that a machine may become a member of a group.
func (q *request) joins(r *resource, machine key, members []member) *refusal {
	if machine.scope != q.key.scope {
		return badField("instances", machine.url(), "The instance must be in the zone %s.", q.key.zone())
	}
	if slices.ContainsFunc(members, func(m member) bool { return m.instance == machine }) {
		return refuse(400, "memberAlreadyExists", "Resource '%s' is already a member of '%s'", machine.path(), q.key.path())
	}
	network := r.now.doc.text("network")
	if nic := typed[compute.Instance](q.server, machine).NetworkInterfaces[0]; network != "" && nic.Network != network {
		return badField("instances", machine.url(), "The instance is not in the group's network.")
	}
	if !q.server.isBalanced(q.key) {
		return nil
	}
	return q.server.onlyGroup(machine, q.key)
}

// onlyGroup refuses a machine that is in another load-balanced instance group.
func (s *Server) onlyGroup(machine, group key) *refusal {
	for _, other := range s.resources {
		if other.key.collection != instanceGroupsSegment || other.key == group || !s.isBalanced(other.key) {
			continue
		}
		if slices.ContainsFunc(other.now.members, func(m member) bool { return m.instance == machine }) {
			return refuse(400, "instanceInMultipleLoadBalancedIgs",
				"Validation failed for instance '%s': instance may belong to at most one load-balanced instance group.", machine.path())
		}
	}
	return nil
}

// isBalanced reports whether a backend service uses a group.
func (s *Server) isBalanced(group key) bool { return len(s.users(group)) > 0 }

func removeInstances(q *request) (any, *refusal) {
	r, refused := q.atRest()
	if refused != nil {
		return nil, refused
	}
	members := slices.Clone(r.now.members)
	for _, ref := range as[compute.InstanceGroupsRemoveInstancesRequest](q.body).Instances {
		k, ok := parseKey(ref.Instance, q.key.project)
		before := len(members)
		members = slices.DeleteFunc(members, func(m member) bool { return m.instance == k })
		if !ok || len(members) == before {
			return nil, refuse(400, "memberNotFound", "'%s' is not a member of '%s'", ref.Instance, q.key.path())
		}
	}
	return q.server.accept(q, r, q.collection.sized(r.now.doc, members), "removeInstances").answer(), nil
}

func setNamedPorts(q *request) (any, *refusal) {
	r, refused := q.atRest()
	if refused != nil {
		return nil, refused
	}
	in := as[compute.InstanceGroupsSetNamedPortsRequest](q.body)
	// The API accepts a request without a fingerprint, as GLBC sends it. A fingerprint
	// that is sent has to be current.
	if in.Fingerprint != "" && in.Fingerprint != r.now.doc.text("fingerprint") {
		return nil, stale("fingerprint")
	}
	if refused := checkNamedPorts(in.NamedPorts); refused != nil {
		return nil, refused
	}
	doc := r.now.doc.clone()
	doc["namedPorts"] = deepCopy(q.body["namedPorts"])
	if len(in.NamedPorts) == 0 {
		delete(doc, "namedPorts")
	}
	return q.server.replace(q, r, doc, "setNamedPorts"), nil
}

func listInstances(q *request) (any, *refusal) {
	r, ok := q.server.visible(q.key)
	if !ok {
		return nil, notFound(q.key)
	}
	only := q.body.text("instanceState")
	if !slices.Contains([]string{"", "ALL", "RUNNING"}, only) {
		return nil, badField("instanceState", only, "Must be ALL or RUNNING.")
	}
	ports := as[compute.InstanceGroup](r.now.doc).NamedPorts
	var all []document
	for _, m := range r.now.members {
		machine := typed[compute.Instance](q.server, m.instance)
		if machine == nil || only == "RUNNING" && machine.Status != "RUNNING" {
			continue
		}
		all = append(all, documentOf(&compute.InstanceWithNamedPorts{
			Instance: m.instance.url(), Status: machine.Status, NamedPorts: ports,
		}))
	}
	return q.page(all, "compute#instanceGroupsListInstances")
}
