package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func lines(words ...string) string { return strings.Join(words, "\n") + "\n" }

// proposed makes a repository whose branch main has advanced since a change was
// begun.
func proposed(t *testing.T) (repo *sourcetest.Repo, from, main, head string) {
	t.Helper()
	repo = sourcetest.New(t)
	from = repo.Push("begin", map[string]string{
		"fedsync.yaml":         lines("clusters:", "- a", "- b", "- c", "apps:", "- echo"),
		"apps/echo/base.yaml":  "replicas: 1\n",
		"apps/echo/gone.yaml":  "a: b\n",
		"apps/echo/clash.yaml": "port: 1\n",
	})
	head = repo.Push("change", map[string]string{
		"fedsync.yaml":         lines("clusters:", "- a", "- b", "- c", "apps:", "- echo", "- nginx"),
		"apps/nginx/web.yaml":  "kind: Service\n",
		"apps/echo/gone.yaml":  sourcetest.Removed,
		"apps/echo/clash.yaml": "port: 2\n",
	})
	repo.PushTo("change")
	repo.InWork("checkout", "--quiet", "--detach", from)
	main = repo.Push("meanwhile", map[string]string{
		"fedsync.yaml":         lines("clusters:", "- a", "- b2", "- c", "apps:", "- echo"),
		"apps/echo/base.yaml":  "replicas: 2\n",
		"apps/echo/clash.yaml": "port: 3\n",
		"apps/other/x.yaml":    "x: y\n",
	})
	return repo, from, main, head
}

func TestAProposalIsTheBranchWithTheChange(t *testing.T) {
	repo, from, main, head := proposed(t)
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			p, err := open(t, opts).Propose(t.Context(), "main", "change")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct{ what, got, want string }{
				{"base", p.Base.Revision.String(), "main@" + main[:7]},
				{"head", p.Head.String(), "change@" + head[:7]},
				{"merged", p.Merged.Revision.SHA, head},
				{"from", p.From.SHA, from},
				{"conflicts", strings.Join(p.Conflicts, " "), "apps/echo/clash.yaml"},
			} {
				if c.got != c.want {
					t.Errorf("%s = %s, want %s", c.what, c.got, c.want)
				}
			}
			wantFile(t, p.Merged.Files, "fedsync.yaml", lines("clusters:", "- a", "- b2", "- c", "apps:", "- echo", "- nginx"))
			wantFile(t, p.Merged.Files, "apps/nginx/web.yaml", "kind: Service\n")
			wantFile(t, p.Merged.Files, "apps/echo/base.yaml", "replicas: 2\n")
			wantFile(t, p.Merged.Files, "apps/echo/clash.yaml", "port: 2\n")
			wantFile(t, p.Merged.Files, "apps/other/x.yaml", "x: y\n")
			if _, err := p.Merged.Files.Open("apps/echo/gone.yaml"); err == nil {
				t.Error("a file that the change removes still exists")
			}
			digests := p.Merged.Files.(federation.Digester)
			others := p.Base.Files.(federation.Digester)
			for _, path := range []string{"apps/other", "apps/echo/base.yaml"} {
				got, err := digests.Digest(path)
				want, err2 := others.Digest(path)
				if got != want || err != nil || err2 != nil {
					t.Errorf("digest of %s = %s, %v, want the branch's %s, %v", path, got, err, want, err2)
				}
			}
		})
	}
}

func TestAProposalThatIsUpToDateIsItsHead(t *testing.T) {
	repo, _, main, _ := proposed(t)
	head := repo.Commit("on top", map[string]string{"apps/echo/base.yaml": "replicas: 3\n"})
	repo.PushTo("ahead")
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			p, err := open(t, opts).Propose(t.Context(), "main", "ahead")
			if err != nil {
				t.Fatal(err)
			}
			if p.From.SHA != main || p.Merged.Revision.SHA != head || len(p.Conflicts) > 0 {
				t.Errorf("from %s, head %s, conflicts %v, want %s, %s and none", p.From.SHA, p.Merged.Revision.SHA, p.Conflicts, main, head)
			}
			wantFile(t, p.Merged.Files, "apps/echo/base.yaml", "replicas: 3\n")
		})
	}
}

func TestRevisionsWithNothingInCommonAreNoProposal(t *testing.T) {
	repo, _, _, _ := proposed(t)
	repo.InWork("checkout", "--quiet", "--orphan", "alone")
	repo.Commit("alone", map[string]string{"a": "b"})
	repo.PushTo("alone")
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, opts).Propose(t.Context(), "main", "alone")
			if _, ok := errors.AsType[*source.UnrelatedError](err); !ok || !strings.Contains(err.Error(), `"alone"`) {
				t.Errorf("error = %v, want one that names both revisions", err)
			}
			_, err = open(t, opts).Propose(t.Context(), "main", "missing")
			if _, ok := errors.AsType[*source.RefError](err); !ok {
				t.Errorf("error = %v, want a *RefError", err)
			}
		})
	}
}

// The two sides diverged long before the commits that are requested first.
func TestAProposalThatIsFarBehind(t *testing.T) {
	repo, from, _, _ := proposed(t)
	repo.Commits("main", 300)
	repo.Commits("change", 40)
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			p, err := open(t, opts).Propose(t.Context(), "main", "change")
			if err != nil || p.From.SHA != from {
				t.Errorf("from = %+v, %v, want %s", p, err, from)
			}
		})
	}
}

// The author of a change decides how many files must be merged line by line.
func TestNoMoreIsMergedThanThereIsTimeFor(t *testing.T) {
	const files, lines = 8, 19_000
	text := strings.Repeat("a\n", lines)
	write := func(h *history, branch, first, last string) {
		for i := range files {
			h.files[branch][fmt.Sprintf("f%d", i)] = first + text + last
		}
	}
	h := &history{files: map[string]map[string]string{"one": {}, "two": {}}}
	write(h, "one", "", "")
	h.commit("one", "", "")
	write(h, "two", "", "two\n")
	h.commit("two", "one", "")
	write(h, "one", "one\n", "")
	h.commit("one", "", "")
	repo := sourcetest.New(t)
	repo.Import(h.stream.String())
	p, err := open(t, source.Options{URL: repo.Path}).Propose(t.Context(), "one", "two")
	if err != nil {
		t.Fatal(err)
	}
	// 300,000 lines are enough for five of them, three times each.
	if len(p.Both) != 5 || len(p.Conflicts) != 3 {
		t.Errorf("%d files merged and %d not, want 5 and 3", len(p.Both), len(p.Conflicts))
	}
}

// history is a random history of two branches; one may be merged into the other.
type history struct {
	rand   *rand.Rand
	stream strings.Builder              // for git fast-import
	time   int                          // of the last commit
	files  map[string]map[string]string // of each branch
}

// change changes files of a branch at random.
func (h *history) change(branch string) {
	files := h.files[branch]
	for range 1 + h.rand.IntN(3) {
		names := slices.Sorted(maps.Keys(files))
		if len(names) == 0 {
			return
		}
		name := names[h.rand.IntN(len(names))]
		switch h.rand.IntN(8) {
		case 0:
			delete(files, name)
		case 1:
			files[fmt.Sprintf("apps/%c/new%d.yaml", 'a'+rune(h.rand.IntN(3)), h.rand.IntN(4))] = lines("new", fmt.Sprint(h.rand.IntN(2)))
		default:
			text := strings.SplitAfter(files[name], "\n")
			i := h.rand.IntN(len(text))
			switch h.rand.IntN(3) {
			case 0:
				text[i] = fmt.Sprintf("changed %d\n", h.rand.Uint32())
			case 1:
				text = slices.Insert(text, i, fmt.Sprintf("added %d\n", h.rand.Uint32()))
			case 2:
				text = slices.Delete(text, i, i+1)
			}
			files[name] = strings.Join(text, "")
		}
	}
}

// commit commits all files of a branch. Its parents are the tip of the branch, or from,
// and merged.
func (h *history) commit(branch, from, merged string) {
	h.time++
	fmt.Fprintf(&h.stream, "commit refs/heads/%s\ncommitter Test <test@example.com> %d +0000\ndata 0\n", branch, 1_700_000_000+h.time)
	if from != "" {
		fmt.Fprintf(&h.stream, "from refs/heads/%s\n", from)
	}
	if merged != "" {
		fmt.Fprintf(&h.stream, "merge refs/heads/%s\n", merged)
	}
	fmt.Fprintln(&h.stream, "deleteall")
	for _, name := range slices.Sorted(maps.Keys(h.files[branch])) {
		content := h.files[branch][name]
		fmt.Fprintf(&h.stream, "M 100644 inline %s\ndata %d\n%s\n", name, len(content), content)
	}
	fmt.Fprintln(&h.stream)
}

func newHistory(seed uint64) *history {
	h := &history{rand: rand.New(rand.NewPCG(seed, 0)), files: map[string]map[string]string{}}
	begin := map[string]string{}
	for _, name := range []string{"fedsync.yaml", "apps/a/x.yaml", "apps/a/y.yaml", "apps/b/x.yaml", "apps/c/deep/er/z.yaml"} {
		var text []string
		for i := range 4 + h.rand.IntN(12) {
			text = append(text, fmt.Sprintf("%s %d", name, i))
		}
		begin[name] = lines(text...)
	}
	h.files["one"], h.files["two"] = maps.Clone(begin), maps.Clone(begin)
	h.commit("one", "", "")
	h.commit("two", "one", "")
	for range 1 + h.rand.IntN(3) {
		for _, branch := range []string{"one", "two"} {
			h.change(branch)
			h.commit(branch, "", "")
		}
		if h.rand.IntN(4) == 0 { // a merge that changes no file of either
			h.commit("two", "", "one")
		}
	}
	return h
}

// A proposal merges two branches with the same result as git.
func TestProposalsMergeAsGitDoes(t *testing.T) {
	clean, refused := 0, 0
	for seed := range uint64(40) {
		h, repo := newHistory(seed), sourcetest.New(t)
		repo.Import(h.stream.String())
		bases := strings.Fields(repo.Git("merge-base", "--all", "one", "two"))
		p, err := open(t, source.Options{URL: repo.Path}).Propose(t.Context(), "one", "two")
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !slices.Contains(bases, p.From.SHA) {
			t.Fatalf("seed %d: from = %s, want one of %v", seed, p.From.SHA, bases)
		}
		if len(bases) > 1 {
			continue // git merges the bases first
		}
		want, conflicts := mergeTree(repo, "one", "two")
		got, err := p.Merged.Files.(federation.Digester).Digest(".")
		switch {
		case err != nil:
			t.Fatalf("seed %d: %v", seed, err)
		case len(p.Conflicts) > 0 && conflicts:
			refused++
		case len(p.Conflicts) > 0:
			t.Errorf("seed %d: conflicts in %v, and none for git", seed, p.Conflicts)
		case conflicts:
			t.Errorf("seed %d: git finds a conflict", seed)
		case got != want:
			t.Errorf("seed %d: merged into %s, want %s", seed, got, want)
		default:
			clean++
		}
	}
	t.Logf("%d merged, %d with conflicts", clean, refused)
	if clean < 10 || refused < 3 {
		t.Errorf("%d merged and %d with conflicts: the test does not cover enough", clean, refused)
	}
}

// mergeTree returns the tree of git's merge, and whether it has conflicts.
func mergeTree(repo *sourcetest.Repo, ours, theirs string) (tree string, conflicts bool) {
	out := repo.Git("-c", "alias.try=!git -c merge.renames=false merge-tree --write-tree "+ours+" "+theirs+" || true", "try")
	tree, rest, _ := strings.Cut(out, "\n")
	return tree, strings.Contains(rest, "CONFLICT")
}

// A work tree is proposed as git add --all would record it.
func TestAWorkTreeIsProposedAsGitWouldAddIt(t *testing.T) {
	repo := sourcetest.New(t)
	base := repo.Commit("first", map[string]string{
		"fedsync.yaml": "1\n", ".gitignore": "*.tmp\nbuild/\n",
		"apps/web/a.yaml": "1\n", "apps/web/b.yaml": "1\n", "apps/web/gone.yaml": "1\n", "apps/web/staged.yaml": "1\n",
		"apps/web/untracked.yaml": "1\n", "apps/was-file": "1\n", "apps/was-folder/x.yaml": "1\n", "apps/left/x.yaml": "1\n",
	})
	repo.Write(map[string]string{
		"apps/web/a.yaml": "changed\n", "apps/web/new/deep.yaml": "2\n", "apps/web/gone.yaml": sourcetest.Removed, "apps/web/staged.yaml": "2\n",
		"apps/web/x.tmp": "2\n", "build/out.yaml": "2\n", "apps/was-file": sourcetest.Removed, "apps/was-folder/x.yaml": sourcetest.Removed,
		"apps/left/x.yaml": sourcetest.Removed,
	})
	repo.InWork("add", "apps/web/staged.yaml")
	repo.InWork("rm", "--quiet", "--cached", "apps/web/untracked.yaml")
	repo.Write(map[string]string{"apps/web/staged.yaml": "3\n", "apps/was-file/x.yaml": "2\n"})
	repo.InWork("-c", "init.defaultBranch=main", "init", "--quiet", "apps/nested")
	repo.Write(map[string]string{"apps/nested/in/x.yaml": "2\n"})
	repo.Link("apps/web/link.yaml", "a.yaml")
	if err := os.RemoveAll(filepath.Join(repo.Work, "apps/was-folder")); err != nil {
		t.Fatal(err)
	}
	repo.Write(map[string]string{"apps/was-folder": "2\n"})
	if err := os.Chmod(filepath.Join(repo.Work, "apps/web/b.yaml"), 0o755); err != nil { //nolint:gosec // a script
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(repo.Work, "apps/web/pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}

	p, err := open(t, source.Options{URL: repo.Work}).ProposeWorkTree(t.Context(), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	if p.Base.Revision.SHA != base || p.From.SHA != base {
		t.Errorf("base %s, from %s, want %s", p.Base.Revision.SHA, p.From.SHA, base)
	}
	for name, want := range map[string]string{
		"apps/web/a.yaml": "changed\n", "apps/web/new/deep.yaml": "2\n", "apps/web/staged.yaml": "3\n", "apps/web/untracked.yaml": "1\n",
		"apps/web/link.yaml": "changed\n", "apps/was-file/x.yaml": "2\n", "apps/was-folder": "2\n",
	} {
		wantFile(t, p.Merged.Files, name, want)
	}
	repo.InWork("-c", "advice.addEmbeddedRepo=false", "add", "--all", "--", ".", ":!apps/nested")
	if want := strings.TrimSpace(repo.InWork("write-tree")); p.Head.SHA != want {
		t.Errorf("the tree is %s, and git's %s:\n%s", p.Head.SHA, want, repo.InWork("ls-tree", "-r", want))
	}
	if p.Head.Ref != source.WorkTreeRef {
		t.Errorf("ref = %q, want %q", p.Head.Ref, source.WorkTreeRef)
	}

	// A file that has changed since is not read in place of the old one.
	repo.Write(map[string]string{"apps/web/a.yaml": "4\n"})
	if _, err := fs.ReadFile(p.Merged.Files, "apps/web/a.yaml"); err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("a file that changed since is read: %v", err)
	}
}

func TestOnlyACloneHasAWorkTree(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("first", map[string]string{"a": "1"})
	for url, want := range map[string]string{repo.Path: "bare", "https://forge.example/web.git": "no working tree here"} {
		_, err := open(t, source.Options{URL: url}).ProposeWorkTree(t.Context(), "main")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", url, err, want)
		}
	}
}

// A work tree is merged into a base that has advanced, as a commit of it would
// be.
func TestAWorkTreeIsMergedIntoABaseThatWentOn(t *testing.T) {
	repo, _, main, head := proposed(t)
	repo.InWork("checkout", "--quiet", head)
	repo.Write(map[string]string{"apps/nginx/web.yaml": "kind: Ingress\n"})
	p, err := open(t, source.Options{URL: repo.Work}).ProposeWorkTree(t.Context(), main)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, p.Merged.Files, "apps/nginx/web.yaml", "kind: Ingress\n")
	wantFile(t, p.Merged.Files, "apps/other/x.yaml", "x: y\n")
}
