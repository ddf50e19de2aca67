package source_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestASecondFetchBringsOnlyWhatChanged(t *testing.T) {
	repo := sourcetest.New(t)
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("apps/a%d/x.yaml", i)] = rand.Text() + rand.Text() + rand.Text() + rand.Text()
	}
	repo.Push("first", files)
	server := sourcetest.ServeHTTP(t, repo, "")
	f := follow(t, source.Options{URL: server.CloneURL()})
	f.revision()
	whole := server.Received.Swap(0)
	sha := repo.Push("one file", map[string]string{"apps/a7/x.yaml": "changed"})
	s := f.wantRevision(sha)
	if part := server.Received.Load(); part > whole/4 {
		t.Errorf("the second fetch had %d bytes, the first %d; want a small part", part, whole)
	}
	if n := server.Packs.Load(); n != 2 {
		t.Errorf("%d fetches, want 2: a single commit needs no further proof", n)
	}
	wantFile(t, s.Files, "apps/a7/x.yaml", "changed")
	wantFile(t, s.Files, "apps/a8/x.yaml", files["apps/a8/x.yaml"])
}

func TestHistoryIsProvedWithoutFilesWhereTheServerCan(t *testing.T) {
	received := map[string]int64{}
	for _, filter := range []string{"true", "false"} {
		repo := sourcetest.New(t)
		repo.Git("config", "uploadpack.allowFilter", filter)
		repo.Push("first", map[string]string{"a": "1"})
		server := sourcetest.ServeHTTP(t, repo, "")
		f := follow(t, source.Options{URL: server.CloneURL()})
		f.revision()
		server.Received.Store(0)
		for i := range 5 {
			repo.Commit("big", map[string]string{"b": strings.Repeat(rand.Text(), 200*(i+1))})
		}
		repo.Commit("small", map[string]string{"b": "2"})
		repo.PushTo("main")
		if s := f.wantRevision(repo.Head()); s.Forced {
			t.Errorf("filter %s: six commits on top are Forced", filter)
		}
		received[filter] = server.Received.Load()
	}
	if received["true"] >= received["false"] {
		t.Errorf("bytes with filter %d, without %d; want fewer with", received["true"], received["false"])
	}
}

func TestLimitsAreErrorsThatNameThem(t *testing.T) {
	repo := sourcetest.New(t)
	noise := make([]byte, 3<<19)
	_, _ = rand.Read(noise)
	many := map[string]string{"big": string(noise)}
	for i := range 60 {
		many[fmt.Sprintf("dir/%d", i)] = "x"
	}
	repo.Push("much", many)
	for name, opts := range transports(t, repo) {
		opts.Limits.Files = 50
		_, err := open(t, opts).Snapshot(t.Context(), "")
		limit, ok := errors.AsType[*objectdb.LimitError](err)
		if !ok || limit.Limit != 50 || limit.What != "files" {
			t.Errorf("%s: Snapshot = %v, want a LimitError of 50 files", name, err)
		}
		if name == "local" || name == "work" {
			continue // Nothing is fetched.
		}
		opts.Limits = source.Limits{RepositoryBytes: 1 << 20}
		f := follow(t, opts)
		limit, ok = errors.AsType[*objectdb.LimitError](f.failure())
		if !ok || limit.Setting != "--max-repository-bytes" {
			t.Errorf("%s: error = %v, want a LimitError for --max-repository-bytes", name, limit)
		}
		sha := repo.Push("less", map[string]string{"big": sourcetest.Removed})
		f.wantRevision(sha)
		repo.Push("much again", map[string]string{"big": string(noise)})
	}
}

func TestARevisionThatIsTooLargeIsFetchedOnce(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("many", map[string]string{"a": "1", "b": "2", "c": "3"})
	server := sourcetest.ServeHTTP(t, repo, "")
	f := follow(t, source.Options{URL: server.CloneURL(), Limits: source.Limits{Files: 2}, Interval: time.Millisecond})
	if _, ok := errors.AsType[*objectdb.LimitError](f.failure()); !ok {
		t.Fatal("want a LimitError")
	}
	before := server.Packs.Load()
	for range 5 {
		f.Nudge()
	}
	f.wantRevision(repo.Push("fewer", map[string]string{"c": sourcetest.Removed}))
	if n := server.Packs.Load() - before; n != 1 {
		t.Errorf("%d fetches, want 1 for the revision that is small enough", n)
	}
}

func TestManyPushesDoNotGrowTheMemory(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("first", map[string]string{"apps/web/a.yaml": "x", "apps/web/b.yaml": rand.Text()})
	server := sourcetest.ServeHTTP(t, repo, "")
	f := follow(t, source.Options{URL: server.CloneURL(), Interval: time.Hour})
	f.revision()
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var before uint64
	for i := range 200 {
		sha := repo.Commits("main", 1)
		f.Nudge()
		f.wantRevision(sha)
		if i == 70 {
			before = heap()
		}
	}
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes over 130 pushes, want none to speak of", grown)
	}
}
