package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var root = filepath.Join("..", "..")

// parsed returns the syntax of the Go files in a folder of the module.
func parsed(t *testing.T, path string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, path, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no package in %s: %v", path, err)
	}
	files := make([]*ast.File, len(names))
	for i, name := range names {
		if files[i], err = parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestPackagesWithoutTheRaceDetectorStartNoGoroutine(t *testing.T) {
	for path, why := range computing {
		if why != alone {
			continue
		}
		for _, file := range parsed(t, path) {
			for _, i := range file.Imports {
				if strings.HasSuffix(i.Path.Value, `/httptest"`) || strings.HasSuffix(i.Path.Value, `/errgroup"`) || strings.HasSuffix(i.Path.Value, `/synctest"`) {
					t.Errorf("%s imports %s", path, i.Path.Value)
				}
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if starts(n) {
					t.Errorf("%s starts a goroutine in package %s", path, file.Name)
				}
				return true
			})
		}
	}
}

// starts reports whether a piece of code starts a goroutine.
func starts(n ast.Node) bool {
	if _, ok := n.(*ast.GoStmt); ok {
		return true
	}
	called, ok := n.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"Go", "Parallel", "AfterFunc"}, called.Sel.Name)
}

func TestGoroutinesAreSeen(t *testing.T) {
	if !slices.ContainsFunc(parsed(t, "pkg/daemon"), func(f *ast.File) bool {
		found := false
		ast.Inspect(f, func(n ast.Node) bool {
			found = found || starts(n)
			return true
		})
		return found
	}) {
		t.Error("no goroutine was found in pkg/daemon, want at least one")
	}
}

// A test that runs without the race detector is skipped in the run with it by its bare
// name, so no other test may have that name.
func TestTestsWithoutTheRaceDetectorAreThereAndNoOthersAreCalledSo(t *testing.T) {
	in := map[string][]string{} // packages by the name of a test
	files, err := filepath.Glob(filepath.Join(root, "*", "*", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob(filepath.Join(root, "*", "*", "*", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(files, deeper) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				dir, _ := filepath.Rel(root, filepath.Dir(name))
				in[f.Name.Name] = append(in[f.Name.Name], filepath.ToSlash(dir))
			}
		}
	}
	for _, p := range slices.Concat(apart, twice) {
		for _, name := range p.names {
			if got := in[name]; !slices.Equal(got, []string{p.path}) {
				t.Errorf("%s is in %v, want %s", name, got, p.path)
			}
		}
	}
}

func TestEachTestRunsOnceOrInBothWays(t *testing.T) {
	const a, b, c, d = module + "internal/growth", module + "pkg/render/kustomize", module + "pkg/daemon", module + "pkg/review"
	passes := split(pass{dir: ".", race: true, processes: 2}, []string{a, b, c, d})
	if len(passes) != 3 {
		t.Fatalf("got %+v", passes)
	}
	raced, some, whole := passes[0], passes[1], passes[2]
	const kill, history, random = "TestADaemonKilledAtAnyMomentConverges", "TestARestartChangesNothing", "TestRandomOverlaysEqualKustomize"
	has := func(expression, name string) bool { return regexp.MustCompile(expression).MatchString(name) }
	if !raced.race || raced.run != "" || !slices.Equal(raced.packages, []string{c, b, d}) ||
		!has(raced.skip, kill) || !has(raced.skip, random) || has(raced.skip, history) || has(raced.skip, history+"OnRealClusters") {
		t.Errorf("with the race detector: %+v", raced)
	}
	if some.race || some.skip != "" || !slices.Equal(some.packages, []string{c, b}) ||
		!has(some.run, kill) || !has(some.run, random) || !has(some.run, history) || has(some.run, history+"OnRealClusters") {
		t.Errorf("tests without the race detector: %+v", some)
	}
	if whole.race || !slices.Equal(whole.packages, []string{a}) || whole.run != "" || whole.skip != "" {
		t.Errorf("packages without the race detector: %+v", whole)
	}
	got := strings.Join(raced.arguments(), " ")
	if !strings.HasPrefix(got, "test -json -p 2 ") || !strings.Contains(got, "-race -skip ^(") || !strings.HasSuffix(got, c+" "+b+" "+d) {
		t.Errorf("arguments: %s", got)
	}
	for _, p := range split(pass{dir: ".", race: true, processes: 2}, []string{d}) {
		if !p.race || p.skip != "" || !slices.Equal(p.packages, []string{d}) {
			t.Errorf("a package whose tests all run with the race detector: %+v", p)
		}
	}
}
