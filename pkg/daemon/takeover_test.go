package daemon

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/handover"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/takeover"
)

func TestAFederationIsTakenOverByTheRepositoryThatItMovedTo(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	files := map[string]string{"fedsync.yaml": w.file("web"), "apps/web/all.yaml": w.settings("a", "1")}
	before := w.start()
	old := w.repo.Push("old", files)
	before.live(old)

	// A daemon follows the same content at another address; it may not write yet.
	moved := *w
	moved.repo = sourcetest.New(t)
	cfg := *w.cfg
	cfg.Repository, cfg.Instance = moved.repo.Path, "moved"
	sha := moved.repo.Push("moved", files)
	after := moved.startWith(&cfg)
	for _, cluster := range w.sandbox.Clusters() {
		after.await("the new address is refused", hasFinding("E owned", cluster, "another source", "fedsync takeover"))
	}
	objects := w.versions()

	look := w.lookAtTakeover(&cfg)
	for _, c := range look.Clusters {
		if c.Err != nil || c.Settled(look.Source) || len(c.Foreign) != 1 || c.Foreign[0].App != "web" {
			t.Errorf("%s: %+v, want a claim and the inventory of web of another source", c.Name, c)
		}
	}
	// The old daemon is idle but running: after the attempt its claim is back.
	if _, err := look.Move(t.Context(), false); !isAlive(err) {
		t.Fatalf("Move while the old one runs = %v, want an AliveError", err)
	}
	before.live(old)
	if diff := cmp.Diff(objects, w.versions()); diff != "" {
		t.Errorf("resourceVersions after the attempt (-want +got):\n%s", diff)
	}

	before.stop()
	look = w.lookAtTakeover(&cfg)
	done, err := look.Move(t.Context(), false)
	if err != nil || len(done) != len(w.sandbox.Clusters()) {
		t.Fatalf("Move = %+v, %v", done, err)
	}
	for _, m := range done {
		if m.Err != nil || !m.Claim || !slices.Equal(m.Apps, []string{"web"}) {
			t.Errorf("%+v, want the claim and the inventory of web", m)
		}
	}
	after.live(sha) // without help, and without writing the app's objects
	for name, version := range w.versions() {
		if want := objects[name]; want != version && !isInventory(name, w.name) {
			t.Errorf("%s was written: %s, before %s", name, version, want)
		}
	}
	for _, c := range w.lookAtTakeover(&cfg).Clusters {
		if !c.Settled(look.Source) {
			t.Errorf("%s afterwards: %+v", c.Name, c)
		}
	}

	// If the old daemon starts again, it reports the takeover.
	again := w.start()
	for _, cluster := range w.sandbox.Clusters() {
		again.await("the old address is refused", hasFinding("E owned", cluster, "another source"))
	}
	again.stop()
	next := moved.repo.Push("next", map[string]string{"apps/web/all.yaml": w.settings("a", "2")})
	after.live(next)
}

func (w *world) lookAtTakeover(cfg *config.Config) *handover.Takeover {
	w.t.Helper()
	look, err := handover.Inspect(w.t.Context(), cfg, testVersion, w.log())
	if err != nil {
		w.t.Fatal(err)
	}
	return look
}

func isAlive(err error) bool {
	_, alive := errors.AsType[*takeover.AliveError](err)
	return alive
}

// isInventory reports whether a key of versions is that of the app web's inventory.
func isInventory(key, federation string) bool {
	name := inventory.ParentName(federation, "web")
	return len(key) > len(name) && key[len(key)-len(name):] == name
}
