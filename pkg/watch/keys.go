package watch

import (
	"errors"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/failure"
)

// keys remember what a watch has brought. Of each object they keep no more than
// tells a change: to compare a list with what was there before it, that is enough,
// and it is a hundred bytes for an object instead of kilobytes.
//
// One goroutine uses them, so they have no lock.
type keys struct {
	what  string // the watch
	known map[types.NamespacedName]version
	load  *load // of all watches of the cluster
	list  list  // the one that is being read
	emit  func(Event)
	// What all objects of a watch have in common.
	apiVersion, kind string
	// newest is the greatest resourceVersion seen; zero for none that is a number.
	newest uint64
	// restored says that an object came which is older than what is known of it.
	restored bool
}

type version struct {
	uid             types.UID
	resourceVersion string
	weight          int // as weigh has it
}

// List is what has come of a list so far. Objects are passed on as they come and are
// not kept: a list may be larger than what there is memory for.
type list struct {
	asked   time.Time
	objects map[types.NamespacedName]types.UID
	newest  uint64 // of keys when it began
	highest uint64 // the greatest resourceVersion of its objects
}

// errRestored ends a watch that brings an object older than what is known of it.
var errRestored = errors.New("an object is older than before: the cluster was restored from a backup, or is another one")

func newKeys(what string, l *load, emit func(Event)) *keys {
	return &keys{what: what, known: map[types.NamespacedName]version{}, load: l, emit: emit}
}

// put takes in an object that is new or changed.
func (k *keys) put(u *unstructured.Unstructured) error {
	if err := k.check(u); err != nil {
		return err
	}
	return k.update(u)
}

// drop takes in an object that is gone, or no longer selected.
func (k *keys) drop(u *unstructured.Unstructured) error {
	if err := k.check(u); err != nil {
		return err
	}
	k.forget(u)
	return nil
}

func (k *keys) forget(u *unstructured.Unstructured) {
	key := KeyOf(u)
	if _, ok := k.known[key]; ok {
		k.unload(key)
		k.emit(Event{Type: Deleted, Object: u})
	}
}

// check notes how far the cluster has come, and fails where it has gone back.
func (k *keys) check(u *unstructured.Unstructured) error {
	if k.older(u) {
		k.restored = true
		return errRestored
	}
	k.reach(u.GetResourceVersion())
	return nil
}

// reach notes a resourceVersion that was seen.
func (k *keys) reach(resourceVersion string) { k.newest = max(k.newest, number64(resourceVersion)) }

// begin takes in the beginning of a list.
func (k *keys) begin() {
	if k.restored {
		k.renew()
		k.emit(Event{Type: Restored})
	}
	k.list = list{asked: time.Now(), objects: make(map[types.NamespacedName]types.UID, len(k.known)), newest: k.newest}
}

// add takes in an object of the list.
func (k *keys) add(u *unstructured.Unstructured) error {
	if k.older(u) {
		k.restored = true
		return errRestored
	}
	if err := k.update(u); err != nil {
		return err
	}
	k.list.objects[KeyOf(u)] = u.GetUID()
	k.list.highest = max(k.list.highest, number64(u.GetResourceVersion()))
	return nil
}

// remove takes in that an object of the list is gone before the list has ended.
func (k *keys) remove(u *unstructured.Unstructured) error {
	if k.older(u) {
		k.restored = true
		return errRestored
	}
	delete(k.list.objects, KeyOf(u))
	k.forget(u)
	return nil
}

// end takes in the end of the list, up to the Listed event, which is the caller's to
// emit. What the list lacks was deleted at some time before the list's
// resourceVersion, which the tombstone bears: by its own, the deletion would seem
// older than the last change. A list that shows an earlier state than was seen before
// has to be begun again: then every object follows.
func (k *keys) end(resourceVersion string) (*Listing, error) {
	if k.wentBack(resourceVersion) {
		k.restored = true
		return nil, errRestored
	}
	k.reach(resourceVersion)
	for key, before := range k.known {
		if _, ok := k.list.objects[key]; !ok {
			k.unload(key)
			k.emit(Event{Type: Deleted, Object: k.tombstone(key, version{uid: before.uid, resourceVersion: resourceVersion})})
		}
	}
	listed := k.list
	k.list = list{}
	return &Listing{ResourceVersion: resourceVersion, Asked: listed.asked, Objects: listed.objects}, nil
}

// wentBack reports whether a list shows an earlier state than was seen before.
//
// Every list is a consistent read, so an API server that lags behind the others
// cannot be the reason. Resource versions that are no numbers tell nothing; nor
// does a list's where its objects have greater ones: the API server behind it
// counts in another way.
func (k *keys) wentBack(resourceVersion string) bool {
	at := number64(resourceVersion)
	return k.list.highest <= at && at > 0 && at < k.list.newest
}

// older reports whether an object is older than what is known of the same one.
func (k *keys) older(u *unstructured.Unstructured) bool {
	before, ok := k.known[KeyOf(u)]
	now := number64(u.GetResourceVersion())
	return ok && before.uid == u.GetUID() && now > 0 && now < number64(before.resourceVersion)
}

// renew has the next list give every object again, changed or not, and still the
// deletion of those that it lacks.
func (k *keys) renew() {
	for key, before := range k.known {
		k.known[key] = version{uid: before.uid, weight: before.weight}
	}
	k.newest, k.restored = 0, false
}

func (k *keys) update(u *unstructured.Unstructured) error {
	key, now := KeyOf(u), version{u.GetUID(), u.GetResourceVersion(), 0}
	before, ok := k.known[key]
	if ok && before.uid == now.uid && before.resourceVersion == now.resourceVersion {
		return nil
	}
	now.weight = weigh(u.Object)
	if err := k.load.bear(k.what, !ok, now.weight-before.weight, key, now); err != nil {
		return err
	}
	if !ok && len(k.known) >= bounds.Objects {
		k.load.drop(1, now.weight)
		return failure.Misbehaves("shows more than %d %s", bounds.Objects, k.what)
	}
	k.apiVersion, k.kind = u.GetAPIVersion(), u.GetKind()
	if ok && before.uid != now.uid {
		k.emit(Event{Type: Deleted, Object: k.tombstone(key, before)})
	}
	k.known[key] = now
	k.emit(Event{Type: Upserted, Object: u})
	return nil
}

// unload forgets an object.
func (k *keys) unload(key types.NamespacedName) {
	if before, ok := k.known[key]; ok {
		k.load.drop(1, before.weight)
		delete(k.known, key)
	}
}

// close forgets all of them.
func (k *keys) close() {
	for key := range k.known {
		k.unload(key)
	}
}

func (k *keys) tombstone(key types.NamespacedName, last version) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(k.apiVersion)
	u.SetKind(k.kind)
	u.SetNamespace(key.Namespace)
	u.SetName(key.Name)
	u.SetUID(last.uid)
	u.SetResourceVersion(last.resourceVersion)
	return u
}

// KeyOf returns under which key an object stands.
func KeyOf(u *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: u.GetNamespace(), Name: u.GetName()}
}

// number64 returns a resourceVersion as a number, zero where it is none.
func number64(resourceVersion string) uint64 {
	n, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
