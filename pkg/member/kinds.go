package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/restmapper"

	"github.com/fedsync/fedsync/pkg/bounds"
	fault "github.com/fedsync/fedsync/pkg/failure"
)

// How long a group, or the list of all groups, is not read again after a failure. The
// pause doubles with each failure.
const (
	kindsPauseMin = time.Second
	kindsPauseMax = time.Minute
)

// discoverer is the part of a discovery client that Kinds uses.
type discoverer interface {
	// GroupsAndMaybeResourcesWithContext returns all groups. Resources is nil if the
	// server does not list them with the groups. Failed has the versions that the API
	// server could not read itself, because another server that provides that part of
	// the API is down.
	GroupsAndMaybeResourcesWithContext(context.Context) (groups *metav1.APIGroupList,
		resources map[schema.GroupVersion]*metav1.APIResourceList, failed map[schema.GroupVersion]error, err error)
	ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
}

// DiscoveryError means that it is not known now whether a kind exists.
type DiscoveryError struct {
	Group string // the API group that could not be read
	All   bool   // no group could be read; Group is empty
	Err   error
}

// Error implements error.
func (e *DiscoveryError) Error() string {
	if e.All {
		return fmt.Sprintf("cannot list the kinds of the cluster: %v", e.Err)
	}
	group := e.Group
	if group == "" {
		group = "core"
	}
	return fmt.Sprintf("cannot list the kinds of API group %s, so it is not known whether their objects exist: %v", group, e.Err)
}

// Unwrap returns the API server's error, or the reason why there was no answer.
func (e *DiscoveryError) Unwrap() error { return e.Err }

// Kinds are the kinds that an API server serves. They are read at the first use, and
// again after Reset.
//
// client-go's mapper leaves out what it could not read, so that the kinds of a group
// whose server is down seem to be deleted. Here an error that matches
// meta.IsNoMatchError means that the API server answered and has no such kind; any
// other error is a DiscoveryError.
//
// A failure is not cached. The next use asks again, but only after a growing pause, so
// that many uses do not flood the server. Kinds are safe for concurrent use.
type Kinds struct {
	client  discoverer
	timeout time.Duration
	// misbehaved is called if a cluster has too many groups; nil means never.
	misbehaved func(*fault.Misbehaviour)
	open       context.Context // ends the requests under way at Close
	close      context.CancelFunc

	reading turn // held while the groups are listed, so that only one caller lists them

	mu     sync.Mutex // protects the fields below
	table  *kindTable // nil when the groups have to be listed
	resets int        // calls of Reset
	failed failure    // of listing the groups
	groups map[string]*groupReader
}

var _ meta.ResettableRESTMapper = (*Kinds)(nil)

// kindTable is the result of one listing of the groups.
type kindTable struct {
	mapper meta.RESTMapper
	// unread are the versions, by group, that the listing did not include.
	unread map[string][]metav1.GroupVersionForDiscovery
	groups map[string]metav1.APIGroup
}

// failure is the last of consecutive failures, and when the next try may be.
type failure struct {
	err   error
	pause time.Duration
	next  time.Time
}

// resting reports whether it is too early for another try.
func (f *failure) resting() bool { return f.err != nil && time.Now().Before(f.next) }

func (f *failure) note(err error) {
	f.err, f.pause = err, min(max(2*f.pause, kindsPauseMin), kindsPauseMax)
	f.next = time.Now().Add(f.pause)
}

// turn is a lock that respects contexts: a caller stops waiting when its context ends.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) } // one holder

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) leave() { <-t }

// groupReader reads one group. It outlives a Reset, so that a Reset does not shorten a
// pause.
type groupReader struct {
	reading turn            // held while the group is read: one request at a time
	of      *kindTable      // the table that mapper belongs to
	mapper  meta.RESTMapper // nil until the group was read
	failed  failure
}

// NewKinds returns the kinds that a discovery client finds. The timeout is for each of
// its requests.
func NewKinds(client discoverer, timeout time.Duration) *Kinds {
	open, stop := context.WithCancel(context.Background())
	return &Kinds{client: client, timeout: timeout, open: open, close: stop, reading: newTurn(), groups: map[string]*groupReader{}}
}

// Close cancels the requests under way, and makes all later ones fail.
func (k *Kinds) Close() { k.close() }

// Reset makes the next use read the kinds again.
func (k *Kinds) Reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.table = nil
	k.resets++
}

// RESTMapping is RESTMappingWithContext without a context.
func (k *Kinds) RESTMapping(gk schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	return k.RESTMappingWithContext(context.Background(), gk, versions...)
}

// RESTMappingWithContext returns how a kind is served, in the first of the versions
// that has it, or in the preferred version if none is given.
func (k *Kinds) RESTMappingWithContext(ctx context.Context, gk schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	return lookUp(ctx, k, gk.Group, versions, func(m meta.RESTMapper) (*meta.RESTMapping, error) {
		return m.RESTMapping(gk, versions...)
	})
}

// RESTMappings implements meta.RESTMapper.
func (k *Kinds) RESTMappings(gk schema.GroupKind, versions ...string) ([]*meta.RESTMapping, error) {
	return lookUp(context.Background(), k, gk.Group, versions, func(m meta.RESTMapper) ([]*meta.RESTMapping, error) {
		return m.RESTMappings(gk, versions...)
	})
}

// KindFor implements meta.RESTMapper.
func (k *Kinds) KindFor(resource schema.GroupVersionResource) (schema.GroupVersionKind, error) {
	return lookUp(context.Background(), k, resource.Group, versionOf(resource.Version), func(m meta.RESTMapper) (schema.GroupVersionKind, error) {
		return m.KindFor(resource)
	})
}

// KindsFor implements meta.RESTMapper.
func (k *Kinds) KindsFor(resource schema.GroupVersionResource) ([]schema.GroupVersionKind, error) {
	return lookUp(context.Background(), k, resource.Group, versionOf(resource.Version), func(m meta.RESTMapper) ([]schema.GroupVersionKind, error) {
		return m.KindsFor(resource)
	})
}

// ResourceFor implements meta.RESTMapper.
func (k *Kinds) ResourceFor(resource schema.GroupVersionResource) (schema.GroupVersionResource, error) {
	return lookUp(context.Background(), k, resource.Group, versionOf(resource.Version), func(m meta.RESTMapper) (schema.GroupVersionResource, error) {
		return m.ResourceFor(resource)
	})
}

// ResourcesFor implements meta.RESTMapper.
func (k *Kinds) ResourcesFor(resource schema.GroupVersionResource) ([]schema.GroupVersionResource, error) {
	return lookUp(context.Background(), k, resource.Group, versionOf(resource.Version), func(m meta.RESTMapper) ([]schema.GroupVersionResource, error) {
		return m.ResourcesFor(resource)
	})
}

// ResourceSingularizer implements meta.RESTMapper.
func (k *Kinds) ResourceSingularizer(resource string) (string, error) {
	t, err := k.list(context.Background())
	if err != nil {
		return "", err
	}
	return t.mapper.ResourceSingularizer(resource)
}

func versionOf(version string) []string {
	if version == "" {
		return nil
	}
	return []string{version}
}

// lookUp asks the listing. If the listing does not have the whole group, lookUp also
// reads the group.
func lookUp[T any](ctx context.Context, k *Kinds, group string, versions []string, ask func(meta.RESTMapper) (T, error)) (T, error) {
	var zero T
	t, err := k.list(ctx)
	if err != nil {
		return zero, err
	}
	found, err := ask(t.mapper)
	if !meta.IsNoMatchError(err) || !t.lacks(group, versions) {
		return found, err
	}
	mapper, err := k.read(ctx, t, group)
	if err != nil {
		return zero, err
	}
	return ask(mapper)
}

// lacks reports whether the listing lacks one of the versions of a group. Without
// versions, it reports whether the listing lacks any.
func (t *kindTable) lacks(group string, versions []string) bool {
	return slices.ContainsFunc(t.unread[group], func(v metav1.GroupVersionForDiscovery) bool {
		return len(versions) == 0 || slices.Contains(versions, v.Version)
	})
}

// list returns the listing of all groups.
func (k *Kinds) list(ctx context.Context) (*kindTable, error) {
	if err := k.reading.take(ctx); err != nil {
		return nil, &DiscoveryError{All: true, Err: err}
	}
	defer k.reading.leave()
	k.mu.Lock()
	t, failed, resets := k.table, k.failed, k.resets
	k.mu.Unlock()
	switch {
	case t != nil:
		return t, nil
	case failed.resting():
		return nil, &DiscoveryError{All: true, Err: failed.err}
	}
	asking, cancel := k.bounded(ctx)
	defer cancel()
	t, err := k.ask(asking)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil { // otherwise the caller gave up
			k.failed.note(err)
		}
		return nil, &DiscoveryError{All: true, Err: err}
	}
	k.failed = failure{}
	if k.resets == resets { // otherwise it may be older than the reason for the Reset
		k.table = t
	}
	return t, nil
}

// bounded returns a context that ends with ctx, at Close, and after the timeout.
func (k *Kinds) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	stop := context.AfterFunc(k.open, cancel)
	return ctx, func() { stop(); cancel() }
}

func (k *Kinds) ask(ctx context.Context) (*kindTable, error) {
	groups, resources, failed, err := k.client.GroupsAndMaybeResourcesWithContext(ctx)
	if err != nil {
		return nil, err
	}
	if n := len(groups.Groups); n > bounds.Groups {
		m := fault.Misbehaves("lists %d API groups, more than %d", n, bounds.Groups)
		if k.misbehaved != nil {
			k.misbehaved(m)
		}
		return nil, m
	}
	t := &kindTable{
		unread: map[string][]metav1.GroupVersionForDiscovery{},
		groups: make(map[string]metav1.APIGroup, len(groups.Groups)),
	}
	var read []*restmapper.APIGroupResources
	for _, g := range groups.Groups {
		t.groups[g.Name] = g
		its := &restmapper.APIGroupResources{Group: g, VersionedResources: map[string][]metav1.APIResource{}}
		for _, v := range g.Versions {
			if list := resources[schema.GroupVersion{Group: g.Name, Version: v.Version}]; list != nil {
				its.VersionedResources[v.Version] = list.APIResources
			} else {
				t.unread[g.Name] = append(t.unread[g.Name], v)
			}
		}
		read = append(read, its)
	}
	// client-go removes the versions that failed from their groups.
	for gv := range failed {
		v := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
		if !slices.Contains(t.unread[gv.Group], v) {
			t.unread[gv.Group] = append(t.unread[gv.Group], v)
		}
	}
	for _, versions := range t.unread {
		slices.SortFunc(versions, byVersion)
	}
	// Every API server has it. One without it is still starting, or is not an API
	// server.
	if _, core := t.groups[""]; !core {
		return nil, errors.New("the answer lacks the core API")
	}
	t.mapper = restmapper.NewDiscoveryRESTMapper(read)
	return t, nil
}

// read returns a mapper of one group, of which the listing lacks versions.
func (k *Kinds) read(ctx context.Context, t *kindTable, group string) (meta.RESTMapper, error) {
	k.mu.Lock()
	r := k.groups[group]
	if r == nil {
		r = &groupReader{reading: newTurn()}
		k.groups[group] = r
	}
	k.mu.Unlock()

	if err := r.reading.take(ctx); err != nil {
		return nil, &DiscoveryError{Group: group, Err: err}
	}
	defer r.reading.leave()
	switch {
	case r.mapper != nil && r.of == t:
		return r.mapper, nil
	case r.failed.resting():
		return nil, &DiscoveryError{Group: group, Err: r.failed.err}
	}
	asking, cancel := k.bounded(ctx)
	defer cancel()
	mapper, err := k.askGroup(asking, t, group)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &DiscoveryError{Group: group, Err: err} // the caller gave up
	case err != nil:
		r.failed.note(err)
		// By the next try the group may be gone from the listing.
		k.outdated(t)
		return nil, &DiscoveryError{Group: group, Err: err}
	}
	r.of, r.mapper, r.failed = t, mapper, failure{}
	return mapper, nil
}

// outdated drops a listing, unless there is a newer one. It is called when a group's
// pause begins, so it costs a request only after the pause.
func (k *Kinds) outdated(t *kindTable) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.table == t {
		k.table = nil
	}
}

// byVersion orders versions by Kubernetes' preference: v2 before v1 before v1beta1.
func byVersion(a, b metav1.GroupVersionForDiscovery) int {
	return version.CompareKubeAwareVersionStrings(b.Version, a.Version)
}

// askGroup reads the versions of a group that the listing lacks.
func (k *Kinds) askGroup(ctx context.Context, t *kindTable, group string) (meta.RESTMapper, error) {
	its := &restmapper.APIGroupResources{Group: t.groups[group], VersionedResources: map[string][]metav1.APIResource{}}
	its.Group.Name = group
	its.Group.Versions = slices.Clone(its.Group.Versions)
	for _, v := range t.unread[group] {
		list, err := k.client.ServerResourcesForGroupVersionWithContext(ctx, v.GroupVersion)
		if err != nil {
			if apierrors.IsNotFound(err) {
				err = fmt.Errorf("version %s is listed but not served", v.Version)
			}
			return nil, err
		}
		its.VersionedResources[v.Version] = list.APIResources
		if !slices.Contains(its.Group.Versions, v) {
			its.Group.Versions = append(its.Group.Versions, v)
		}
	}
	return restmapper.NewDiscoveryRESTMapper([]*restmapper.APIGroupResources{its}), nil
}
