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

// keys track what a watch has brought. For each object they remember only what is needed
// to detect a change and to compare a list with the state before it: a hundred bytes per
// object instead of kilobytes.
//
// Only one goroutine uses them, so they have no lock.
type keys struct {
	what  string // the watch
	known map[types.NamespacedName]version
	load  *load // of all watches of the cluster
	list  list  // the list being read
	emit  func(Event)
	// Shared by all objects of a watch.
	apiVersion, kind string
	// newest is the highest resourceVersion seen; zero if none was a number.
	newest uint64
	// restored reports that an object came that is older than the known one.
	restored bool
}

type version struct {
	uid             types.UID
	resourceVersion string
	weight          int // by weigh
}

// list is the received part of a list. Its objects are passed on as they arrive and are
// not retained, because a list may be larger than the memory.
type list struct {
	asked   time.Time
	objects map[types.NamespacedName]types.UID
	newest  uint64 // keys.newest at the start
	highest uint64 // the highest resourceVersion of its objects
}

// errRestored ends a watch that brings an object older than the known one.
var errRestored = errors.New("an object is older than before: the cluster was restored from a backup, or is another one")

func newKeys(what string, l *load, emit func(Event)) *keys {
	return &keys{what: what, known: map[types.NamespacedName]version{}, load: l, emit: emit}
}

// put processes an object that is new or changed.
func (k *keys) put(u *unstructured.Unstructured) error {
	if err := k.check(u); err != nil {
		return err
	}
	return k.update(u)
}

// drop processes an object that is gone, or no longer selected.
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

// check records the progress of the cluster, and fails if it has gone back.
func (k *keys) check(u *unstructured.Unstructured) error {
	if k.older(u) {
		k.restored = true
		return errRestored
	}
	k.reach(u.GetResourceVersion())
	return nil
}

// reach records a resourceVersion that was seen.
func (k *keys) reach(resourceVersion string) { k.newest = max(k.newest, number64(resourceVersion)) }

// begin starts a list.
func (k *keys) begin() {
	if k.restored {
		k.renew()
		k.emit(Event{Type: Restored})
	}
	k.list = list{asked: time.Now(), objects: make(map[types.NamespacedName]types.UID, len(k.known)), newest: k.newest}
}

// add processes an object of the list.
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

// remove processes the deletion of an object before the list has ended.
func (k *keys) remove(u *unstructured.Unstructured) error {
	if k.older(u) {
		k.restored = true
		return errRestored
	}
	delete(k.list.objects, KeyOf(u))
	k.forget(u)
	return nil
}

// end ends the list, except for the Listed event, which the caller emits. An object
// missing in the list was deleted at some time before the list's resourceVersion. The
// tombstone has that version: with its own, the deletion would seem older than the last
// change. If a list shows an earlier state than one seen before, end fails and the list
// must be repeated: then every object follows again.
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

// wentBack reports whether a list shows an earlier state than one seen before.
//
// Every list is a consistent read, so a lagging API server cannot be the reason. Resource
// versions that are not numbers prove nothing. Neither does a list's version if its
// objects have higher ones: then the API server behind it counts in another way.
func (k *keys) wentBack(resourceVersion string) bool {
	at := number64(resourceVersion)
	return k.list.highest <= at && at > 0 && at < k.list.newest
}

// older reports whether an object is older than its known version.
func (k *keys) older(u *unstructured.Unstructured) bool {
	before, ok := k.known[KeyOf(u)]
	now := number64(u.GetResourceVersion())
	return ok && before.uid == u.GetUID() && now > 0 && now < number64(before.resourceVersion)
}

// renew makes the next list emit every object again, changed or not, and also the
// deletion of missing ones.
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
	if err := k.load.add(k.what, !ok, now.weight-before.weight, key, now); err != nil {
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

// close forgets all objects.
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

// KeyOf returns the key of an object.
func KeyOf(u *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: u.GetNamespace(), Name: u.GetName()}
}

// number64 returns a resourceVersion as a number; zero if it is not one.
func number64(resourceVersion string) uint64 {
	n, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
