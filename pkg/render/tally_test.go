package render

import (
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

func TestAnObjectThatOverlaysShareCountsOnce(t *testing.T) {
	large := &federation.Object{JSON: make([]byte, limit.RenderedBytes-1000-11*objectBytes)}
	y := tally{builds: map[*built]bool{}}
	add := func(own int, objects ...*federation.Object) error {
		b := &built{raw: append(objects, &federation.Object{JSON: make([]byte, own)})}
		for _, o := range b.raw {
			b.size += weight(o)
		}
		return y.add(b)
	}
	for i := range 9 {
		if err := add(100, large); err != nil {
			t.Fatalf("overlay %d: %v", i, err)
		}
	}
	if err := add(101, large); err == nil || !manifest.Exceeds(err) || !strings.Contains(err.Error(), "more than 64 MiB of distinct objects") {
		t.Errorf("got %v, want an error for too many bytes", err)
	}
}

func TestObjectsThatKustomizeBuildsAreCounted(t *testing.T) {
	y := tally{builds: map[*built]bool{}}
	for i := range 4 {
		err := y.add(&built{dir: "apps/a", taken: limit.Kustomized / 3})
		if want := i == 3; (err != nil) != want || want && !strings.Contains(err.Error(), "apps/a: with this folder, kustomize builds and patches more than 40,000 objects") {
			t.Errorf("overlay %d: %v", i, err)
		}
	}
}

func TestTheObjectsOfAllClustersAreCounted(t *testing.T) {
	b := &built{final: make([]*federation.Object, limit.Rendered/4)}
	y := tally{builds: map[*built]bool{}}
	for i := range 5 {
		err := y.place(task{app: &app{}, dir: "apps/a", build: landed("", b)})
		if want := i == 4; (err != nil) != want {
			t.Errorf("cluster %d: %v", i, err)
		}
	}
}
