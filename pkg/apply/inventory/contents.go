package inventory

import (
	"maps"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Contents is what an inventory lists: the kinds of an app's objects and the namespaces
// they are in, except fedsync-system. Both are sets: no value is false. The zero
// Contents lists nothing.
type Contents struct {
	Kinds      map[schema.GroupKind]bool
	Namespaces map[string]bool
}

// Add adds the kind and the namespace of an object.
func (c *Contents) Add(ref federation.ObjectRef) {
	if c.Kinds == nil {
		c.Kinds = map[schema.GroupKind]bool{}
	}
	c.Kinds[ref.GroupKind()] = true
	if !isListed(ref.Namespace) {
		return
	}
	if c.Namespaces == nil {
		c.Namespaces = map[string]bool{}
	}
	c.Namespaces[ref.Namespace] = true
}

// isListed reports whether a namespace is one that parents list.
func isListed(namespace string) bool {
	return namespace != "" && namespace != federation.SystemNamespace
}

// Lists reports whether the kind and the namespace of an object are listed.
func (c Contents) Lists(ref federation.ObjectRef) bool {
	return c.Kinds[ref.GroupKind()] && (!isListed(ref.Namespace) || c.Namespaces[ref.Namespace])
}

// Covers reports whether c lists everything that other lists.
func (c Contents) Covers(other Contents) bool {
	return coversSet(c.Kinds, other.Kinds) && coversSet(c.Namespaces, other.Namespaces)
}

// ListsExactly reports whether c lists the same as other.
func (c Contents) ListsExactly(other Contents) bool {
	return maps.Equal(c.Kinds, other.Kinds) && maps.Equal(c.Namespaces, other.Namespaces)
}

// Union returns everything that either lists. It shares nothing with either.
func (c Contents) Union(other Contents) Contents {
	return Contents{Kinds: union(c.Kinds, other.Kinds), Namespaces: union(c.Namespaces, other.Namespaces)}
}

func coversSet[K comparable](a, b map[K]bool) bool {
	for k := range b {
		if !a[k] {
			return false
		}
	}
	return true
}

func union[K comparable](a, b map[K]bool) map[K]bool {
	out := make(map[K]bool, len(a)+len(b))
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}
