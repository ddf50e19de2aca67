package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/source/tree"
)

const lfsPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"

func snapshot(t *testing.T, opts source.Options) federation.Snapshot {
	t.Helper()
	s, err := open(t, opts).Snapshot(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFilesAreAProperFileSystem(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Write(map[string]string{
		"apps/web/service.yaml": "kind: Service\n", "apps/web/empty.yaml": "", "apps/web.yaml": "x", "apps/web-2/a": "y",
		"README.md": strings.Repeat("long ", 100_000), "run.sh": "#!/bin/sh\n",
	})
	repo.Link("apps/link.yaml", "web/service.yaml")
	repo.Link("apps/web/up", "../../README.md")
	repo.Link("apps/folder", "web")
	if err := os.Chmod(filepath.Join(repo.Work, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	repo.Push("files", nil)
	for name, opts := range transports(t, repo) {
		s := snapshot(t, opts)
		if err := fstest.TestFS(s.Files, "apps/web/service.yaml", "apps/web.yaml", "apps/link.yaml", "README.md", "run.sh"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantFile(t, s.Files, "apps/link.yaml", "kind: Service\n")
		wantFile(t, s.Files, "apps/folder/service.yaml", "kind: Service\n")
		if info, err := fs.Stat(s.Files, "run.sh"); err != nil || info.Mode() != 0o555 || !info.ModTime().Equal(s.Time) {
			t.Errorf("%s: run.sh = %v, %v, want -r-xr-xr-x at the commit's time", name, info, err)
		}
		sub, err := fs.Sub(s.Files, "apps/web")
		if err != nil {
			t.Fatal(err)
		}
		wantFile(t, sub, "service.yaml", "kind: Service\n")
	}
}

func TestWhatCannotBeReadSafelyIsRefusedByName(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Write(map[string]string{
		"apps/web/ok.yaml": "fine", "apps/web/chart.tgz": lfsPointer, "apps/web/large.yaml": strings.Repeat("x", 2000),
		"shared/values.yaml": "shared",
	})
	repo.Link("apps/web/absolute", "/etc/passwd")
	repo.Link("apps/web/outside", "../../../secret")
	repo.Link("apps/web/outside-through-link", "shared/../../../x")
	repo.Link("apps/web/shared", "../../shared")
	repo.Link("apps/web/inside", "shared/values.yaml")
	repo.Link("apps/web/loop-a", "loop-b")
	repo.Link("apps/web/loop-b", "loop-a")
	repo.Link("apps/web/itself", "itself/itself")
	repo.Link("apps/web/dangling", "nowhere")
	repo.Commit("files", nil)
	repo.InWork("update-index", "--add", "--cacheinfo", "160000,"+repo.Head()+",apps/web/module")
	repo.InWork("commit", "--quiet", "--message", "submodule")
	repo.PushTo("main")
	want := map[string]tree.Refusal{
		"apps/web/absolute":             tree.LinkOutside,
		"apps/web/chart.tgz":            tree.LFSPointer,
		"apps/web/itself":               tree.LinkLoop,
		"apps/web/large.yaml":           tree.TooLarge,
		"apps/web/loop-a":               tree.LinkLoop,
		"apps/web/loop-b":               tree.LinkLoop,
		"apps/web/module":               tree.Submodule,
		"apps/web/outside":              tree.LinkOutside,
		"apps/web/outside-through-link": tree.LinkOutside,
	}
	for name, opts := range transports(t, repo) {
		opts.Limits.FileBytes = 1000
		files := snapshot(t, opts).Files
		for path, reason := range want {
			_, err := files.Open(path)
			pathError, isPathError := errors.AsType[*fs.PathError](err)
			refused, ok := errors.AsType[*tree.RefusedError](err)
			if !ok || !isPathError || pathError.Path != path || refused.Reason != reason {
				t.Errorf("%s: Open(%s) = %v, want a PathError with %q", name, path, err, reason)
			}
			if _, err := fs.ReadFile(files, path); err == nil {
				t.Errorf("%s: ReadFile(%s) returns no error", name, path)
			}
		}
		if _, err := files.Open("apps/web/module/x"); !strings.Contains(fmt.Sprint(err), "apps/web/module is a submodule") {
			t.Errorf("%s: Open below a submodule = %v, want the submodule's name", name, err)
		}
		if _, err := files.Open("apps/web/dangling"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: Open(dangling) = %v, want ErrNotExist", name, err)
		}
		wantFile(t, files, "apps/web/inside", "shared")
		wantFile(t, files, "apps/web/shared/values.yaml", "shared")
		if list, err := fs.ReadDir(files, "apps/web"); err != nil || len(list) != 13 {
			t.Errorf("%s: ReadDir = %d entries, %v, want all 13", name, len(list), err)
		}
	}
}

func TestEqualDigestsAreEqualContent(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Write(map[string]string{"apps/a/x.yaml": "1", "apps/b/x.yaml": "1", "shared/v.yaml": "1", "apps/copy.yaml": "1"})
	repo.Link("apps/linked/v.yaml", "../../shared/v.yaml")
	repo.Push("first", nil)
	for name, opts := range transports(t, repo) {
		repo.Push("reset", map[string]string{"shared/v.yaml": "1"})
		before := digests(t, snapshot(t, opts))
		repo.Push("shared changed "+name, map[string]string{"shared/v.yaml": name})
		after := digests(t, snapshot(t, opts))
		if before["apps/a"] != before["apps/b"] || before["apps/a/x.yaml"] != before["apps/copy.yaml"] {
			t.Errorf("%s: equal content has unequal digests: %v", name, before)
		}
		for path, changes := range map[string]bool{
			".": true, "apps": true, "shared": true, "shared/v.yaml": true, "apps/linked": true, "apps/linked/v.yaml": true,
			"apps/a": false, "apps/a/x.yaml": false,
		} {
			if got := before[path] != after[path]; got != changes {
				t.Errorf("%s: digest of %s changed: %v, want %v", name, path, got, changes)
			}
		}
	}
}

func digests(t *testing.T, s federation.Snapshot) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range []string{
		".", "apps", "apps/a", "apps/b", "apps/a/x.yaml", "apps/copy.yaml", "apps/linked", "apps/linked/v.yaml", "shared", "shared/v.yaml",
	} {
		d, err := s.Files.(federation.Digester).Digest(path)
		if err != nil || d == "" {
			t.Fatalf("Digest(%s) = %q, %v", path, d, err)
		}
		all[path] = d
	}
	return all
}

func TestFilesAreReadByManyAtOnceWhileTheRepositoryChanges(t *testing.T) {
	repo := sourcetest.New(t)
	files := map[string]string{}
	for i := range 40 {
		files[fmt.Sprintf("apps/a%d/x.yaml", i)] = strings.Repeat(fmt.Sprint(i), 300)
	}
	repo.Push("first", files)
	for name, opts := range transports(t, repo) {
		f := follow(t, opts)
		s := f.revision()
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				for range 5 {
					for path, want := range files {
						if got, err := fs.ReadFile(s.Files, path); err != nil || string(got) != want {
							t.Errorf("%s: %s = %d bytes, %v, want %d", name, path, len(got), err, len(want))
							return
						}
					}
				}
			})
		}
		for i := range 3 {
			f.wantRevision(repo.Push("more", map[string]string{"count": fmt.Sprint(name, i)}))
			repo.Git("gc", "--quiet")
		}
		readers.Wait()
	}
}

func BenchmarkTreeRead(b *testing.B) {
	repo := sourcetest.New(b)
	files := map[string]string{}
	for i := range 1000 {
		files[fmt.Sprintf("apps/a%d/x%d.yaml", i/10, i%10)] = strings.Repeat(fmt.Sprintf("line: %d\n", i), 60)
	}
	repo.Push("a thousand files", files)
	packed := sourcetest.New(b)
	packed.InWork("fetch", "--quiet", repo.Path, "main")
	packed.InWork("reset", "--quiet", "--hard", "FETCH_HEAD")
	packed.PushTo("main")
	packed.Git("gc", "--quiet")
	server := sourcetest.ServeHTTP(b, repo, "")
	for _, c := range []struct{ name, url string }{{"loose", repo.Path}, {"packed", packed.Path}, {"http", server.CloneURL()}} {
		s, err := source.Open(source.Options{URL: c.url}, zap.NewNop())
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name+"/open", func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Snapshot(b.Context(), ""); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/read", func(b *testing.B) {
			snapshot, err := s.Snapshot(b.Context(), "")
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for name := range files {
					if _, err := fs.ReadFile(snapshot.Files, name); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
