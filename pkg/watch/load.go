package watch

import (
	"cmp"
	"context"
	"sync/atomic"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/failure"
)

// What the watches of one cluster may bring, all of them together: there are some
// fifteen, and more where there are more kinds, and what a server may do once it may do
// on each of them.
//
// What tells an honest large cluster from a flood is not how many events there are. A
// watch that lives for days brings millions, of objects that come and go. An honest
// cluster has so many objects at a time, though, and makes changes no faster than its
// etcd writes. So the first is bounded, and more is a misbehaviour; the second is only
// slowed down, since to be too fast is no proof of anything, and who is read slowly
// hurts nobody.
const (
	// loadMost bounds what the objects weigh, in bytes. What is kept of them is a part
	// of that. The largest clusters that Kubernetes is made for weigh half of it.
	loadMost = 256 << 20
	// objectsMost bounds how many there are. The largest clusters have 5,000 nodes,
	// 10,000 namespaces and 10,000 Services; of their 150,000 pods those count that
	// wait for a node, since no others are watched.
	objectsMost = bounds.Objects * 3 / 2
	// nameMost and versionMost bound what is kept of every object, in bytes; names
	// have 253 at most, uids 36.
	nameMost    = 1024
	versionMost = 256
	// eventRate is how many events are taken in a second, after eventBurst: everything
	// once, and once more after a connection was lost. Large clusters make and bind a
	// few hundred pods a second.
	eventRate  = 1000
	eventBurst = 2 * objectsMost
	// burstRate is how many of such a burst are taken in a second, after burstFirst: it
	// leaves most of two processors to the other clusters. Few clusters notice.
	burstRate  = 15_000
	burstFirst = 15_000
)

// load is what the objects of all watches of a cluster weigh.
type load struct {
	bytes   atomic.Int64
	objects atomic.Int64
	paces   []*rate.Limiter // of events; each has its say
}

func newLoad() *load {
	return &load{paces: []*rate.Limiter{rate.NewLimiter(burstRate, burstFirst), rate.NewLimiter(eventRate, eventBurst)}}
}

// pace waits until one more event may be taken in.
func (l *load) pace(ctx context.Context) error {
	for _, p := range l.paces {
		if err := p.Wait(ctx); err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
	}
	return nil
}

// bear adds the weight of an object that is new, or has changed from a version before.
func (l *load) bear(what string, isNew bool, weight int, key types.NamespacedName, v version) error {
	switch {
	case key.Name == "":
		return failure.Misbehaves("shows an object without a name (%s)", what)
	case len(key.Name) > nameMost || len(key.Namespace) > nameMost:
		return failure.Misbehaves("shows an object with a name of more than %d bytes (%s)", nameMost, what)
	case len(v.uid) > versionMost || len(v.resourceVersion) > versionMost:
		return failure.Misbehaves("shows an object with a uid or resourceVersion of more than %d bytes (%s)", versionMost, what)
	}
	objects := 0
	if isNew {
		objects = 1
	}
	switch {
	case l.objects.Add(int64(objects)) > objectsMost:
		l.drop(objects, 0)
		return failure.Misbehaves("shows more than %d objects (at last %s)", objectsMost, what)
	case l.bytes.Add(int64(weight)) > loadMost:
		l.drop(objects, weight)
		return failure.Misbehaves("shows objects of more than %d MiB (%s)", loadMost>>20, what)
	}
	return nil
}

func (l *load) drop(objects, weight int) {
	l.objects.Add(-int64(objects))
	l.bytes.Add(-int64(weight))
}

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
