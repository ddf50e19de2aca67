package build_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/modfile"

	"github.com/fedsync/fedsync/sandbox/build"
)

// fakes are stand-ins for the pinned modules: commands in packages of the same names
// that compile quickly. Each prints its version.
var fakes = map[string]struct {
	module   string
	packages []string
	static   []string
}{
	"etcd":       {module: "go.etcd.io/etcd/server/v3", packages: []string{"."}},
	"kubernetes": {module: "k8s.io/kubernetes", packages: []string{"cmd/kube-apiserver", "cmd/kube-controller-manager", "cmd/kube-scheduler"}},
	"kwok":       {module: "sigs.k8s.io/kwok", packages: []string{"cmd/kwok"}},
	"gitea":      {module: "code.gitea.io/gitea", packages: []string{"."}, static: []string{"options", "public", "templates"}},
}

const program = `package main

import "fmt"

func main() { fmt.Println(%q) }
`

// newSet writes pinned modules of a version, such as 3.7.3.
func newSet(t *testing.T, version string) build.Set {
	t.Helper()
	modules := t.TempDir()
	for name, fake := range fakes {
		major := "v0"
		if strings.HasSuffix(fake.module, "/v3") {
			major = "v3"
		}
		v := major + "." + version
		write(t, filepath.Join(modules, name, "go.mod"), fmt.Sprintf(
			"module example.com/%s\n\ngo 1.26.0\n\nrequire %s %s\n\nreplace %[2]s => ./fake\n", name, fake.module, v))
		write(t, filepath.Join(modules, name, "fake", "go.mod"), "module "+fake.module+"\n\ngo 1.26.0\n")
		for _, p := range fake.packages {
			write(t, filepath.Join(modules, name, "fake", p, "main.go"), fmt.Sprintf(program, name+" "+v))
		}
		for _, folder := range fake.static {
			write(t, filepath.Join(modules, name, "fake", folder, "file"), folder)
		}
	}
	return build.Set{Modules: modules, Cache: t.TempDir()}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMissingProgramsAreNamedWithTheRemedy(t *testing.T) {
	set := newSet(t, "1.0")
	_, err := set.Find(true)
	var missing *build.MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("Find = %v, want a MissingError", err)
	}
	if got, want := len(missing.Programs), 6; got != want {
		t.Errorf("%d programs are missing (%v), want %d", got, missing.Programs, want)
	}
	for _, want := range []string{"make sandbox", "etcd-v3.1.0/etcd", "gitea-v0.1.0/gitea"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Find = %q, want %q in it", err, want)
		}
	}
}

func TestBuiltProgramsAreFoundAndNotBuiltAgain(t *testing.T) {
	set := newSet(t, "1.0")
	var out bytes.Buffer
	if err := set.Build(t.Context(), true, &build.Progress{Out: &out}); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(out.String(), "built in"), 4; got != want {
		t.Errorf("%d modules were built, want %d:\n%s", got, want, &out)
	}
	paths, err := set.Find(true)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[build.Program]string{
		build.Etcd:              "etcd v3.1.0",
		build.APIServer:         "kubernetes v0.1.0",
		build.ControllerManager: "kubernetes v0.1.0",
		build.Scheduler:         "kubernetes v0.1.0",
		build.Kwok:              "kwok v0.1.0",
		build.Gitea:             "gitea v0.1.0",
	} {
		got, err := exec.Command(paths[p]).Output()
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s printed %q, %v, want %q", p, got, err, want)
		}
	}
	for _, folder := range fakes["gitea"].static {
		if _, err := os.Stat(filepath.Join(paths.Static(), folder, "file")); err != nil {
			t.Errorf("what gitea reads was not copied: %v", err)
		}
	}

	out.Reset()
	if err := set.Build(t.Context(), true, &build.Progress{Out: &out}); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(out.String(), "already built"), 4; got != want {
		t.Errorf("the second build found %d modules already built, want %d:\n%s", got, want, &out)
	}
}

func TestForgeIsBuiltOnlyWhenAsked(t *testing.T) {
	set := newSet(t, "1.0")
	if err := set.Build(t.Context(), false, &build.Progress{Out: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := set.Find(false); err != nil {
		t.Errorf("without the forge: %v", err)
	}
	if _, err := set.Find(true); err == nil {
		t.Error("a forge that was not built is found")
	}
}

func TestAnotherVersionIsBuiltBesideTheFirst(t *testing.T) {
	first, second := newSet(t, "1.0"), newSet(t, "2.0")
	second.Cache = first.Cache
	for _, set := range []build.Set{first, second} {
		if err := set.Build(t.Context(), false, &build.Progress{Out: &bytes.Buffer{}}); err != nil {
			t.Fatal(err)
		}
	}
	for set, want := range map[*build.Set]string{&first: "kwok v0.1.0", &second: "kwok v0.2.0"} {
		paths, err := set.Find(false)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := exec.Command(paths[build.Kwok]).Output(); strings.TrimSpace(string(got)) != want {
			t.Errorf("kwok printed %q, want %q", got, want)
		}
	}
}

func TestTwoBuildsAtOnceBuildOnce(t *testing.T) {
	set := newSet(t, "1.0")
	var outs [2]bytes.Buffer
	var both sync.WaitGroup
	for i := range outs {
		both.Go(func() {
			if err := set.Build(t.Context(), false, &build.Progress{Out: &outs[i]}); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if got, want := strings.Count(outs[0].String()+outs[1].String(), "built in"), 3; got != want {
		t.Errorf("%d builds for 3 modules:\n%s\n%s", got, &outs[0], &outs[1])
	}
}

func TestFailedBuildLeavesNothingThatLooksBuilt(t *testing.T) {
	set := newSet(t, "1.0")
	write(t, filepath.Join(set.Modules, "etcd", "fake", "main.go"), "package main\n\nfunc main() { undefined() }\n")
	var out bytes.Buffer
	err := set.Build(t.Context(), false, &build.Progress{Out: &out})
	if err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("Build = %v, want the compiler's error", err)
	}
	entries, err := os.ReadDir(filepath.Join(set.Cache, "etcd-v3.1.0"))
	if err != nil || len(entries) != 0 {
		t.Errorf("the folder has %v, %v, want nothing", entries, err)
	}
	left, err := fs.Glob(os.DirFS(set.Cache), ".etcd*")
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestReadyMadeControlPlaneIsUsedAndTheRestBuilt(t *testing.T) {
	set := newSet(t, "1.0")
	set.Assets = t.TempDir()
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		path := filepath.Join(set.Assets, name)
		write(t, path, "#!/bin/sh\n")
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.Build(t.Context(), false, &build.Progress{Out: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	paths, err := set.Find(false)
	if err != nil {
		t.Fatal(err)
	}
	for p, dir := range map[build.Program]string{
		build.Etcd:              set.Assets,
		build.APIServer:         set.Assets,
		build.ControllerManager: filepath.Join(set.Cache, "kubernetes-v0.1.0"),
		build.Kwok:              filepath.Join(set.Cache, "kwok-v0.1.0"),
	} {
		if got, want := paths[p], filepath.Join(dir, string(p)); got != want {
			t.Errorf("%s is taken from %s, want %s", p, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(set.Cache, "kubernetes-v0.1.0", "kube-apiserver")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an API server was built beside the ready-made one: %v", err)
	}
}

func TestPinnedModulesAreFoundFromAnywhereInTheCheckout(t *testing.T) {
	here, err := os.Getwd() // sandbox/build
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(filepath.Dir(here), "programs")
	for _, from := range []string{here, filepath.Dir(here), filepath.Join(filepath.Dir(filepath.Dir(here)), "internal")} {
		if got, err := build.Modules(from); err != nil || got != want {
			t.Errorf("Modules(%s) = %s, %v, want %s", from, got, err, want)
		}
	}
	if got, err := build.Modules(t.TempDir()); err == nil {
		t.Errorf("outside of a checkout Modules = %s, want an error", got)
	}
}

// The go.mod of Kubernetes replaces each of its own libraries by a directory. A module
// that requires Kubernetes must replace each by the library's module, at the same version.
func TestKubernetesIsBuiltWithLibrariesOfItsOwnVersion(t *testing.T) {
	b, err := os.ReadFile("../programs/kubernetes/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	f, err := modfile.Parse("go.mod", b, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want string
	for _, r := range f.Require {
		if r.Mod.Path == "k8s.io/kubernetes" {
			want = "v0" + strings.TrimPrefix(r.Mod.Version, "v1")
		}
	}
	if len(f.Replace) == 0 {
		t.Error("nothing is replaced")
	}
	for _, r := range f.Replace {
		if strings.HasPrefix(r.Old.Path, "k8s.io/") && r.New.Version != want {
			t.Errorf("%s is replaced by %s, want %s", r.Old.Path, r.New.Version, want)
		}
	}
}
