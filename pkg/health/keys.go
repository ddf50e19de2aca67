package health

import (
	"errors"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// keys remember what a watch has brought. Of each object they keep no more than
// tells a change: to compare a list with what was there before it, that is enough,
// and it is a hundred bytes for an object instead of kilobytes.
//
// One goroutine uses them, so they have no lock.
type keys struct {
	known map[types.NamespacedName]version
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
}

// list is what the cluster has of what a watch selects.
type list struct {
	resourceVersion string
	asked           time.Time
	objects         []*unstructured.Unstructured
}

// errRestored ends a watch that brings an object older than what is known of it.
var errRestored = errors.New("an object is older than before: the cluster was restored from a backup, or is another one")

func newKeys(emit func(Event)) *keys {
	return &keys{known: map[types.NamespacedName]version{}, emit: emit}
}

// put takes in an object that is new or changed.
func (k *keys) put(u *unstructured.Unstructured) error {
	if err := k.check(u); err != nil {
		return err
	}
	k.update(u)
	return nil
}

// drop takes in an object that is gone, or no longer selected.
func (k *keys) drop(u *unstructured.Unstructured) error {
	if err := k.check(u); err != nil {
		return err
	}
	key := keyOf(u)
	if _, ok := k.known[key]; ok {
		delete(k.known, key)
		k.emit(Event{Type: Deleted, Object: u})
	}
	return nil
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

// replace takes in a list, up to the Listed event, which is the caller's to emit.
// What the list lacks was deleted at some time before the list's resourceVersion,
// which the tombstone bears: by its own, the deletion would seem older than the
// last change.
func (k *keys) replace(l list) *Listing {
	listed := make(map[types.NamespacedName]types.UID, len(l.objects))
	for _, u := range l.objects {
		listed[keyOf(u)] = u.GetUID()
	}
	if k.wentBack(l) {
		k.renew()
		k.emit(Event{Type: Restored})
	}
	k.reach(l.resourceVersion)
	for key, before := range k.known {
		if _, ok := listed[key]; !ok {
			delete(k.known, key)
			k.emit(Event{Type: Deleted, Object: k.tombstone(key, version{before.uid, l.resourceVersion})})
		}
	}
	for _, u := range l.objects {
		k.update(u)
	}
	return &Listing{ResourceVersion: l.resourceVersion, Asked: l.asked, Objects: listed}
}

// wentBack reports whether a list shows an earlier state than was seen before.
//
// Every list is a consistent read, so an API server that lags behind the others
// cannot be the reason. Resource versions that are no numbers tell nothing; nor
// does a list's where its objects have greater ones: the API server behind it
// counts in another way.
func (k *keys) wentBack(l list) bool {
	at := number64(l.resourceVersion)
	back, ordered := k.restored, true
	for _, u := range l.objects {
		back = back || k.older(u)
		ordered = ordered && number64(u.GetResourceVersion()) <= at
	}
	return back || ordered && at > 0 && at < k.newest
}

// older reports whether an object is older than what is known of the same one.
func (k *keys) older(u *unstructured.Unstructured) bool {
	before, ok := k.known[keyOf(u)]
	now := number64(u.GetResourceVersion())
	return ok && before.uid == u.GetUID() && now > 0 && now < number64(before.resourceVersion)
}

// renew has the next list give every object again, changed or not, and still the
// deletion of those that it lacks.
func (k *keys) renew() {
	for key, before := range k.known {
		k.known[key] = version{uid: before.uid}
	}
	k.newest, k.restored = 0, false
}

func (k *keys) update(u *unstructured.Unstructured) {
	k.apiVersion, k.kind = u.GetAPIVersion(), u.GetKind()
	key, now := keyOf(u), version{u.GetUID(), u.GetResourceVersion()}
	before, ok := k.known[key]
	if ok && before == now {
		return
	}
	if ok && before.uid != now.uid {
		k.emit(Event{Type: Deleted, Object: k.tombstone(key, before)})
	}
	k.known[key] = now
	k.emit(Event{Type: Upserted, Object: u})
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

func keyOf(u *unstructured.Unstructured) types.NamespacedName {
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
