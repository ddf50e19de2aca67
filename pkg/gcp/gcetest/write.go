package gcetest

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"unicode/utf8"

	compute "google.golang.org/api/compute/v1"
)

const maxDescription = 2048

func insert(q *request) (any, *refusal) {
	s, c := q.server, q.collection
	doc := document(merged(nil, q.body))
	c.dropOutput(doc)
	name := doc.text("name")
	if !namePattern.MatchString(name) {
		return nil, badField("name", name, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
	}
	k := q.key
	k.name = name
	if s.resources[k] != nil {
		return nil, refuse(http.StatusConflict, reasonAlreadyExists, "The resource '%s' already exists", k.path())
	}
	if refused := s.quota(c, k.project); refused != nil {
		return nil, refused
	}
	d := &draft{server: s, key: k, doc: doc}
	if refused := c.accept(d); refused != nil {
		return nil, refused
	}
	s.stamp(k, d.doc)
	if c.lock != "" {
		d.doc[c.lock] = s.nextFingerprint()
	}
	if _, ok := fieldsOf(c.typ)["labelFingerprint"]; ok {
		d.doc["labelFingerprint"] = s.nextFingerprint()
	}
	r := &resource{key: k}
	s.resources[k] = r
	return s.accept(q, r, c.state(d.doc, nil), "insert").answer(), nil
}

// accept checks a draft: its description, its references, then the rules of its kind.
func (c *collection) accept(d *draft) *refusal {
	if text := d.doc.text("description"); utf8.RuneCountInString(text) > maxDescription {
		return badField("description", text[:20]+"…", "Must be at most %d characters.", maxDescription)
	}
	if labels, ok := d.doc["labels"]; ok && (d.old == nil || !equalJSON(labels, d.old["labels"])) {
		return badField("labels", "…", "Labels are set by setLabels.")
	}
	if refused := c.resolve(d); refused != nil {
		return refused
	}
	if d.old != nil {
		for _, field := range c.immutable {
			if !equalJSON(d.old[field], d.doc[field]) {
				return badField(field, d.doc[field], "The field cannot be changed: it was '%v'.", d.old[field])
			}
		}
	}
	if c.check == nil {
		return nil
	}
	return c.check(d)
}

func (c *collection) dropOutput(doc document) {
	for _, field := range slices.Concat(commonOutput, c.output) {
		delete(doc, field)
	}
	if c.lock != "" {
		delete(doc, c.lock)
	}
	delete(doc, "labelFingerprint")
}

func (s *Server) quota(c *collection, project string) *refusal {
	limit, ok := s.options.Quotas[c.service]
	if !ok {
		return nil
	}
	n := 0
	for k := range s.resources {
		if k.project == project && k.collection == c.segment {
			n++
		}
	}
	if n < limit {
		return nil
	}
	return refuse(http.StatusForbidden, reasonQuota, "Quota '%s' exceeded.  Limit: %d.0 globally.", metric(c.service), limit)
}

// atRest returns the resource if a mutation of it can be accepted now.
func (q *request) atRest() (*resource, *refusal) {
	r, ok := q.server.visible(q.key)
	if !ok {
		if r = q.server.resources[q.key]; r != nil {
			return nil, notReady(q.key)
		}
		return nil, notFound(q.key)
	}
	if r.op != nil || !r.ready {
		return nil, notReady(q.key)
	}
	return r, nil
}

func patch(q *request) (any, *refusal) {
	return q.change("patch", func(old document) document { return merged(old, q.input()) })
}

func update(q *request) (any, *refusal) {
	return q.change("update", func(old document) document {
		next := document(merged(nil, q.input()))
		for _, field := range slices.Concat(commonOutput, q.collection.output, []string{"name", "labels", "labelFingerprint"}) {
			if value, ok := old[field]; ok {
				next[field] = deepCopy(value)
			}
		}
		return next
	})
}

// input returns the body without the fields that only the service sets.
func (q *request) input() document {
	in := maps.Clone(q.body) // including nulls, which delete
	q.collection.dropOutput(in)
	return in
}

// change accepts a new document for the resource in the path.
func (q *request) change(kind string, next func(old document) document) (any, *refusal) {
	s, c := q.server, q.collection
	r, refused := q.atRest()
	if refused != nil {
		return nil, refused
	}
	old := r.now.doc
	if name, ok := q.body["name"]; ok && name != q.key.name {
		return nil, badField("name", name, "The name cannot be changed.")
	}
	if c.lock != "" && q.body.text(c.lock) != old.text(c.lock) {
		return nil, stale(c.lock)
	}
	d := &draft{server: s, key: q.key, old: old, doc: next(old)}
	if refused := c.accept(d); refused != nil {
		return nil, refused
	}
	return s.replace(q, r, d.doc, kind), nil
}

// replace accepts a checked document with a new fingerprint.
func (s *Server) replace(q *request, r *resource, doc document, kind string) *compute.Operation {
	if q.collection.lock != "" {
		doc[q.collection.lock] = s.nextFingerprint()
	}
	return s.accept(q, r, q.collection.state(doc, r.now.members), kind).answer()
}

func remove(q *request) (any, *refusal) {
	s := q.server
	r, refused := q.atRest()
	if refused != nil {
		return nil, refused
	}
	if users := s.users(q.key); len(users) > 0 {
		return nil, refuse(http.StatusBadRequest, reasonInUse,
			"The %s resource '%s' is already being used by '%s'", q.collection.resourceName(), q.key.path(), users[0].path())
	}
	return s.accept(q, r, state{}, "delete").answer(), nil
}

func (c *collection) resourceName() string {
	return map[string]string{
		"healthChecks": "health_check", "backendServices": "backend_service", "urlMaps": "url_map",
		"targetHttpProxies": "target_http_proxy", "targetHttpsProxies": "target_https_proxy",
		"sslCertificates": "ssl_certificate", "networkEndpointGroups": "network_endpoint_group",
		"instanceGroups": "instance_group", "addresses": "address",
	}[c.segment]
}

// labeled adds setLabels.
func (c *collection) labeled() *collection {
	c.output = append(c.output, "labelFingerprint")
	c.mutation("setLabels", reflect.TypeFor[compute.GlobalSetLabelsRequest](), setLabels)
	c.methods[len(c.methods)-1].query = nil // it has no request id
	return c
}

func setLabels(q *request) (any, *refusal) {
	r, refused := q.atRest()
	if refused != nil {
		return nil, refused
	}
	if q.body.text("labelFingerprint") != r.now.doc.text("labelFingerprint") {
		return nil, stale("labelFingerprint")
	}
	for name, value := range as[compute.GlobalSetLabelsRequest](q.body).Labels {
		if !labelPattern.MatchString(name) || len(value) > 0 && !labelValuePattern.MatchString(value) {
			return nil, badField("labels", name+"="+value, "Keys and values have at most 63 characters of [-_a-z0-9], and keys begin with a letter.")
		}
	}
	doc := r.now.doc.clone()
	doc["labels"] = map[string]any{}
	if labels, ok := q.body["labels"].(map[string]any); ok {
		doc["labels"] = deepCopy(labels)
	}
	doc["labelFingerprint"] = q.server.nextFingerprint()
	return q.server.accept(q, r, q.collection.state(doc, r.now.members), "setLabels").answer(), nil
}
