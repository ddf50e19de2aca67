package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// edit is a change by another client of an object that fedsync applies.
type edit struct {
	name string
	// do makes the edit and returns the object after it, or, if it was deleted, its
	// last state.
	do func(context.Context, *member, schema.GroupVersionResource) (*unstructured.Unstructured, error)
	// undone reports whether an object is as in Git again, given its state after the
	// edit.
	undone func(kind schema.GroupVersionResource, left, now *unstructured.Unstructured) bool
}

// fieldOf is the field of each kind that is edited: its JSON path, the value that the
// cluster should have and the value that another client writes.
func fieldOf(kind schema.GroupVersionResource) (path []string, ours, other any) {
	switch kind {
	case replicaSets:
		return []string{"spec", "replicas"}, int64(guideReplicas), guideReplicas + 1
	case ingresses:
		return []string{"spec", "defaultBackend", "service", "port", "number"}, int64(80), 81
	default:
		return []string{"spec", "sessionAffinity"}, "None", "ClientIP"
	}
}

func edits() []edit {
	return []edit{
		{"a changed field", changeField, func(kind schema.GroupVersionResource, left, now *unstructured.Unstructured) bool {
			return newer(now, left) && fieldIsBack(kind, now)
		}},
		{"a removed label", removeLabel, func(_ schema.GroupVersionResource, left, now *unstructured.Unstructured) bool {
			return newer(now, left) && labelIsBack(now)
		}},
		{"a deleted object", deleteObject, func(kind schema.GroupVersionResource, left, now *unstructured.Unstructured) bool {
			return now.GetUID() != left.GetUID() && fieldIsBack(kind, now) && labelIsBack(now)
		}},
	}
}

// measureDrift measures the time from the answer to an edit until the watches have seen
// it undone. Each run edits another cluster, so that no field is changed often enough to
// be a fight, in which fedsync would give way.
func measureDrift(ctx context.Context, b *bench) ([]Row, error) {
	g, err := b.openGuide(ctx)
	if err != nil {
		return nil, err
	}
	runs := b.runs
	if most := 2 * len(kinds()) * len(g.clusters); runs > most {
		b.tell("%d runs of each edit: more would be fights", most)
		runs = most
	}
	var rows []Row
	for _, e := range edits() {
		row := Row{What: e.name, Unit: "ms", Of: "edits"}
		for run := range runs {
			// 13 and 3 have no common divisor, so every object of every cluster is
			// edited before one is edited again.
			m, kind := g.clusters[run%len(g.clusters)], kinds()[run%len(kinds())]
			if err := g.settle(ctx); err != nil {
				return nil, err
			}
			took, err := g.repair(ctx, m, kind, e)
			if err != nil {
				return nil, err
			}
			row.Values = append(row.Values, milliseconds(took))
		}
		b.tell("%s: median %.0f ms, worst %.0f ms", e.name, row.Median(), row.Worst())
		rows = append(rows, row.medianWithin(50).worstWithin(500))
	}
	foreign, err := g.foreign(ctx, b)
	if err != nil {
		return nil, err
	}
	return append(rows, foreign), g.settle(ctx)
}

// repair edits an object and returns how long the edit lasted, from its answer on.
func (g *guide) repair(ctx context.Context, m *member, kind schema.GroupVersionResource, e edit) (time.Duration, error) {
	var left *unstructured.Unstructured // protected by the sightings' mutex, as is early
	var early []sighting                // what was seen before the answer came
	seen := g.sightings.expect([]string{e.name}, func(s sighting) string {
		switch {
		case s.deleted || s.cluster != m.name || s.kind != kind || s.object.GetName() != guideName:
		case left == nil:
			early = append(early, s)
		case e.undone(kind, left, s.object):
			return e.name
		}
		return ""
	})
	object, err := e.do(ctx, m, kind)
	answered := time.Now()
	if err != nil {
		seen.drop()
		return 0, fmt.Errorf("%s: %s in %s: %w", e.name, kind.Resource, m.name, err)
	}
	g.sightings.mu.Lock()
	left = object
	for _, s := range early {
		if e.undone(kind, left, s.object) { // it was repaired while the answer was read
			g.sightings.mu.Unlock()
			seen.drop()
			return s.at.Sub(answered), nil
		}
	}
	g.sightings.mu.Unlock()
	at, err := seen.wait(ctx, 30*time.Second)
	if err != nil {
		return 0, fmt.Errorf("repair of %s: %s in %s: %w\nfedsync's log ends with\n%s", e.name, kind.Resource, m.name, err, g.fedsync.LastWords())
	}
	return at[e.name].Sub(answered), nil
}

// newer reports whether a is a newer state of the same object than b: resourceVersions
// count up.
func newer(a, b *unstructured.Unstructured) bool {
	x, errX := strconv.ParseUint(a.GetResourceVersion(), 10, 64)
	y, errY := strconv.ParseUint(b.GetResourceVersion(), 10, 64)
	return errX == nil && errY == nil && x > y
}

func changeField(ctx context.Context, m *member, kind schema.GroupVersionResource) (*unstructured.Unstructured, error) {
	path, _, other := fieldOf(kind)
	return m.edit(ctx, kind, "replace", "/"+strings.Join(path, "/"), other)
}

func fieldIsBack(kind schema.GroupVersionResource, u *unstructured.Unstructured) bool {
	path, ours, _ := fieldOf(kind)
	now, _, err := unstructured.NestedFieldNoCopy(u.Object, path...)
	return err == nil && now == ours
}

func removeLabel(ctx context.Context, m *member, kind schema.GroupVersionResource) (*unstructured.Unstructured, error) {
	return m.edit(ctx, kind, "remove", "/metadata/labels/tier", nil)
}

func labelIsBack(u *unstructured.Unstructured) bool { return u.GetLabels()["tier"] == "web" }

func deleteObject(ctx context.Context, m *member, kind schema.GroupVersionResource) (*unstructured.Unstructured, error) {
	objects := m.client.Resource(kind).Namespace(namespace)
	last, err := objects.Get(ctx, guideName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	background := metav1.DeletePropagationBackground
	return last, objects.Delete(ctx, guideName, metav1.DeleteOptions{PropagationPolicy: &background})
}

// edit applies one operation of a JSON patch (RFC 6902) to the guide's object of a kind,
// with a field manager of its own.
func (m *member) edit(ctx context.Context, kind schema.GroupVersionResource, op, path string, value any) (*unstructured.Unstructured, error) {
	step := map[string]any{"op": op, "path": path}
	if value != nil {
		step["value"] = value
	}
	body, err := json.Marshal([]any{step})
	if err != nil {
		return nil, err
	}
	return m.client.Resource(kind).Namespace(namespace).Patch(ctx, guideName, types.JSONPatchType, body, metav1.PatchOptions{FieldManager: "somebody"})
}
