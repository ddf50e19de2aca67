package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/federation"
)

// parkTries bounds how many ports are tried for a Service that makes room.
const parkTries = 32

// park applies the Service as the plan says, but with free ports in place of
// those that others still have: so it gives up its own. What the plan says is due
// after that.
func (a *Applier) park(ctx context.Context, r *row, k known, used map[int32]bool, held map[object.Port]bool, f *flight) (done bool) {
	next := a.freePorts(k.Ref, used)
	var answer *unstructured.Unstructured
	var err error
	for range parkTries {
		var data []byte
		if data, err = parkedForm(k.Desired, held, next); err != nil {
			break
		}
		answer, err = a.patchData(ctx, k, data)
		if err == nil || !apierrors.IsInvalid(err) || refusal.New("apply", k.Ref, "", err).Class != refusal.ClassPortTaken {
			break
		}
	}
	if err != nil {
		a.endFailed(ctx, r, f, k, outcome{verb: "apply"}, err)
		return false
	}
	v := a.table.reader.Live(answer)
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	r.flight = nil
	if f.incarnation == t.incarnation {
		r.base, r.live, r.seen, r.made, r.drift, r.last = &v, &v, time.Now(), "", nil, try{}
	}
	a.replay(r)
	return false // the circle is open now: others go first
}

// freePorts gives ports of the range that none of ours has, in an order that
// depends on the object, so that Services that make room at a time do not meet.
func (a *Applier) freePorts(ref federation.ObjectRef, used map[int32]bool) func() int32 {
	size := a.NodePorts.Last - a.NodePorts.First + 1
	h := fnv.New32a()
	h.Write([]byte(ref.String()))
	at := int32(h.Sum32() % uint32(size))
	return func() int32 {
		for range size {
			at = (at + 1) % size
			port := a.NodePorts.First + at
			if used[port] {
				continue
			}
			used[port] = true
			return port
		}
		return a.NodePorts.First // nothing is free: the API server says so
	}
}

// parkedForm is what is sent for the Service while others have its ports.
func parkedForm(d *object.Desired, held map[object.Port]bool, next func() int32) ([]byte, error) {
	u := d.Unstructured()
	ports, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "ports")
	items, _ := ports.([]any)
	for _, item := range items {
		if port, ok := object.PortOf(item); ok && held[port] {
			item.(map[string]any)["nodePort"] = int64(next())
		}
	}
	data, err := json.Marshal(u.Object)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return data, nil
}
