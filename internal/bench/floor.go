package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// floor is the minimum of work that changes three objects in every cluster: a bare loop
// over dynamic clients, without a rate limit and with warm connections. It has the objects
// in memory and sends a server-side apply of each, all concurrently.
type floor struct {
	*fleet
	round int
}

const (
	floorName = "floor"
	floorPort = 30037
)

// apply changes the floor's objects in every cluster. It returns the time until every
// apply was answered, and the time until the watches had seen every change.
func (f *floor) apply(ctx context.Context) (answered, seen time.Duration, err error) {
	f.round++
	objects, err := f.objects()
	if err != nil {
		return 0, 0, err
	}
	expected := f.sightings.expect(keys(f.names()), changed(floorName, f.round))
	began := time.Now()
	var all errgroup.Group
	for _, m := range f.clusters {
		for _, kind := range kinds() {
			all.Go(func() error { return f.send(ctx, m, kind, objects[m.name][kind]) })
		}
	}
	if err := all.Wait(); err != nil {
		expected.drop()
		return 0, 0, err
	}
	answered = time.Since(began)
	at, err := expected.wait(ctx, patience)
	if err != nil {
		return 0, 0, err
	}
	for _, t := range at {
		seen = max(seen, t.Sub(began))
	}
	return answered, seen, nil
}

func (f *floor) send(ctx context.Context, m *member, kind schema.GroupVersionResource, body []byte) error {
	force := true
	_, err := m.client.Resource(kind).Namespace(namespace).Patch(ctx, floorName, types.ApplyPatchType, body,
		metav1.PatchOptions{FieldManager: floorName, Force: &force})
	if err != nil {
		return fmt.Errorf("apply %s to %s: %w", kind.Resource, m.name, err)
	}
	return nil
}

// objects returns the objects to send, by cluster and kind: those that the guide's
// overlays build, under the floor's name.
func (f *floor) objects() (map[string]map[schema.GroupVersionResource][]byte, error) {
	kindOf := map[string]schema.GroupVersionResource{"Service": services, "ReplicaSet": replicaSets, "Ingress": ingresses}
	all := map[string]map[schema.GroupVersionResource][]byte{}
	for _, cluster := range f.names() {
		all[cluster] = map[schema.GroupVersionResource][]byte{}
		for _, text := range guideObjects(floorName, floorPort, guideReplicas, f.round) {
			var u unstructured.Unstructured
			if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
				return nil, err
			}
			annotations := u.GetAnnotations()
			annotations[placeAnnotation] = cluster + "-" + strconv.Itoa(f.round)
			u.SetAnnotations(annotations)
			body, err := u.MarshalJSON()
			if err != nil {
				return nil, err
			}
			all[cluster][kindOf[u.GetKind()]] = body
		}
	}
	return all, nil
}
