package gcetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	compute "google.golang.org/api/compute/v1"
)

// collection holds what is particular to one kind of resource. The generic calls in
// read.go and write.go do everything else.
type collection struct {
	service   string // "globalForwardingRules", the part of a method's name
	segment   string // "forwardingRules", the part of a path
	kind      string // "compute#forwardingRule"
	scope     string // "global", "zones" or "regions"
	typ       reflect.Type
	decode    func(document) any
	methods   []*method
	lock      string     // "fingerprint" if the kind has one
	refs      []refField // fields that name other resources
	immutable []string   // fields that no patch may change
	output    []string   // fields that a request cannot set, in addition to commonOutput
	// check completes and checks the document that results from an insert, patch or
	// update.
	check func(*draft) *refusal
	// view adds the fields that are computed at a read.
	view func(*Server, *resource, document)
}

// refField is a field that refers to resources of some collections. A "*" in the path
// matches every element of a list.
type refField struct {
	path        string
	collections []string
}

// draft is a document that is to be checked and accepted.
type draft struct {
	server *Server
	key    key
	old    document // nil on an insert
	doc    document // may be changed by check
}

// commonOutput are the fields that only the service sets.
var commonOutput = []string{"id", "creationTimestamp", "selfLink", "selfLinkWithId", "kind", "zone", "region"}

func collectionOf[T any](service, segment, kind, scope string) *collection {
	return &collection{
		service: service, segment: segment, kind: "compute#" + kind, scope: scope, typ: reflect.TypeFor[T](),
		decode: func(d document) any { return as[T](d) },
	}
}

func collections() map[string]*collection {
	all := append(inventoryCollections(),
		addresses(), firewalls(), healthChecks(), endpointGroups(), instanceGroups(),
		backendServices(), urlMaps(), targetHTTPProxies(), targetHTTPSProxies(), sslCertificates(), forwardingRules(),
		operationsCollection())
	out := map[string]*collection{}
	for _, c := range all {
		out[c.segment] = c
	}
	return out
}

// root is the path of the collection: "projects/{project}/zones/{zone}/instances".
func (c *collection) root() string {
	scope := map[string]string{"global": "global", "zones": "zones/{zone}", "regions": "regions/{region}"}[c.scope]
	return "projects/{project}/" + scope + "/" + c.segment
}

func (c *collection) add(m *method) *collection {
	m.name = c.service + "." + m.name
	c.methods = append(c.methods, m)
	return c
}

// readable adds get and list.
func (c *collection) readable() *collection {
	c.add(&method{name: "get", verb: "GET", path: c.root() + "/{name}", serve: get})
	return c.add(&method{name: "list", verb: "GET", path: c.root(), query: listQuery, serve: list})
}

// aggregated adds aggregatedList.
func (c *collection) aggregated() *collection {
	return c.add(&method{
		name: "aggregatedList", verb: "GET", path: "projects/{project}/aggregated/" + c.segment,
		query: aggregateQuery, serve: aggregatedList,
	})
}

// writable adds insert, delete and, of patch and update, those that are named.
func (c *collection) writable(more ...string) *collection {
	c.add(&method{name: "insert", verb: "POST", path: c.root(), body: c.typ, query: mutationQuery, serve: insert})
	c.add(&method{name: "delete", verb: "DELETE", path: c.root() + "/{name}", query: mutationQuery, serve: remove})
	if slices.Contains(more, "patch") {
		c.add(&method{name: "patch", verb: "PATCH", path: c.root() + "/{name}", body: c.typ, query: mutationQuery, serve: patch})
	}
	if slices.Contains(more, "update") {
		c.add(&method{name: "update", verb: "PUT", path: c.root() + "/{name}", body: c.typ, query: mutationQuery, serve: update})
	}
	return c
}

// mutation adds a custom method on one resource, which starts an operation.
func (c *collection) mutation(name string, body reflect.Type, serve func(*request) (any, *refusal)) *collection {
	return c.add(&method{
		name: name, verb: "POST", path: c.root() + "/{name}/" + name, body: body, query: mutationQuery, serve: serve,
	})
}

// testable adds testIamPermissions.
func (c *collection) testable() *collection {
	return c.add(&method{
		name: "testIamPermissions", verb: "POST", path: c.root() + "/{name}/testIamPermissions",
		body: reflect.TypeFor[compute.TestPermissionsRequest](), serve: testPermissions,
	})
}

func testPermissions(q *request) (any, *refusal) {
	var granted []string
	for _, p := range as[compute.TestPermissionsRequest](q.body).Permissions {
		if !slices.Contains(q.server.options.Denied, p) {
			granted = append(granted, p)
		}
	}
	return &compute.TestPermissionsResponse{Permissions: granted}, nil
}

// state returns the state with a document and the members of a group.
func (c *collection) state(doc document, members []member) state {
	return state{doc: doc, members: members, typed: c.decode(doc)}
}

// refersTo reports whether a document of the collection refers to k.
func (c *collection) refersTo(doc document, k key) bool {
	if doc == nil {
		return false
	}
	found := false
	url := k.url()
	for _, f := range c.refs {
		eachRef(map[string]any(doc), strings.Split(f.path, "."), "", func(_, ref string) string {
			found = found || ref == url
			return ref
		})
	}
	return found
}

// eachRef calls f with every string at a path, and with its place, and replaces it by the
// result.
func eachRef(v any, path []string, at string, f func(at, ref string) string) {
	if path[0] == "*" {
		list, _ := v.([]any)
		for i, item := range list {
			here := fmt.Sprintf("%s[%d]", at, i)
			if len(path) > 1 {
				eachRef(item, path[1:], here, f)
			} else if ref, ok := item.(string); ok {
				if now := f(here, ref); now != ref { // documents that do not change are read concurrently
					list[i] = now
				}
			}
		}
		return
	}
	object, _ := v.(map[string]any)
	here := strings.TrimPrefix(at+"."+path[0], ".")
	if len(path) > 1 {
		if value, ok := object[path[0]]; ok {
			eachRef(value, path[1:], here, f)
		}
		return
	}
	if ref, ok := object[path[0]].(string); ok {
		if now := f(here, ref); now != ref {
			object[path[0]] = now
		}
	}
}

// resolve checks every reference of the draft and writes it in full.
func (c *collection) resolve(d *draft) *refusal {
	var refused *refusal
	for _, f := range c.refs {
		eachRef(map[string]any(d.doc), strings.Split(f.path, "."), "", func(at, ref string) string {
			if refused != nil || ref == "" {
				return ref
			}
			var k key
			k, refused = d.server.resolve(d.key, at, ref, f.collections)
			if refused != nil {
				return ref
			}
			return k.url()
		})
	}
	return refused
}

// resolve returns the key that a reference names. From is the resource with the field.
func (s *Server) resolve(from key, at, ref string, collections []string) (key, *refusal) {
	k, ok := parseKey(ref, from.project)
	if !ok || !slices.Contains(collections, k.collection) {
		return k, badField(at, ref, "The URL is malformed, or of the wrong kind. Expected one of: %s.", strings.Join(collections, ", "))
	}
	if want := s.collections[k.collection].scope; !strings.HasPrefix(k.scope, want) {
		return k, badField(at, ref, "The URL is malformed: %s are in %s.", k.collection, want)
	}
	if k.project != from.project && k.collection != "networks" && k.collection != "subnetworks" {
		return k, badField(at, ref, "Cross project referencing is not allowed for this resource.")
	}
	r := s.resources[k]
	if r == nil {
		return k, badField(at, ref, "The referenced %s resource cannot be found.", k.collection)
	}
	if !r.ready || r.op != nil && r.op.delete {
		return k, notReady(k)
	}
	return k, nil
}
