package gcetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"time"
)

// resource is a resource with the change that is under way.
type resource struct {
	key key
	// now is the present state; its doc is nil until the insert runs.
	now state
	// next is the state after the running operation; its doc is nil for a deletion.
	next  state
	op    *operation // the running operation; nil if there is none
	ready bool       // the insert is done
}

// state is a resource at one time. It is replaced, never changed.
type state struct {
	doc     document
	members []member // of a group
	typed   any      // doc as its generated type
}

// member is an endpoint of an endpoint group or a machine of an instance group.
type member struct {
	instance key // zero for an address outside Compute Engine
	address  string
	port     int64
	extra    map[string]string // annotations
}

// sorted returns the resources for which keep returns true, sorted by path.
func (s *Server) sorted(keep func(*resource) bool) []*resource {
	var out []*resource
	for _, r := range s.resources {
		if keep(r) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *resource) int { return cmp.Compare(a.key.path(), b.key.path()) })
	return out
}

// visible returns the resource if a read would find it.
func (s *Server) visible(k key) (*resource, bool) {
	r := s.resources[k]
	if r == nil || r.now.doc == nil {
		return nil, false
	}
	return r, true
}

// typed returns a resource as its generated type; nil if there is none.
func typed[T any](s *Server, k key) *T {
	r := s.resources[k]
	if r == nil {
		return nil
	}
	t, _ := r.now.typed.(*T)
	return t
}

// put makes a state current. All changes of resources happen here.
func (s *Server) put(r *resource, next state) {
	r.now = next
	s.generation++
	s.touched()
}

// set stores a resource that a test defines, without an operation.
func (s *Server) set(k key, doc document) {
	c := s.collections[k.collection]
	r := s.resources[k]
	if r == nil {
		r = &resource{key: k}
		s.resources[k] = r
		s.stamp(k, doc)
	} else {
		for _, field := range []string{"id", "creationTimestamp", "selfLink", "kind"} {
			doc[field] = r.now.doc[field]
		}
	}
	r.ready = true
	s.put(r, c.state(doc, nil))
}

// stamp sets the fields that the service sets on every new resource.
func (s *Server) stamp(k key, doc document) {
	doc["id"] = s.nextID()
	doc["creationTimestamp"] = timestamp(s.clock())
	doc["selfLink"] = k.url()
	doc["kind"] = s.collections[k.collection].kind
	if zone := k.zone(); zone != "" && k.collection != "zones" {
		doc["zone"] = publicHost + "projects/" + k.project + "/zones/" + zone
	}
}

// nextID returns a decimal uint64 that is too large for a float64 and for an int64.
func (s *Server) nextID() string {
	s.ids++
	return strconv.FormatUint(1<<63+s.ids*7919, 10)
}

// nextFingerprint returns a new fingerprint.
func (s *Server) nextFingerprint() string {
	s.ids++
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], s.ids)
	sum := sha256.Sum256(seed[:])
	return base64.StdEncoding.EncodeToString(sum[:8])
}

func timestamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000-07:00") }

// users returns the resources that refer to k, now or when their operation is done.
func (s *Server) users(k key) []key {
	var out []key
	for _, r := range s.resources {
		c := s.collections[r.key.collection]
		if c.refersTo(r.now.doc, k) || r.op != nil && c.refersTo(r.next.doc, k) {
			out = append(out, r.key)
		}
	}
	if r := s.resources[k]; r != nil && k.collection == "addresses" {
		for _, rule := range s.rulesWith(r.now.doc.text("address"), k.project) {
			out = append(out, rule.key)
		}
	}
	slices.SortFunc(out, func(a, b key) int { return cmp.Compare(a.path(), b.path()) })
	return out
}
