package health

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// keys is the store that a reflector fills. It keeps of each object no more than
// tells a change: to compare a list with what was there before it, that is
// enough, and it is a hundred bytes for an object instead of kilobytes.
//
// A reflector calls it from one goroutine, so it has no lock.
type keys struct {
	known map[types.NamespacedName]version
	emit  func(EventType, *unstructured.Unstructured)
	// What all objects of a watch have in common.
	apiVersion, kind string
}

type version struct {
	uid             types.UID
	resourceVersion string
}

func newKeys(emit func(EventType, *unstructured.Unstructured)) *keys {
	return &keys{known: map[types.NamespacedName]version{}, emit: emit}
}

// Add is called for a new object.
func (k *keys) Add(obj any) error { return k.Update(obj) }

// Update is called for a changed object, or one that may have changed.
func (k *keys) Update(obj any) error {
	u, err := object(obj)
	if err != nil {
		return err
	}
	k.apiVersion, k.kind = u.GetAPIVersion(), u.GetKind()
	key, now := keyOf(u), version{u.GetUID(), u.GetResourceVersion()}
	before, ok := k.known[key]
	if ok && before == now {
		return nil
	}
	if ok && before.uid != now.uid {
		k.emit(Deleted, k.tombstone(key, before))
	}
	k.known[key] = now
	k.emit(Upserted, u)
	return nil
}

// Delete is called for an object that is gone, or no longer selected.
func (k *keys) Delete(obj any) error {
	u, err := object(obj)
	if err != nil {
		return err
	}
	key := keyOf(u)
	if _, ok := k.known[key]; ok {
		delete(k.known, key)
		k.emit(Deleted, u)
	}
	return nil
}

// Replace is called with the whole of a list. What it lacks was deleted at some
// time before the list's resourceVersion, which the tombstone bears: by its own,
// the deletion would seem older than the last change.
func (k *keys) Replace(list []any, resourceVersion string) error {
	listed := make(map[types.NamespacedName]bool, len(list))
	for _, obj := range list {
		u, err := object(obj)
		if err != nil {
			return err
		}
		listed[keyOf(u)] = true
	}
	for key, before := range k.known {
		if !listed[key] {
			delete(k.known, key)
			k.emit(Deleted, k.tombstone(key, version{before.uid, resourceVersion}))
		}
	}
	for _, obj := range list {
		if err := k.Update(obj); err != nil {
			return err
		}
	}
	k.emit(Listed, nil)
	return nil
}

// renew has the next list give every object again, changed or not, and still the
// deletion of those that it lacks.
func (k *keys) renew() {
	for key, before := range k.known {
		k.known[key] = version{uid: before.uid}
	}
}

// Resync has nothing to do: there are no periodic events.
func (k *keys) Resync() error { return nil }

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

func object(obj any) (*unstructured.Unstructured, error) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("watched object is a %T, want unstructured", obj)
	}
	return u, nil
}
