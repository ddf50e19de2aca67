package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/gitdir"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestAPushToALocalRepositoryIsSeenAtOnce(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("first", map[string]string{"a": "1"})
	f := follow(t, source.Options{URL: repo.Path, Interval: time.Hour})
	f.revision()
	var took []time.Duration
	for i := range 20 {
		sha := repo.Commit("next", map[string]string{"a": fmt.Sprint(i)})
		repo.InWork("push", "--quiet", "origin", "HEAD:refs/heads/staging") // This sends the objects.
		moved := time.Now()
		// A push ends with exactly this: a rename of a file below refs.
		ref := filepath.Join(repo.Path, "refs", "heads", "main")
		if err := os.WriteFile(ref+".lock", []byte(sha+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(ref+".lock", ref); err != nil {
			t.Fatal(err)
		}
		f.wantRevision(sha)
		took = append(took, time.Since(moved))
	}
	slices.Sort(took)
	t.Logf("from the ref's move to the event: median %v, worst %v", took[len(took)/2], took[len(took)-1])
	if took[len(took)/2] > 50*time.Millisecond {
		t.Errorf("median = %v, want a few milliseconds", took[len(took)/2])
	}
}

func TestBranchesInFoldersThatAppearLaterAreWatched(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("first", map[string]string{"a": "1"})
	f := follow(t, source.Options{URL: repo.Path, Ref: "team/web/live", Interval: time.Hour})
	if _, ok := errors.AsType[*source.RefError](f.failure()); !ok {
		t.Fatal("want a RefError before the branch is there")
	}
	repo.PushTo("team/web/live")
	f.wantRevision(repo.Head())

	repo.Commit("second", map[string]string{"a": "2"})
	repo.PushTo("team/web/live")
	f.wantRevision(repo.Head())

	repo.Git("pack-refs", "--all", "--prune") // Removes the folders.
	repo.Commit("third", map[string]string{"a": "3"})
	repo.PushTo("team/web/live")
	f.wantRevision(repo.Head())
}

func TestPackedRefsAndGcAreSurvived(t *testing.T) {
	repo := sourcetest.New(t)
	files := map[string]string{}
	for i := range 150 {
		files[fmt.Sprintf("apps/a%d/service.yaml", i)] = strings.Repeat(fmt.Sprintf("line %d\n", i), 50)
	}
	first := repo.Push("many objects", files) // More than 100: receive-pack stores them as a pack.
	f := follow(t, source.Options{URL: repo.Path, Interval: time.Hour})
	one := f.wantRevision(first)
	wantFile(t, one.Files, "apps/a7/service.yaml", files["apps/a7/service.yaml"])

	for i := range 150 {
		files[fmt.Sprintf("apps/b%d/service.yaml", i)] = strings.Repeat(fmt.Sprintf("row %d\n", i), 50)
	}
	two := f.wantRevision(repo.Push("a second pack", files))
	wantFile(t, two.Files, "apps/b7/service.yaml", files["apps/b7/service.yaml"])

	three := f.wantRevision(repo.Push("loose objects", map[string]string{"a": "loose"}))
	repo.Git("gc", "--quiet", "--prune=now")
	wantFile(t, one.Files, "apps/a8/service.yaml", files["apps/a8/service.yaml"])
	wantFile(t, two.Files, "apps/b8/service.yaml", files["apps/b8/service.yaml"])
	wantFile(t, three.Files, "a", "loose")

	four := f.wantRevision(repo.Push("after gc", map[string]string{"a": "more"}))
	if four.Forced {
		t.Error("a commit after gc is Forced")
	}
	wantFile(t, four.Files, "a", "more")
	wantFile(t, four.Files, "apps/b9/service.yaml", files["apps/b9/service.yaml"])
}

func TestAPrunedRevisionIsAnErrorThatSaysSo(t *testing.T) {
	repo := sourcetest.New(t)
	base := repo.Push("base", map[string]string{"a": "1"})
	repo.Push("lost", map[string]string{"a": "2"})
	s, err := open(t, source.Options{URL: repo.Path}).Snapshot(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	repo.InWork("reset", "--quiet", "--hard", base)
	repo.PushTo("main")
	repo.Git("reflog", "expire", "--expire=now", "--all")
	repo.Git("gc", "--quiet", "--prune=now")
	if _, err := fs.ReadFile(s.Files, "a"); err == nil || !strings.Contains(err.Error(), "pruned") {
		t.Errorf("read = %v, want an error that names pruning as the cause", err)
	}
}

func TestAWorkTreeIsReadByWhatIsCommitted(t *testing.T) {
	repo := sourcetest.New(t)
	sha := repo.Commit("first", map[string]string{"apps/a.yaml": "committed"})
	repo.Write(map[string]string{"apps/a.yaml": "edited"})
	f := follow(t, source.Options{URL: repo.Work, Interval: time.Hour})
	s := f.wantRevision(sha)
	wantFile(t, s.Files, "apps/a.yaml", "committed")

	next := repo.Commit("second", nil)
	s = f.wantRevision(next)
	if s.Revision.Ref != "main" {
		t.Errorf("ref = %q, want main", s.Revision.Ref)
	}
	wantFile(t, s.Files, "apps/a.yaml", "edited")

	repo.InWork("checkout", "--quiet", "--detach", sha)
	s = f.wantRevision(sha)
	if s.Revision.Ref != "" || !s.Forced {
		t.Errorf("detached = %+v forced %v, want no ref and forced", s.Revision, s.Forced)
	}

	linked := filepath.Join(t.TempDir(), "linked")
	repo.InWork("worktree", "add", "--quiet", "-b", "side", linked, next)
	g := follow(t, source.Options{URL: linked, Interval: time.Hour})
	if s := g.wantRevision(next); s.Revision.Ref != "side" {
		t.Errorf("ref = %q, want side", s.Revision.Ref)
	}
}

func TestAFolderThatIsNotARepositoryIsAnErrorWithItsRemedy(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Commit("first", map[string]string{"apps/a.yaml": "x"})
	reftable := sourcetest.New(t)
	if err := os.WriteFile(filepath.Join(reftable.Path, "config"), []byte("[core]\nrepositoryformatversion = 1\n[extensions]\nrefStorage = reftable\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	sha256 := t.TempDir()
	repo.InWork("init", "--quiet", "--bare", "--object-format=sha256", sha256)
	for _, c := range []struct{ name, path, want string }{
		{"plain folder", t.TempDir(), "git init"},
		{"no folder", filepath.Join(t.TempDir(), "gone"), "no such folder"},
		{"folder within", filepath.Join(repo.Work, "apps"), "give --repo " + repo.Work + " --path apps"},
		{"reftable", reftable.Path, "--ref-format=files"},
		{"sha256", sha256, "--object-format=sha1"},
	} {
		_, err := open(t, source.Options{URL: c.path}).Snapshot(t.Context(), "")
		if _, ok := errors.AsType[*gitdir.NotRepositoryError](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Snapshot = %v, want a NotRepositoryError with %q", c.name, err, c.want)
		}
	}
}

func TestALocalRepositoryMayAppearLaterAndBeReplaced(t *testing.T) {
	repo := sourcetest.New(t)
	sha := repo.Push("first", map[string]string{"a": "1"})
	path := filepath.Join(t.TempDir(), "later.git")
	f := follow(t, source.Options{URL: path})
	if _, ok := errors.AsType[*gitdir.NotRepositoryError](f.failure()); !ok {
		t.Fatal("want a NotRepositoryError first")
	}
	repo.InWork("clone", "--quiet", "--bare", repo.Path, path)
	for {
		e := f.next() // A clone in progress may cause another error.
		if e.Snapshot != nil && e.Snapshot.Revision.SHA == sha {
			break
		}
	}
	away := path + ".away"
	if err := os.Rename(path, away); err != nil {
		t.Fatal(err)
	}
	_ = f.failure() // another test checks its words
	if err := os.Rename(away, path); err != nil {
		t.Fatal(err)
	}
	if e := f.next(); e.Err != nil || e.Snapshot != nil {
		t.Errorf("event = %+v, want one for a repository that can be read again", e)
	}
}

func TestObjectsOfAnAlternateAreFound(t *testing.T) {
	repo := sourcetest.New(t)
	sha := repo.Push("first", map[string]string{"a": "1"})
	shared := filepath.Join(t.TempDir(), "shared.git")
	repo.InWork("clone", "--quiet", "--bare", "--shared", repo.Path, shared)
	s, err := open(t, source.Options{URL: shared}).Snapshot(t.Context(), "")
	if err != nil || s.Revision.SHA != sha {
		t.Fatalf("Snapshot = %v, %v, want %s", s.Revision, err, sha)
	}
	wantFile(t, s.Files, "a", "1")
}
