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

// Bounds for all watches of one cluster together. There are about fifteen watches, and
// more if there are more kinds, and a server can misbehave on each of them.
//
// The number of events does not distinguish a large honest cluster from a flood: a watch
// that lives for days brings millions of events, of objects that come and go. But an
// honest cluster has a limited number of objects at a time, and changes them no faster
// than its etcd writes. So the number of objects is bounded, and exceeding the bound is
// misbehaviour. The rate is only limited: a high rate proves nothing, and a cluster that
// is read slowly harms no other.
const (
	// loadMost bounds the weight of the objects, in bytes. Only a part of that is
	// retained. The largest clusters that Kubernetes supports weigh half of it.
	loadMost = 256 << 20
	// objectsMost bounds the number of objects. The largest clusters have 5,000 nodes,
	// 10,000 namespaces and 10,000 Services. Of their 150,000 pods only those that wait
	// for a node count, because no others are watched.
	objectsMost = bounds.Objects * 3 / 2
	// nameMost and versionMost bound what is retained of every object, in bytes. Valid
	// names have at most 253 bytes, uids 36.
	nameMost    = 1024
	versionMost = 256
	// eventRate is how many events are processed per second, after eventBurst: every
	// object once, and once more after a lost connection. Large clusters create and bind
	// a few hundred pods per second.
	eventRate  = 1000
	eventBurst = 2 * objectsMost
	// burstRate is how many events of such a burst are processed per second, after
	// burstFirst. It leaves most of two processors to the other clusters. Few clusters
	// reach it.
	burstRate  = 15_000
	burstFirst = 15_000
)

// load is the weight of the objects of all watches of a cluster.
type load struct {
	bytes   atomic.Int64
	objects atomic.Int64
	paces   []*rate.Limiter // of events; all of them apply
}

func newLoad() *load {
	return &load{paces: []*rate.Limiter{rate.NewLimiter(burstRate, burstFirst), rate.NewLimiter(eventRate, eventBurst)}}
}

// pace waits until one more event may be processed.
func (l *load) pace(ctx context.Context) error {
	for _, p := range l.paces {
		if err := p.Wait(ctx); err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
	}
	return nil
}

// add adds the weight of an object that is new or has changed.
func (l *load) add(what string, isNew bool, weight int, key types.NamespacedName, v version) error {
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

// valueWeight is the size of a value without its text, in bytes.
const valueWeight = 32

// weigh estimates how many bytes of a decoded object a receiver may retain. No receiver
// retains managedFields.
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
