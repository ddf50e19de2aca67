package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/gitdir"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/source/tree"
)

// inFolder returns opts for the folder fleet/prod.
func inFolder(opts source.Options) source.Options {
	opts.Path = "fleet/prod/"
	return opts
}

func TestOnlyTheFolderIsRead(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Write(map[string]string{
		"fedsync.yaml": "other", "fleet/README.md": "x", "fleet/prod/fedsync.yaml": "mine", "fleet/prod/apps/web/a.yaml": "a",
		"fleet/production/fedsync.yaml": "not mine", "fleet/staging/fedsync.yaml": "not mine", "shared/a.yaml": "shared",
	})
	repo.Link("fleet/prod/apps/web/inside", "../../fedsync.yaml")
	repo.Link("fleet/prod/apps/web/outside", "../../../../shared/a.yaml")
	repo.Link("fleet/prod/apps/web/there-and-back", "../../../prod/fedsync.yaml")
	repo.Push("files", nil)
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			s := snapshot(t, inFolder(opts))
			if s.Folder != "fleet/prod" || s.FederationFile() != "fleet/prod/fedsync.yaml" {
				t.Errorf("the folder is %q with the file %q, want fleet/prod/fedsync.yaml", s.Folder, s.FederationFile())
			}
			var found []string
			err := fs.WalkDir(s.Files, ".", func(path string, d fs.DirEntry, err error) error {
				if !d.IsDir() {
					found = append(found, path)
				}
				return err
			})
			want := "fleet/prod/apps/web/a.yaml fleet/prod/apps/web/inside fleet/prod/apps/web/outside fleet/prod/apps/web/there-and-back fleet/prod/fedsync.yaml"
			if got := strings.Join(found, " "); err != nil || got != want {
				t.Errorf("the files are\n%s, %v, want\n%s", got, err, want)
			}
			wantFile(t, s.Files, "fleet/prod/apps/web/inside", "mine")
			for path, reason := range map[string]tree.Refusal{
				"fleet/prod/apps/web/outside": tree.LinkOutside, "fleet/prod/apps/web/there-and-back": tree.LinkOutside,
				"fedsync.yaml": tree.OutsideFolder, "shared/a.yaml": tree.OutsideFolder, "fleet/production/fedsync.yaml": tree.OutsideFolder,
			} {
				_, err := fs.ReadFile(s.Files, path)
				refused, ok := errors.AsType[*tree.RefusedError](err)
				if !ok || refused.Reason != reason || !strings.Contains(err.Error(), "fleet/prod, and nothing else of the repository is read") {
					t.Errorf("reading %s: %v, want it refused as %s, with the folder's name", path, err, reason)
				}
			}
		})
	}
}

func TestAFolderIsAProperFileSystem(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("files", map[string]string{"a/b/c/fedsync.yaml": "x", "a/b/c/apps/y.yaml": "y", "a/b/z": "z", "d": "d"})
	opts := source.Options{URL: repo.Path, Path: "./a/b/c"}
	if err := fstest.TestFS(snapshot(t, opts).Files, "a/b/c/fedsync.yaml", "a/b/c/apps/y.yaml"); err != nil {
		t.Error(err)
	}
}

// Files outside the folder change no digest, so nothing is rendered again for them.
func TestCommitsOutsideTheFolderChangeNothingInIt(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Write(map[string]string{"fleet/prod/fedsync.yaml": "mine", "fleet/prod/apps/a.yaml": "a", "other/b.yaml": "b"})
	repo.Link("fleet/prod/apps/link", "a.yaml")
	repo.Push("files", nil)
	opts := inFolder(source.Options{URL: repo.Path})
	before := snapshot(t, opts)
	repo.Push("beside", map[string]string{"other/b.yaml": "c", "fleet/README.md": "new"})
	after := snapshot(t, opts)
	if before.Revision == after.Revision {
		t.Fatal("the revision is the same")
	}
	for _, name := range []string{".", "fleet/prod", "fleet/prod/apps", "fleet/prod/fedsync.yaml"} {
		if was, is := digest(t, before, name), digest(t, after, name); was != is {
			t.Errorf("the digest of %s was %s and is %s, want it unchanged", name, was, is)
		}
	}
	repo.Push("inside", map[string]string{"fleet/prod/apps/a.yaml": "other"})
	changed := snapshot(t, opts)
	for _, name := range []string{".", "fleet/prod", "fleet/prod/apps"} {
		if digest(t, after, name) == digest(t, changed, name) {
			t.Errorf("the digest of %s does not change with a file in it", name)
		}
	}
}

func digest(t *testing.T, s federation.Snapshot, name string) string {
	t.Helper()
	d, err := s.Files.(federation.Digester).Digest(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAPathThatIsNotAFolderIsNamed(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Write(map[string]string{"real/prod/fedsync.yaml": "x", "file": "x"})
	repo.Link("link", "real")
	repo.Link("up", "..")
	repo.Commit("files", nil)
	repo.InWork("update-index", "--add", "--cacheinfo", "160000,"+repo.Head()+",module")
	repo.InWork("commit", "--quiet", "--message", "submodule")
	repo.PushTo("main")
	for path, want := range map[string]string{
		"link/prod":   "link is a symbolic link",
		"link":        "link is a symbolic link",
		"up":          "up is a symbolic link",
		"module":      "module is a submodule",
		"module/prod": "module is a submodule",
		"file":        "file is a file",
		"file/prod":   "file is a file",
		"real/test":   "real/test is not in this commit",
		"other/prod":  "other is not in this commit",
	} {
		for name, opts := range transports(t, repo) {
			opts.Path = path
			s := snapshot(t, opts)
			_, err := fs.ReadFile(s.Files, s.FederationFile())
			if _, ok := errors.AsType[*tree.FolderError](err); !ok || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--path") {
				t.Errorf("%s: reading %s: %v, want an error with %q", name, path, err, want)
			}
			if errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the error for %s is fs.ErrNotExist", name, path)
			}
		}
	}
}

func TestAPathThatNamesNoFolderIsRefused(t *testing.T) {
	for _, path := range []string{"..", "../x", "a/../b", "a/..", "/etc", "/", "a//b", "a/./b", `a\b`, "a\nb", "./..", strings.Repeat("a/", 5000) + "b"} {
		if _, err := source.Open(source.Options{URL: "/repo", Path: path}, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "path ") {
			t.Errorf("Open with the path %.20q: %v, want it refused", path, err)
		}
	}
	for given, want := range map[string]string{"": "", ".": "", "./": "", "a/b/": "a/b", "./a": "a"} {
		s, err := source.Open(source.Options{URL: "/repo", Path: given}, zap.NewNop())
		if err != nil || s.Path() != want {
			t.Errorf("Open with the path %q: %v, want the path %q", given, err, want)
		}
	}
}

func TestAFolderThatCameAndWentIsFollowed(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("without", map[string]string{"README.md": "x"})
	s := open(t, inFolder(source.Options{URL: repo.Path}))
	reads := func() error {
		snapshot, err := s.Snapshot(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = fs.ReadFile(snapshot.Files, "fleet/prod/fedsync.yaml")
		return err
	}
	if err := reads(); err == nil {
		t.Error("a folder that is not there was read")
	}
	repo.Push("with", map[string]string{"fleet/prod/fedsync.yaml": "x"})
	if err := reads(); err != nil {
		t.Error(err)
	}
	repo.Push("without again", map[string]string{"fleet/prod/fedsync.yaml": sourcetest.Removed})
	if err := reads(); err == nil {
		t.Error("a folder that is gone was read")
	}
}

func TestLimitsCountOnlyTheFolder(t *testing.T) {
	repo := sourcetest.New(t)
	files := map[string]string{"fleet/prod/fedsync.yaml": "x"}
	for i := range 50 {
		files[fmt.Sprintf("other/%d/file", i)] = "x"
	}
	repo.Push("many", files)
	opts := inFolder(source.Options{URL: repo.Path, Limits: source.Limits{Files: 10}})
	snapshot(t, opts)
	opts.Path = "other"
	if _, err := open(t, opts).Snapshot(t.Context(), ""); err == nil {
		t.Error("50 files were read, where 10 may be")
	}
}

func TestAProposalIsOfTheFolderAlone(t *testing.T) {
	repo := sourcetest.New(t)
	from := repo.Push("begin", map[string]string{"fleet/prod/fedsync.yaml": "a: 1\n", "fleet/prod/apps/x": "1\n", "other/x": "1\n"})
	for branch, change := range map[string]map[string]string{
		"beside":   {"other/x": "2\n", "fleet/staging/y": "1\n"},
		"inside":   {"fleet/prod/apps/x": "3\n"},
		"conflict": {"fleet/prod/fedsync.yaml": "a: 2\n"},
		"removed":  {"fleet/prod/fedsync.yaml": sourcetest.Removed, "fleet/prod/apps/x": sourcetest.Removed},
	} {
		repo.InWork("checkout", "--quiet", "--detach", from)
		repo.Commit(branch, change)
		repo.PushTo(branch)
	}
	repo.InWork("checkout", "--quiet", "--detach", from)
	repo.Push("meanwhile", map[string]string{"fleet/prod/fedsync.yaml": "a: 3\n", "other/x": "4\n"})
	for name, opts := range transports(t, repo) {
		s := open(t, inFolder(opts))
		for branch, want := range map[string]struct{ conflicts, changed string }{
			"beside":   {"", ""},
			"inside":   {"", "fleet/prod/apps/x"},
			"conflict": {"fleet/prod/fedsync.yaml", "fleet/prod/fedsync.yaml"},
			"removed":  {"fleet/prod/fedsync.yaml", "fleet/prod/apps/x fleet/prod/fedsync.yaml"},
		} {
			p, err := s.Propose(t.Context(), "main", branch)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(p.Conflicts, " "); got != want.conflicts {
				t.Errorf("%s %s: conflicts in %q, want %q", name, branch, got, want.conflicts)
			}
			var changed []string
			was, is := contents(p.Base.Files), contents(p.Merged.Files)
			for _, file := range slices.Sorted(maps.Keys(was)) {
				if was[file] != is[file] {
					changed = append(changed, file)
				}
			}
			if got := strings.Join(changed, " "); got != want.changed {
				t.Errorf("%s %s: changes %q, want %q", name, branch, got, want.changed)
			}
		}
	}
}

func contents(fsys fs.FS) map[string]string {
	all := map[string]string{}
	_ = fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			data, _ := fs.ReadFile(fsys, path)
			all[path] = string(data)
		}
		return nil
	})
	return all
}

func TestAWorkTreeIsProposedByItsFolder(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("begin", map[string]string{"fleet/prod/fedsync.yaml": "a: 1\n", "other/x": "1\n"})
	repo.Write(map[string]string{"fleet/prod/new.yaml": "new", "other/x": "2\n", "beside": "x"})
	p, err := open(t, inFolder(source.Options{URL: repo.Work})).ProposeWorkTree(t.Context(), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"fleet/prod/fedsync.yaml": "a: 1\n", "fleet/prod/new.yaml": "new"}
	if got := contents(p.Merged.Files); !maps.Equal(got, want) {
		t.Errorf("the work tree's files are %v, want %v", got, want)
	}
}

func TestTheRemedyForAFolderOfARepositoryNamesItsFlags(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("begin", map[string]string{"examples/guide/fedsync.yaml": "x"})
	inside := filepath.Join(repo.Work, "examples", "guide")
	wantRemedy := func(url, want string) {
		t.Helper()
		_, err := open(t, source.Options{URL: url}).Snapshot(t.Context(), "")
		if wrong, ok := errors.AsType[*gitdir.NotRepositoryError](err); !ok || wrong.Remedy != want {
			t.Errorf("reading %s: %v, want the remedy %q", url, err, want)
		}
	}
	wantRemedy(inside, "give --repo "+repo.Work+" --path examples/guide")
	t.Chdir(repo.Work)
	wantRemedy("examples/guide", "give --repo . --path examples/guide")
}
