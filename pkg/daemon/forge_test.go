package daemon

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestCommitStatusesAreNotesInTheRepository(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	w.cfg.CommitStatus = "gitnotes"
	d := w.start()

	// A file that was never valid cannot set the names of its statuses.
	broken := w.repo.Push("broken", map[string]string{"fedsync.yaml": "kind: Federation\n"})
	w.awaitNote(broken, `"context":"fedsync"`, `"state":"failure"`)

	first := w.repo.Push("first", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/a.yaml": w.settings("a", "1")})
	d.live(first)
	w.awaitNote(first, `"context":"fedsync/`+w.name+`"`, `"state":"success"`, "3/3 clusters", d.publicURL()+"/revisions/"+first)
	w.awaitNote(broken, "superseded", first[:7])

	// A restart knows which commit it left without a success.
	again := w.repo.Push("broken again", map[string]string{"fedsync.yaml": w.file("web") + "  oops: 1\n"})
	w.awaitNote(again, `"state":"failure"`)
	d.stop()
	last := w.repo.Push("mended", map[string]string{"fedsync.yaml": w.file("web")})
	d = w.start()
	d.live(last)
	w.awaitNote(again, "superseded", last[:7])
	w.awaitNote(last, `"state":"success"`)
}

// awaitNote waits until a commit's note has all of the words.
func (w *world) awaitNote(sha string, words ...string) {
	w.t.Helper()
	eventually(w.t, "the note of "+sha[:7]+" is there", func() string {
		// This fails while there is no note; git's exit status does not tell the reason.
		notes := w.repo.Git("for-each-ref", "refs/notes/fedsync")
		if notes == "" {
			return "there are no notes"
		}
		if !strings.Contains(w.repo.Git("notes", "--ref", "fedsync", "list"), sha) {
			return "it has no note"
		}
		note := w.repo.Git("notes", "--ref", "fedsync", "show", sha)
		compact := strings.NewReplacer(`": "`, `":"`).Replace(note)
		for _, word := range words {
			if !strings.Contains(compact, word) {
				return "it lacks " + word + ": " + note
			}
		}
		return ""
	})
}

func TestAForgeNudgesAndIsToldEvenIfItIsAwayForAWhile(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	forge := s.Forge(t).NewRepository(t)
	door := newDoor(t, forge.URL)
	w.cfg.Repository, w.cfg.Revision = forge.CloneURL, "main"
	w.cfg.Interval = time.Hour // only a webhook notifies
	w.cfg.CommitStatus, w.cfg.ForgeURL, w.cfg.ForgeRepository = "gitea", door.server.URL, forge.Owner+"/"+forge.Repository
	w.cfg.Username = forge.Owner
	w.cfg.TokenFile = writeFile(t, "token", forge.Token)
	w.cfg.WebhookSecretFile = writeFile(t, "secret", "hook-secret")
	push := func(value string) string {
		t.Helper()
		sha := w.repo.Commit(value, map[string]string{"fedsync.yaml": w.file("web"), "apps/web/a.yaml": w.settings("a", value)})
		w.repo.InWork("push", "--quiet", forge.PushURL(), "HEAD:refs/heads/main")
		return sha
	}
	told := func(sha string) {
		t.Helper()
		eventually(t, "the forge shows a success", func() string {
			for _, st := range forge.Statuses(t, sha) {
				if st.Context == "fedsync/"+w.name && st.State == "success" && strings.Contains(st.Description, "3/3 clusters") {
					return ""
				}
			}
			return "it does not"
		})
	}

	first := push("1")
	d := w.start()
	d.live(first)
	told(first)
	forge.AddWebhook(t, d.publicURL()+"/webhook/gitea", "hook-secret")
	second := push("2")
	d.live(second)
	told(second)

	// The forge's API goes away, but the repository does not; the clusters are synced.
	door.shut.Store(true)
	third := push("3")
	d.live(third)
	d.await("the report says that the forge is not told", hasFinding("W status", "cannot be posted and are queued"))
	fourth := push("4")
	d.live(fourth)
	d.stop()
	d = w.start()
	report := d.live(fourth)
	said, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(said), forge.Token) {
		t.Error("the report has the token in it")
	}
	if got := forge.Statuses(t, third); len(got) > 0 && got[0].State == "success" {
		t.Fatalf("the forge got a status while it was away: %+v", got)
	}
	door.shut.Store(false)
	told(fourth)
	for sha, by := range map[string]string{second: third, third: fourth} {
		eventually(t, "the forge shows what took the place of "+sha[:7], func() string {
			got := forge.Statuses(t, sha)
			ends := slices.DeleteFunc(slices.Clone(got), func(s lab.Status) bool { return !strings.HasPrefix(s.Description, "superseded by ") })
			if len(ends) == 1 && ends[0].State == "success" && strings.HasPrefix(ends[0].Description, "superseded by "+by[:7]) {
				return ""
			}
			return fmt.Sprintf("it shows %+v", got)
		})
	}
}

// door is a proxy in front of the forge's API that can be shut.
type door struct {
	server *httptest.Server
	shut   atomic.Bool
	asked  counter

	hanging atomic.Int32 // requests that wait
	hangs   atomic.Pointer[hang]
}

// hang makes requests hang.
type hang struct {
	path string // a part of their paths
	ends chan struct{}
}

// hang makes the requests hang whose paths contain part of a path, until the returned
// function is called. That function may be called again.
func (d *door) hang(path string) (end func()) {
	h := &hang{path, make(chan struct{})}
	d.hangs.Store(h)
	return sync.OnceFunc(func() {
		d.hangs.Store(nil)
		close(h.ends)
	})
}

// wait holds a request that hangs until the client gives up.
func (d *door) wait(r *http.Request) {
	h := d.hangs.Load()
	if h == nil || !strings.Contains(r.URL.Path, h.path) {
		return
	}
	d.hanging.Add(1)
	defer d.hanging.Add(-1)
	select {
	case <-h.ends:
	case <-r.Context().Done():
	}
}

func newDoor(t *testing.T, forge string) *door {
	t.Helper()
	at, err := url.Parse(forge)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{}
	proxy := httputil.NewSingleHostReverseProxy(at)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // a daemon that ends interrupts its requests
	transport := &http.Transport{}
	proxy.Transport = transport
	d.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if d.shut.Load() {
			panic(http.ErrAbortHandler) // no answer at all
		}
		d.asked.note(r)
		d.wait(r)
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		d.server.Close()
		transport.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections() // those of lab.Forge
	})
	return d
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := tempFile(t, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunOnceWaitsForTheOutcomeAndLookChangesNothing(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	w.cfg.CommitStatus, w.cfg.Listen = "gitnotes", ""
	sha := w.repo.Push("first", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/a.yaml": w.settings("a", "1")})

	looked, err := Compare(t.Context(), w.cfg, patience, w.log())
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range w.sandbox.Clusters() {
		if got := looked.Differences[cluster]; len(got) != 1 {
			t.Errorf("differences in %s = %+v, want the one object", cluster, got)
		}
	}
	if got := w.versions(); len(got) > 0 {
		t.Errorf("Compare wrote %v", got)
	}

	once := func() *status.Report {
		t.Helper()
		d, err := New(w.cfg, Options{Version: testVersion, Log: w.log()})
		if err != nil {
			t.Fatal(err)
		}
		report, err := d.RunOnce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	if r := once(); r.State != status.Success || r.Revision.SHA != sha {
		t.Errorf("RunOnce gave %s", describe(r))
	}
	w.awaitNote(sha, `"state":"success"`)
	before := w.versions()
	if looked, err = Compare(t.Context(), w.cfg, patience, w.log()); err != nil {
		t.Fatal(err)
	}
	for cluster, differences := range looked.Differences {
		if len(differences) > 0 {
			t.Errorf("differences in %s after the sync = %+v, want none", cluster, differences)
		}
	}

	// RunOnce also returns if the revision can never succeed.
	w.repo.Push("invalid", map[string]string{"apps/web/a.yaml": strings.Replace(w.settings("a", "2"), "name: a", "name: A_", 1)})
	if r := once(); r.State != status.Failure {
		t.Errorf("RunOnce gave %s", describe(r))
	}
	for object, version := range before {
		if strings.HasSuffix(object, "/a") && w.versions()[object] != version {
			t.Errorf("%s was changed by a revision that fails", object)
		}
	}
}
