package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// brokenFiles are commits whose fedsync.yaml cannot be read, by the mistake in it.
func brokenFiles() map[string]map[string]string {
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, ", {name: more-%d}", i)
	}
	renamed := strings.Replace(stagedFile, "name: web}\nspec", "name: shop}\nspec", 1)
	return map[string]map[string]string{
		"no YAML":            {"fedsync.yaml": "kind: [\n"},
		"an unknown field":   {"fedsync.yaml": stagedFile + "  oops: 1\n"},
		"too many clusters":  {"fedsync.yaml": strings.Replace(stagedFile, ", {name: c}", ", {name: c}"+many.String(), 1)},
		"deleted":            {"fedsync.yaml": ""},
		"empty":              {"fedsync.yaml": "# nothing\n"},
		"renamed and broken": {"fedsync.yaml": renamed + "  oops: 1\n"},
		"all files deleted":  {"fedsync.yaml": "", "web/web.yaml": "", "settings/settings.yaml": ""},
		"other files, too":   {"fedsync.yaml": stagedFile + "  oops: 1\n", "settings/settings.yaml": stagedSettings("three")},
	}
}

// beforeBroken are histories that a broken commit follows.
func beforeBroken() map[string]func(*staged) (inForce string) {
	return map[string]func(*staged) string{
		"one good commit": func(s *staged) string {
			s.push("one", good())
			return "one"
		},
		"two good commits": func(s *staged) string {
			s.push("one", good())
			s.pass(time.Minute)
			s.push("two", map[string]string{"settings/settings.yaml": stagedSettings("two")})
			return "two"
		},
		"an app that cannot be rendered": func(s *staged) string {
			s.push("one", good())
			s.pass(time.Minute)
			s.push("two", map[string]string{"web/web.yaml": "kind: [\n", "settings/settings.yaml": stagedSettings("two")})
			return "two"
		},
		"another broken commit": func(s *staged) string {
			s.push("one", good())
			s.pass(time.Minute)
			s.push("broken", map[string]string{"fedsync.yaml": "kind: {\n"})
			return "one"
		},
		"a good commit that was pushed with the broken one": func(s *staged) string {
			s.push("one", good())
			s.pass(time.Minute)
			files := maps.Clone(s.files)
			files["settings/settings.yaml"] = &fstest.MapFile{Data: []byte(stagedSettings("two"))}
			s.files = files
			s.pushed.add(federation.Snapshot{Revision: federation.Revision{Ref: "main", SHA: shaOf("two")}, Files: files})
			return "two"
		},
	}
}

// A daemon that starts at a commit whose fedsync.yaml is broken reports and does the same
// as one that was running when the commit came.
func TestAStartAtABrokenFileMaintainsTheRevisionBefore(t *testing.T) {
	cfg := stagedConfig(t)
	for what, broken := range brokenFiles() {
		for past, begin := range beforeBroken() {
			t.Run(what+" after "+past, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					veteran := stage(t, cfg)
					inForce := begin(veteran)
					veteran.pass(time.Minute)
					veteran.push("bad", broken)
					before, ran := veteran.pass(20*time.Minute), veteran.runs()
					veteran.stop()

					novice := stageAt(t, cfg, veteran.pushed)
					defer novice.stop()
					novice.find(veteran.pushed.tip())
					after := novice.pass(20 * time.Minute)
					if diff := disagreement(essence(before), essence(after)); diff != "" {
						t.Errorf("a daemon that has just started reports (-lived through it +started):\n%s", diff)
					}
					if runs := novice.runs(); !maps.Equal(runs, ran) {
						t.Errorf("a daemon that has just started has the clusters run %v, want %v", runs, ran)
					}
					if after.State != status.Failure || after.Revision.SHA != shaOf("bad") || after.Maintained.SHA != shaOf(inForce) || after.Maintained.Ref != "main" {
						t.Errorf("the report is of %s %s, with %s maintained, want the failure of bad and %s", after.Revision, after.State, after.Maintained, inForce)
					}
					if was, is := veteran.forge.contexts("bad"), novice.forge.contexts("bad"); !slices.Equal(was, is) {
						t.Errorf("a daemon that has just started posts under %q, want %q", is, was)
					}
					if posts := novice.forge.of(inForce); len(posts) > 0 {
						t.Errorf("the revision that is maintained got statuses: %q", posts)
					}
				})
			})
		}
	}
}

func mapFiles(files map[string]string) fstest.MapFS {
	all := fstest.MapFS{}
	for name, content := range files {
		all[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return all
}

// runs returns what the clusters were last requested to run.
func (s *staged) runs() map[string]string {
	all := map[string]string{}
	for name, m := range s.members.byName {
		order := m.Newest()
		var objects []string
		for _, app := range order.Apps {
			for _, o := range app.Objects {
				objects = append(objects, string(o.JSON))
			}
		}
		slices.Sort(objects)
		all[name] = order.Revision.SHA + " " + strings.Join(objects, " ")
	}
	return all
}

func TestFailoverGoesOnAfterAStartAtABrokenFile(t *testing.T) {
	cfg := stagedConfig(t)
	synctest.Test(t, func(t *testing.T) {
		var repository pushed
		repository.add(federation.Snapshot{Revision: federation.Revision{Ref: "main", SHA: shaOf("one")}, Files: mapFiles(good())})
		broken := good()
		broken["fedsync.yaml"] = "kind: [\n"
		tip := repository.add(federation.Snapshot{Revision: federation.Revision{Ref: "main", SHA: shaOf("bad")}, Files: mapFiles(broken)})
		s := stageAt(t, cfg, &repository)
		defer s.stop()
		s.find(tip)
		s.pass(time.Minute)
		if got := s.replicas("a"); got != 2 {
			t.Errorf("a was told to run %d replicas, want 2 of 6", got)
		}
		s.away(federation.ClusterOffline)
		s.pass(time.Minute)
		if got := s.replicas("a"); got != 3 {
			t.Errorf("when b is away, a was told to run %d replicas, want 3 of 6", got)
		}
		// The file is fixed.
		s.files = mapFiles(broken)
		s.push("two", map[string]string{"fedsync.yaml": stagedFile, "settings/settings.yaml": stagedSettings("two")})
		s.away(federation.ClusterReady)
		if r := s.pass(3 * time.Minute); r.State != status.Success || s.value("a") != "two" {
			t.Errorf("when the file is mended: %s, and a runs %s, want a success with two", describe(r), s.value("a"))
		}
	})
}

// If the history cannot be read, it is read as soon as it can be. A newer commit does not
// wait for that.
func TestWhatIsBehindABrokenFileIsReadWhenItCanBe(t *testing.T) {
	cfg := stagedConfig(t)
	for _, mended := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var repository pushed
			repository.add(federation.Snapshot{Revision: federation.Revision{Ref: "main", SHA: shaOf("one")}, Files: mapFiles(good())})
			s := stageAt(t, cfg, &repository)
			defer s.stop()
			var away atomic.Bool
			away.Store(true)
			s.renderings.before = func(ctx context.Context, of federation.Revision, use func(federation.Snapshot) bool) error {
				if away.Load() {
					return errors.New("the repository cannot be reached")
				}
				return repository.before(ctx, of, use)
			}
			s.files = mapFiles(good())
			s.push("bad", map[string]string{"fedsync.yaml": "kind: [\n"})
			if r := s.pass(5 * time.Minute); r.State != status.Failure || r.Maintained.SHA != "" {
				t.Errorf("while the history cannot be read: %s", describe(r))
			}
			if mended {
				s.push("two", map[string]string{"fedsync.yaml": stagedFile})
				if r := s.pass(5 * time.Second); r.State != status.Success {
					t.Errorf("a newer commit waits for the history: %s", describe(r))
				}
				return
			}
			away.Store(false)
			if r := s.pass(time.Minute); r.Maintained.SHA != shaOf("one") || s.value("a") != "one" {
				t.Errorf("when the history can be read, %s is maintained: %s", r.Maintained, describe(r))
			}
		})
	}
}
