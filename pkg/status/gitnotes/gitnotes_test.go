package gitnotes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/post"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

func TestProviderConformsOverHTTP(t *testing.T) {
	statustest.Run(t, func(t *testing.T) statustest.Fixture {
		r := newRepository(t)
		return statustest.Fixture{
			Forge: r.overHTTP(t),
			New: func(t *testing.T, baseURL string, token func() (string, error)) status.Provider {
				p, err := New(Config{URL: baseURL + "/clone/.git", Auth: basic(token)})
				if err != nil {
					t.Fatal(err)
				}
				return p
			},
			Posted: r.noteOf,
			SHA:    r.shas[0], OtherSHA: r.shas[1],
			LatestOnly: true, AnyCommit: true, Git: true,
		}
	})
}

func TestGitItselfReadsTheNotes(t *testing.T) {
	r := newRepository(t)
	p := newProvider(t, r.dir)
	for _, c := range []status.Commit{
		wanted(r.shas[0], status.Pending, "0/13 synced"),
		wanted(r.shas[0], status.Success, "203.0.113.10 · 13/13 <clusters>"),
		wanted(r.shas[1], status.Failure, "1/13 failed: gce-us-east1b Service/nginx"),
	} {
		if err := p.Post(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	log := r.git(t, "log", "--notes=fedsync", "--reverse", "--format=%s: %N")
	if want := `(?s)^change 0: \{"context":"fedsync/web","state":"success","description":"203.0.113.10 · 13/13 <clusters>",` +
		`"target_url":"https://fedsync.example/revisions/\w+","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"\}\s+` +
		`change 1: \{.*"state":"failure".*\}$`; !regexp.MustCompile(want).MatchString(log) {
		t.Errorf("git log --notes=fedsync printed\n%s\nwant %s", log, want)
	}
	var line map[string]string
	if err := json.Unmarshal([]byte(r.git(t, "notes", "--ref=fedsync", "show", r.shas[1])), &line); err != nil || len(line) != 5 {
		t.Errorf("the note is %v, %v, want one object with five fields", line, err)
	}
	if head := r.git(t, "status", "--porcelain", "--branch"); head != "## main" {
		t.Errorf("the working tree was touched: %s", head)
	}
	r.sound(t)
}

func TestAnEqualStatusIsNotWrittenAgain(t *testing.T) {
	r := newRepository(t)
	p := newProvider(t, r.dir)
	for range 3 {
		if err := p.Post(t.Context(), wanted(r.shas[0], status.Success, "13/13 clusters")); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.git(t, "rev-list", "--count", Ref); n != "1" {
		t.Errorf("%s commits, want 1", n)
	}
}

func TestForeignLinesAndNotesAreUnchanged(t *testing.T) {
	r := newRepository(t)
	foreign := "Reviewed-by: somebody\n\n{\"context\":\"ci\",\"state\":\"passed\"}\n{\"context\":\"other/web\",\"state\":\"success\",\"extra\":1}"
	r.git(t, "notes", "--ref=fedsync", "add", "-m", foreign, r.shas[0])
	r.git(t, "notes", "--ref=fedsync", "add", "-m", "a note of another commit", r.shas[1])
	r.git(t, "notes", "--ref=commits", "add", "-m", "a note under another ref", r.shas[0])
	p := newProvider(t, r.dir)
	for _, words := range []string{"one", "two", "three"} {
		if err := p.Post(t.Context(), wanted(r.shas[0], status.Pending, words)); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(r.git(t, "notes", "--ref=fedsync", "show", r.shas[0]), "\n")
	if len(lines) != 5 || strings.Join(lines[:4], "\n") != foreign || !strings.Contains(lines[4], `"three"`) {
		t.Errorf("the note is %q, want the foreign lines and one of ours after them", lines)
	}
	if got := r.git(t, "notes", "--ref=fedsync", "show", r.shas[1]); got != "a note of another commit" {
		t.Errorf("another commit's note is %q", got)
	}
	if got := r.git(t, "notes", "--ref=commits", "show", r.shas[0]); got != "a note under another ref" {
		t.Errorf("the note under another ref is %q", got)
	}
	r.sound(t)
}

func TestAMergeOfNotesThatLeftTwoLinesIsRepaired(t *testing.T) {
	r := newRepository(t)
	line := `{"context":"fedsync/web","state":%q,"description":"","target_url":"","time":"2026-01-0%dT00:00:00Z"}`
	r.git(t, "notes", "--ref=fedsync", "add", "-m",
		fmt.Sprintf(line, "success", 2)+"\nforeign\n"+fmt.Sprintf(line, "pending", 1), r.shas[0])
	p := newProvider(t, r.dir)
	list, err := p.List(t.Context(), r.shas[0], "fedsync/web")
	if err != nil || len(list) != 1 || list[0].State != status.Success {
		t.Errorf("List = %v, %v, want the later of two lines", list, err)
	}
	if err := p.Post(t.Context(), wanted(r.shas[0], status.Failure, "1/13 failed")); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(r.git(t, "notes", "--ref=fedsync", "show", r.shas[0]), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "failure") || lines[1] != "foreign" {
		t.Errorf("the note is %q, want one line of ours where it was, and the foreign one", lines)
	}
}

// git spreads its notes over folders as they grow, and so do we; neither loses a note of
// the other.
func TestFanOutFoldersOfAnyDepthAreUnchanged(t *testing.T) {
	r := newRepository(t)
	// git accepts notes for names of commits that do not exist.
	var tree strings.Builder
	blob := r.git(t, "hash-object", "-w", "--stdin")
	for i := range 600 {
		sha := fmt.Sprintf("%02x%038x", i%256, i)
		path := sha
		switch i % 3 {
		case 0:
			path = sha[:2] + "/" + sha[2:]
		case 1:
			path = sha[:2] + "/" + sha[2:4] + "/" + sha[4:]
		}
		fmt.Fprintf(&tree, "M 100644 %s %s\n", blob, path)
	}
	own := r.shas[0]
	fmt.Fprintf(&tree, "M 100644 %s README\n", blob)
	fmt.Fprintf(&tree, "M 100644 %s %s/%s/%s\n", blob, r.shas[1][:2], r.shas[1][2:4], r.shas[1][4:])
	script := fmt.Sprintf("commit %s\ncommitter a <a@b> 1 +0000\ndata 0\n%s\n", Ref, tree.String())
	if err := os.WriteFile(filepath.Join(r.dir, ".git", "script"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	r.git(t, "-c", "alias.import=!git fast-import --quiet <.git/script", "import")
	before := strings.Split(r.git(t, "ls-tree", "-r", "--name-only", Ref), "\n")

	p := newProvider(t, r.dir)
	for _, sha := range r.shas {
		if err := p.Post(t.Context(), wanted(sha, status.Success, "13/13 clusters")); err != nil {
			t.Fatal(err)
		}
		if got := r.noteOf(t, sha, "fedsync/web"); len(got) != 1 || got[0].State != status.Success {
			t.Errorf("git shows %v for %s", got, sha)
		}
	}
	after := map[string]bool{}
	for path := range strings.SplitSeq(r.git(t, "ls-tree", "-r", "--name-only", Ref), "\n") {
		after[path] = true
	}
	for _, path := range before {
		if !after[path] {
			t.Errorf("%s is gone", path)
		}
	}
	if want := own[:2] + "/" + own[2:]; !after[want] && !after[own[:2]+"/"+own[2:4]+"/"+own[4:]] {
		t.Errorf("our note is not at %s", want)
	}
	r.git(t, "notes", "--ref=fedsync", "add", "-f", "-m", "git writes on", r.shas[1])
	if got := r.noteOf(t, own, "fedsync/web"); len(got) != 1 {
		t.Errorf("git lost our note when it wrote its own")
	}
	r.sound(t)
}

func TestAFullFolderIsSpread(t *testing.T) {
	r := newRepository(t)
	p := newProvider(t, r.dir)
	p.place = anyCommit{p.place.(*local)}
	const many = fanOut + 40
	var commits []status.Commit
	for i := range many {
		commits = append(commits, wanted(fmt.Sprintf("%04x%036x", i*211, i), status.Success, fmt.Sprint(i)))
	}
	if err := p.PostAll(t.Context(), commits); err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Split(r.git(t, "notes", "--ref=fedsync", "list"), "\n")); n != many {
		t.Errorf("git lists %d notes, want %d", n, many)
	}
	if root := r.git(t, "ls-tree", "--name-only", Ref); strings.Contains(root, strings.Repeat("0", 30)) {
		t.Error("notes were left in the full folder")
	}
	for _, c := range commits {
		if got, err := p.List(t.Context(), c.SHA, c.Context); err != nil || len(got) != 1 || !got[0].Same(c) {
			t.Fatalf("List(%s) = %v, %v", c.SHA, got, err)
		}
	}
	r.sound(t)
}

type anyCommit struct{ *local }

func (anyCommit) knows(string) (bool, error) { return true, nil }

func TestBareRepositoriesAndWorktreesHaveNotes(t *testing.T) {
	r := newRepository(t)
	bare := &repository{dir: filepath.Join(t.TempDir(), "bare.git"), shas: r.shas}
	r.git(t, "clone", "--quiet", "--bare", ".", bare.dir)
	tree := &repository{dir: filepath.Join(t.TempDir(), "tree"), shas: r.shas}
	r.git(t, "worktree", "add", "--quiet", "--detach", tree.dir)
	packed := newRepository(t)
	packed.git(t, "notes", "--ref=fedsync", "add", "-m", "foreign", packed.shas[0])
	packed.git(t, "pack-refs", "--all", "--prune")
	packed.git(t, "gc", "--quiet")
	for name, at := range map[string]*repository{"bare": bare, "worktree": tree, "packed": packed} {
		t.Run(name, func(t *testing.T) {
			for _, url := range []string{at.dir, "file://" + at.dir} {
				p := newProvider(t, url)
				c := wanted(at.shas[0], status.Success, "13/13 clusters, "+url)
				if err := p.Post(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				if got := at.noteOf(t, c.SHA, c.Context); len(got) != 1 || !got[0].Same(c) {
					t.Errorf("git shows %v, want %v", got, c)
				}
			}
			at.sound(t)
		})
	}
	if got := packed.git(t, "notes", "--ref=fedsync", "show", packed.shas[0]); !strings.HasPrefix(got, "foreign\n{") {
		t.Errorf("the note is %q, want the foreign line first", got)
	}
}

func TestAMissingCommitIsRejected(t *testing.T) {
	r := newRepository(t)
	p := newProvider(t, r.dir)
	for _, sha := range []string{statustest.UnknownSHA, "main", ""} {
		if err := p.Post(t.Context(), wanted(sha, status.Success, "")); !errors.Is(err, status.ErrRejected) {
			t.Errorf("Post for %q = %v, want ErrRejected", sha, err)
		}
		if list, err := p.List(t.Context(), sha, "fedsync/web"); err != nil || len(list) != 0 {
			t.Errorf("List for %q = %v, %v, want nothing", sha, list, err)
		}
	}
	if err := newProvider(t, t.TempDir()).Post(t.Context(), wanted(r.shas[0], status.Success, "")); err == nil {
		t.Error("Post into a folder that is no repository = no error")
	}
}

func TestAStaleLockIsNamed(t *testing.T) {
	r := newRepository(t)
	lock := filepath.Join(r.dir, ".git", Ref+".lock")
	if err := os.MkdirAll(filepath.Dir(lock), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		err := newProvider(t, r.dir).Post(t.Context(), wanted(r.shas[0], status.Success, ""))
		if err == nil || !strings.Contains(err.Error(), Ref+".lock") {
			t.Errorf("Post = %v, want an error that names the lock", err)
		}
	})
	if _, err := os.Stat(lock); err != nil {
		t.Errorf("another writer's lock was removed: %v", err)
	}
}

func TestNotesArePushedAtMostEveryFiveSeconds(t *testing.T) {
	r := newRepository(t)
	synctest.Test(t, func(t *testing.T) {
		poster := post.New(newProvider(t, r.dir), post.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			poster.Run(ctx)
		}()
		for i := range 60 { // a minute of changes, for two commits
			state := []status.State{status.Pending, status.Failure}[i%2]
			poster.Want(wanted(r.shas[0], state, fmt.Sprint("words ", i)))
			poster.Want(wanted(r.shas[1], status.Pending, fmt.Sprint("words ", i)))
			<-time.After(time.Second)
			synctest.Wait()
		}
		<-time.After(10 * time.Minute)
		cancel()
		<-done
	})
	var last time.Time
	times := strings.Fields(r.git(t, "log", "--reverse", "--format=%cI", Ref))
	for _, s := range times {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		if !last.IsZero() && at.Sub(last) < interval {
			t.Errorf("two pushes within %s", at.Sub(last))
		}
		last = at
	}
	if len(times) < 2 || len(times) > 16 {
		t.Errorf("%d pushes, want a few", len(times))
	}
	for _, sha := range r.shas {
		if got := r.noteOf(t, sha, "fedsync/web"); len(got) != 1 || got[0].Description != "words 59" {
			t.Errorf("the note is %v, want the newest words", got)
		}
	}
}
