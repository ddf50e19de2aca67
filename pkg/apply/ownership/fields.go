package ownership

import (
	"encoding/binary"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/fedsync/fedsync/internal/limit"
)

// A digest identifies the value at one path of a field set.
type digest = uint64

// Hasher digests values. Values that are equal to Kubernetes have one digest: numbers
// are compared by value, quantities by amount. Digests of different hashers do not
// compare. A Hasher never changes, so it is safe for concurrent use.
type Hasher struct{ seed maphash.Seed }

// NewHasher returns a hasher with a seed of its own.
func NewHasher() Hasher { return Hasher{seed: maphash.MakeSeed()} }

// leaves returns one digest for every path of the set, in the set's own order. Where
// the path continues in the set, the digest covers only the presence of the value.
func (h Hasher) leaves(set *fieldpath.Set, object map[string]any) []digest {
	out := make([]digest, 0, set.Size())
	walk(set, object, func(_ fieldpath.Path, l leaf) { out = append(out, h.digest(l)) })
	return out
}

// Labels returns the digest of an object's labels.
func (h Hasher) Labels(labels map[string]string) uint64 {
	content := make(map[string]any, len(labels))
	for name, v := range labels {
		content[name] = v
	}
	var m maphash.Hash
	m.SetSeed(h.seed)
	writeValue(&m, content, false)
	return m.Sum64()
}

func (h Hasher) digest(l leaf) digest {
	switch {
	case !l.present:
		return 0
	case !l.whole:
		return 1
	}
	var m maphash.Hash
	m.SetSeed(h.seed)
	writeValue(&m, l.value, l.quantity)
	return m.Sum64()
}

// leaf is what an object has at one path of a field set.
type leaf struct {
	value    any
	present  bool
	whole    bool // the path ends here, so it stands for the whole value
	quantity bool // the path leads through a field that holds quantities
}

// walk calls visit for every path of the set, in the set's order. The path is
// valid only during the call.
func walk(set *fieldpath.Set, object map[string]any, visit func(fieldpath.Path, leaf)) {
	walkFrom(set, nil, leaf{value: object, present: true}, visit)
}

func walkFrom(set *fieldpath.Set, prefix fieldpath.Path, at leaf, visit func(fieldpath.Path, leaf)) {
	set.Members.Iterate(func(pe fieldpath.PathElement) {
		next := descend(at, pe)
		_, more := set.Children.Get(pe)
		next.whole = !more
		visit(append(prefix, pe), next)
	})
	set.Children.Iterate(func(pe fieldpath.PathElement) {
		below, _ := set.Children.Get(pe)
		walkFrom(below, append(prefix, pe), descend(at, pe), visit)
	})
}

// descend goes one step down. What is missing stays missing.
func descend(at leaf, pe fieldpath.PathElement) leaf {
	next := leaf{quantity: at.quantity}
	switch {
	case pe.FieldName != nil:
		next.quantity = next.quantity || quantityFields[*pe.FieldName]
		if m, ok := at.value.(map[string]any); ok {
			next.value, next.present = m[*pe.FieldName]
		}
	case pe.Key != nil:
		for _, item := range list(at.value) {
			if matchesKey(item, *pe.Key) {
				next.value, next.present = item, true
				break
			}
		}
	case pe.Value != nil:
		want := (*pe.Value).Unstructured()
		for _, item := range list(at.value) {
			if equalScalars(item, want) {
				next.value, next.present = item, true
				break
			}
		}
	case pe.Index != nil:
		if items := list(at.value); *pe.Index >= 0 && *pe.Index < len(items) {
			next.value, next.present = items[*pe.Index], true
		}
	}
	// The API treats null and absence alike.
	next.present = next.present && next.value != nil
	return next
}

func list(v any) []any {
	items, _ := v.([]any)
	return items
}

// matchesKey reports whether the key names this item of a list.
func matchesKey(item any, key value.FieldList) bool {
	m, ok := item.(map[string]any)
	if !ok {
		return false
	}
	for _, field := range key {
		have, _ := keyField(m, field.Name)
		if !equalScalars(have, field.Value.Unstructured()) {
			return false
		}
	}
	return true
}

// keyField returns a key field of a list's item, and whether its value is known. A
// missing protocol is TCP, the only default among the keys of built-in kinds.
func keyField(item map[string]any, name string) (value any, known bool) {
	value, known = item[name]
	if !known && name == "protocol" {
		return "TCP", true
	}
	return value, known
}

func equalScalars(a, b any) bool {
	switch a.(type) {
	case map[string]any, []any:
		return false
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

// number normalizes any number that JSON decoding returns: whole numbers become int64.
func number(v any) (any, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	case int32:
		return int64(n), true
	case float64:
		if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			return int64(n), true
		}
		return n, true
	}
	return nil, false
}

// covers reports whether the set has every field that the rendered object sets. A field
// outside the set was never applied, or its ownership was lost.
func covers(set *fieldpath.Set, rendered map[string]any) bool {
	for name, v := range rendered {
		switch name {
		case "apiVersion", "kind", "status":
			continue // never owned; status belongs to its subresource
		case "metadata":
			if !coversMetadata(set, v) {
				return false
			}
			continue
		}
		if !coversElement(set, fieldpath.FieldNameElement(name), v) {
			return false
		}
	}
	return true
}

// coversMetadata checks the fields of metadata that can be owned.
func coversMetadata(set *fieldpath.Set, v any) bool {
	m, _ := v.(map[string]any)
	below := set.WithPrefix(fieldpath.FieldNameElement("metadata"))
	for _, name := range []string{"labels", "annotations", "finalizers", "ownerReferences"} {
		if !coversElement(below, fieldpath.FieldNameElement(name), m[name]) {
			return false
		}
	}
	return true
}

func coversElement(set *fieldpath.Set, pe fieldpath.PathElement, v any) bool {
	if v == nil {
		return true
	}
	below, more := set.Children.Get(pe)
	if !more {
		return set.Members.Has(pe)
	}
	switch v := v.(type) {
	case map[string]any:
		for name, item := range v {
			if !coversElement(below, fieldpath.FieldNameElement(name), item) {
				return false
			}
		}
		return true
	case []any:
		for i, item := range v {
			pe, ok := elementOf(below, i, item)
			if !ok || !coversElement(below, pe, item) {
				return false
			}
		}
		return true
	}
	return false // a scalar where the set has a structure
}

// elementOf finds the element of the set that names a list's item.
func elementOf(set *fieldpath.Set, i int, item any) (fieldpath.PathElement, bool) {
	var found fieldpath.PathElement
	ok := false
	try := func(pe fieldpath.PathElement) {
		switch {
		case ok:
			return // the first one counts
		case pe.Key != nil:
			ok = matchesKey(item, *pe.Key)
		case pe.Value != nil:
			ok = equalScalars(item, (*pe.Value).Unstructured())
		case pe.Index != nil:
			ok = *pe.Index == i
		}
		if ok {
			found = pe
		}
	}
	set.Members.Iterate(try)
	set.Children.Iterate(try)
	return found, ok
}

// writeValue writes v so that no two different values produce the same bytes.
func writeValue(m *maphash.Hash, v any, quantity bool) {
	if quantity {
		if amount, ok := amount(v); ok {
			writeString(m, 'q', amount)
			return
		}
	}
	if n, ok := number(v); ok {
		switch n := n.(type) {
		case int64:
			writeUint(m, 'i', uint64(n))
		case float64:
			writeUint(m, 'f', math.Float64bits(n))
		}
		return
	}
	switch v := v.(type) {
	case string:
		writeString(m, 's', v)
	case bool:
		if v {
			m.WriteByte('t')
		} else {
			m.WriteByte('n')
		}
	case []any:
		writeUint(m, 'l', uint64(len(v)))
		for _, item := range v {
			writeValue(m, item, quantity)
		}
	case map[string]any:
		names := slices.Sorted(maps.Keys(v))
		names = slices.DeleteFunc(names, func(name string) bool { return v[name] == nil })
		writeUint(m, 'm', uint64(len(names)))
		for _, name := range names {
			writeString(m, 'k', name)
			writeValue(m, v[name], quantity || quantityFields[name])
		}
	default:
		m.WriteByte('0')
	}
}

func writeString(m *maphash.Hash, tag byte, s string) {
	writeUint(m, tag, uint64(len(s)))
	m.WriteString(s)
}

func writeUint(m *maphash.Hash, tag byte, n uint64) {
	var b [9]byte
	b[0] = tag
	binary.LittleEndian.PutUint64(b[1:], n)
	m.Write(b[:])
}

// quantityFields hold quantities, which the API server normalizes: what is applied as
// 1000m reads back as 1.
var quantityFields = map[string]bool{
	"limits": true, "requests": true, "capacity": true, "allocatable": true, "hard": true,
	"overhead": true, "sizeLimit": true, "divisor": true, "averageValue": true, "targetAverageValue": true,
	"default": true, "defaultRequest": true, "min": true, "max": true, "maxLimitRequestRatio": true,
}

// amount returns a quantity in canonical form.
func amount(v any) (string, bool) {
	s, ok := v.(string)
	if !ok {
		n, isNumber := number(v)
		if !isNumber {
			return "", false
		}
		i, isWhole := n.(int64)
		if !isWhole {
			return "", false
		}
		return resource.NewQuantity(i, resource.DecimalSI).AsDec().String(), true
	}
	if !limit.Quantity(s) {
		return "", false
	}
	q, err := resource.ParseQuantity(s)
	if err != nil {
		return "", false
	}
	text := q.AsDec().String()
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text, true
}

// pathText formats a path for users: spec.ports[port=80,protocol="TCP"].nodePort.
func pathText(p fieldpath.Path) string {
	return strings.TrimPrefix(p.String(), ".")
}
