package write

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/federation"
)

// parkTries bounds how many ports are tried for a Service that makes room.
const parkTries = 32

// Park applies the Service with free ports in place of those that other Services still
// hold, so that it gives up its own. What the plan wants is due after that.
func (wr *Writer) Park(ctx context.Context, k Known, used map[int32]bool, held map[object.Port]bool) (answer *unstructured.Unstructured, err error) {
	next := wr.freePorts(k.Ref, used)
	for range parkTries {
		var data []byte
		if data, err = parkedForm(k.Desired, held, next); err != nil {
			break
		}
		answer, err = wr.patchData(ctx, k, data)
		if err == nil || !apierrors.IsInvalid(err) || refusal.New("apply", k.Ref, "", err).Class != refusal.ClassPortTaken {
			break
		}
	}
	return answer, err
}

// freePorts returns ports of the range that none of our Services has. Their order
// depends on the object, so that Services that make room at the same time do not
// collide.
func (wr *Writer) freePorts(ref federation.ObjectRef, used map[int32]bool) func() int32 {
	size := wr.NodePorts.Last - wr.NodePorts.First + 1
	h := fnv.New32a()
	h.Write([]byte(ref.String()))
	at := int32(h.Sum32() % uint32(size))
	return func() int32 {
		for range size {
			at = (at + 1) % size
			port := wr.NodePorts.First + at
			if used[port] {
				continue
			}
			used[port] = true
			return port
		}
		return wr.NodePorts.First // none is free: the API server reports that
	}
}

// parkedForm returns what is sent for the Service while other Services hold its ports.
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
