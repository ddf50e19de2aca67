package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The static band of the default range of node ports.
const (
	bandFirst = 30000
	bandSize  = 86
)

// unpinned is a federation of Services whose node ports fedsync chooses.
type unpinned struct {
	*federated
	names []string // of the Services
}

func (b *bench) openUnpinned(ctx context.Context, name string) (*unpinned, error) {
	l, err := b.openFleet(ctx)
	if err != nil {
		return nil, err
	}
	f, err := b.federate(ctx, name, map[string]string{
		// All Services may be deleted at once.
		"fedsync.yaml":             federationFile(name, l.names()) + "    pruneLimit: 100%\n",
		appPath + "/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: default}\n",
	})
	return &unpinned{federated: f}, err
}

// close removes the Services from Git and from the clusters, because node ports are few.
func (u *unpinned) close(ctx context.Context) error {
	defer func() { _ = u.federated.close() }() // its work is done, or the error is known
	return u.remove(ctx)
}

// remove removes all Services from Git and waits until they are gone.
func (u *unpinned) remove(ctx context.Context) error {
	if len(u.names) == 0 {
		return nil
	}
	files := map[string]string{}
	for _, name := range u.names {
		files[serviceFile(name)] = ""
	}
	if _, err := u.deliver(ctx, files, "Remove the Services"); err != nil {
		return err
	}
	if err := u.settle(ctx); err != nil {
		return err
	}
	names := u.names
	u.names = nil
	return wait(ctx, patience, 200*time.Millisecond, "remove the Services", func(ctx context.Context) (bool, string) {
		ports, err := u.nodePorts(ctx, names)
		return err == nil && len(ports) == 0, fmt.Sprintf("%v %v", ports, err)
	})
}

func serviceFile(name string) string { return appPath + "/" + name + ".yaml" }

// unpinnedService is the guide's Service without a node port.
func unpinnedService(name string) string {
	return strings.Replace(guideObjects(name, 0, 0, 0)["service.yaml"], "    nodePort: 0\n", "", 1)
}

// add pushes more Services. It returns an expectation of them with node ports, and the
// time when the branch moved.
func (u *unpinned) add(ctx context.Context, names ...string) (*expectation, time.Time, error) {
	files := map[string]string{}
	var expected []string
	for _, name := range names {
		files[serviceFile(name)] = unpinnedService(name)
		for _, cluster := range u.fleet.names() {
			expected = append(expected, cluster+" "+name)
		}
	}
	u.names = append(u.names, names...)
	id, err := u.prepare(ctx, files, "Add "+names[0])
	if err != nil {
		return nil, time.Time{}, err
	}
	seen := u.sightings.expect(expected, func(s sighting) string {
		if s.deleted || s.kind != services || nodePort(s.object) == 0 {
			return ""
		}
		return s.cluster + " " + s.object.GetName()
	})
	moved, err := u.repo.publish(id)
	if err != nil {
		seen.drop()
	}
	return seen, moved, err
}

// last waits for an expectation and returns when the last of it was seen.
func (u *unpinned) last(ctx context.Context, seen *expectation) (last time.Time, err error) {
	at, err := seen.wait(ctx, patience)
	if err != nil {
		return last, fmt.Errorf("%w\nfedsync's log ends with\n%s", err, u.fedsync.LastWords())
	}
	for _, t := range at {
		last = slices.MaxFunc([]time.Time{last, t}, time.Time.Compare)
	}
	return last, nil
}

// nodePort returns a Service's first node port; 0 if it has none.
func nodePort(service *unstructured.Unstructured) int64 {
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	if len(ports) == 0 {
		return 0
	}
	first, _ := ports[0].(map[string]any)
	port, _ := first["nodePort"].(int64)
	return port
}

// nodePorts returns the current node ports of Services, by name and cluster.
func (l *fleet) nodePorts(ctx context.Context, names []string) (map[string]map[string]int64, error) {
	var mu sync.Mutex // protects all
	all := map[string]map[string]int64{}
	err := l.each(func(m *member) error {
		list, err := m.client.Resource(services).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range list.Items {
			name := list.Items[i].GetName()
			if !slices.Contains(names, name) {
				continue
			}
			if all[name] == nil {
				all[name] = map[string]int64{}
			}
			all[name][m.name] = nodePort(&list.Items[i])
		}
		return nil
	})
	return all, err
}

// firstCandidate returns the port that a Service with one port, 80/TCP, gets if it is
// free. The order is fixed forever, so this program computes it itself.
func firstCandidate(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(namespace + "/" + name + "/80/TCP")) // it never fails
	return bandFirst + int64(h.Sum64()%bandSize)
}

// occupy creates a foreign Service that has a node port.
func (m *member) occupy(ctx context.Context, name string, port int64) error {
	_, err := m.client.Resource(services).Namespace(namespace).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"type":  "NodePort",
			"ports": []any{map[string]any{"port": int64(80), "nodePort": port}},
		},
	}}, metav1.CreateOptions{})
	if apierrors.IsInvalid(err) && strings.Contains(err.Error(), "already allocated") {
		return nil // the port is occupied already
	}
	return err
}

// vacate deletes Services in all clusters, whoever created them.
func (l *fleet) vacate(ctx context.Context, names ...string) error {
	return l.each(func(m *member) error {
		for _, name := range names {
			err := m.client.Resource(services).Namespace(namespace).Delete(ctx, name, metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
		return nil
	})
}
