package health

import (
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/failure"
)

const (
	// loadMost bounds what the objects of all watches of a cluster weigh, in bytes.
	// What is kept of them is a part of that. The largest clusters that Kubernetes
	// is made for weigh half of it.
	loadMost = 256 << 20
	// nameMost and versionMost bound what is kept of every object, in bytes; names
	// have 253 at most, uids 36.
	nameMost    = 1024
	versionMost = 256
)

// load is what the objects of all watches of a cluster weigh.
type load struct{ bytes atomic.Int64 }

// bear adds the weight of an object that is new, or has changed.
func (l *load) bear(what string, weight int, key types.NamespacedName, v version) error {
	switch {
	case len(key.Name) > nameMost || len(key.Namespace) > nameMost:
		return failure.Misbehaves("shows an object with a name of more than %d bytes (%s)", nameMost, what)
	case len(v.uid) > versionMost || len(v.resourceVersion) > versionMost:
		return failure.Misbehaves("shows an object with a uid or resourceVersion of more than %d bytes (%s)", versionMost, what)
	}
	if l.bytes.Add(int64(weight)) > loadMost {
		l.drop(weight)
		return failure.Misbehaves("shows objects of more than %d MiB (%s)", loadMost>>20, what)
	}
	return nil
}

func (l *load) drop(weight int) { l.bytes.Add(-int64(weight)) }

// valueWeight is what a value takes besides its text.
const valueWeight = 32

// weigh returns about how many bytes a decoded object takes that somebody may keep:
// nobody keeps managedFields.
func weigh(value any) int {
	switch v := value.(type) {
	case string:
		return valueWeight + len(v)
	case map[string]any:
		sum := valueWeight
		for key, one := range v {
			if key != "managedFields" {
				sum += len(key) + weigh(one)
			}
		}
		return sum
	case []any:
		sum := valueWeight
		for _, one := range v {
			sum += weigh(one)
		}
		return sum
	}
	return valueWeight
}
