package objectstore

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Options configure a cluster.
type Options struct {
	// Name is the host of the cluster's address.
	Name string
	// Seed determines the uids, node ports and cluster IPs that the store chooses. Stores
	// with equal seeds have equal uids, unlike real clusters.
	Seed uint64
	// History is how many changes are remembered for watches; zero means 1000.
	History int
	// NodePorts are the first and the last node port; zero means 30000-32767.
	NodePorts [2]int32
	// Pace is the speed of the controllers; zero values mean defaults.
	Pace Pace
	// Address is the address of the cluster's Ingresses and load balancers; the default
	// is 203.0.113.10.
	Address string
	// NoWorkloads leaves the status of workloads and Ingresses to the test.
	NoWorkloads bool
}

// Store is one cluster: what its API server stores and serves. Its methods may be called
// concurrently.
type Store struct {
	Options
	rules []rule // of the controllers

	mu      sync.Mutex // protects all that follows
	objects map[schema.GroupResource]map[types.NamespacedName]*entry
	served  map[schema.GroupResource]*definition // established custom resources
	version uint64                               // the newest resourceVersion
	history []change
	oldest  uint64 // watches from an earlier version are refused
	watches map[*stream]struct{}
	random  *rand.Rand // never reset, not even by a backup
	faults  faults
	audit   []Entry
	control control
	// capacity is how many replicas can run, by resource, namespace and name.
	capacity map[string]int32
}

// entry is an object at one version. It never changes.
type entry struct {
	kind    *kind
	object  runtime.Object // in the storage version
	meta    metav1.Object  // of object
	json    []byte
	version uint64
}

// New returns an empty cluster, which has only the namespaces of every cluster.
func New(o Options) *Store {
	o.Name = cmp.Or(o.Name, "store")
	o.History = cmp.Or(o.History, 1000)
	o.Address = cmp.Or(o.Address, "203.0.113.10")
	if o.NodePorts == [2]int32{} {
		o.NodePorts = [2]int32{30000, 32767}
	}
	o.Pace = o.Pace.withDefaults()
	s := &Store{
		Options: o,
		random:  rand.New(rand.NewPCG(o.Seed, 0)), //nolint:gosec // repeatable on purpose
		watches: map[*stream]struct{}{},
		rules:   controllers(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.empty()
	return s
}

// Config returns a configuration for access to the store as an administrator.
func (s *Store) Config() *rest.Config {
	return &rest.Config{Host: "http://" + s.Name, Transport: s, QPS: -1}
}

// empty resets the cluster to a new one.
func (s *Store) empty() {
	s.objects = map[schema.GroupResource]map[types.NamespacedName]*entry{}
	s.served = map[schema.GroupResource]*definition{}
	s.history = nil
	s.version = 200 + uint64(s.random.IntN(100)) // as if used by the setup
	s.oldest = s.version
	s.control.clear()
	for _, name := range []string{metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease, metav1.NamespaceDefault} {
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := s.create(namespaceKind, n, "kube-apiserver"); err != nil {
			panic(err) // it has only a valid name
		}
	}
}

var namespaceKind = corev1.SchemeGroupVersion.WithKind("Namespace")

// create stores an object of the control plane.
func (s *Store) create(gvk schema.GroupVersionKind, o runtime.Object, manager string) error {
	for _, k := range builtin() {
		if k.gvk != gvk {
			continue
		}
		o.GetObjectKind().SetGroupVersionKind(gvk)
		m, err := meta.Accessor(o)
		if err != nil {
			return err
		}
		w := writing{kind: k, name: nameOf(m), manager: manager, trusted: true, create: true, exclusive: true}
		_, err = s.write(w, func(runtime.Object) (runtime.Object, error) {
			k.Default(o)
			return k.manager("").UpdateNoErrors(k.empty(), o, manager), nil
		})
		return err
	}
	return fmt.Errorf("create: kind %s is not built in", gvk)
}

func nameOf(m metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: m.GetNamespace(), Name: m.GetName()}
}

// find returns an object, or nil.
func (s *Store) find(gr schema.GroupResource, name types.NamespacedName) *entry {
	return s.objects[gr][name]
}

// all returns the objects of a resource in the order of lists.
func (s *Store) all(gr schema.GroupResource) []*entry {
	out := slices.Collect(maps.Values(s.objects[gr]))
	slices.SortFunc(out, func(a, b *entry) int {
		return cmp.Or(strings.Compare(a.meta.GetNamespace(), b.meta.GetNamespace()), strings.Compare(a.meta.GetName(), b.meta.GetName()))
	})
	return out
}

// store stores an object, which it takes over, at a new version, and notifies the
// watches. A nil object deletes it.
func (s *Store) store(k *kind, name types.NamespacedName, object runtime.Object) (*entry, error) {
	gr := k.groupResource()
	before := s.find(gr, name)
	s.version++
	c := change{resource: gr, version: s.version, before: before}
	if object == nil {
		delete(s.objects[gr], name)
	} else {
		e, err := newEntry(k, object, s.version)
		if err != nil {
			return nil, err
		}
		if s.objects[gr] == nil {
			s.objects[gr] = map[types.NamespacedName]*entry{}
		}
		s.objects[gr][name] = e
		c.after = e
	}
	s.history = append(s.history, c)
	if extra := len(s.history) - s.History; extra > 0 {
		s.oldest = s.history[extra-1].version
		s.history = slices.Delete(s.history, 0, extra)
	}
	for w := range s.watches {
		w.add(c)
	}
	s.controlChange(c)
	return c.after, nil
}

func newEntry(k *kind, object runtime.Object, version uint64) (*entry, error) {
	m, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	m.SetResourceVersion(strconv.FormatUint(version, 10))
	b, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	return &entry{kind: k, object: object, meta: m, json: b, version: version}, nil
}

// at returns the entry in another version of the API.
func (e *entry) at(k *kind) []byte {
	if e.kind.gvk == k.gvk {
		return e.json
	}
	b, err := json.Marshal(inVersion(e.object, k.gvk))
	if err != nil {
		return e.json
	}
	return b
}

// newUID returns a uid that no other object has.
func (s *Store) newUID() types.UID {
	a, b := s.random.Uint64(), s.random.Uint64()
	return types.UID(fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", uint32(a>>32), uint16(a>>16), a&0xfff, 0x8000|uint16(b>>48)&0x3fff, b&0xffffffffffff))
}
