package federation_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A finding's id is a constant of the catalogue, and each constant is used.
func TestEveryFindingHasAnIDOfTheCatalogue(t *testing.T) {
	ids := catalogue(t)
	used := map[string]bool{}
	for _, root := range []string{"..", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "findings.go" && filepath.Base(filepath.Dir(path)) == "federation" {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if name, ok := n.(*ast.Ident); ok && ids[name.Name] != "" {
					used[name.Name] = true
				}
				for _, literal := range spelledIDs(n) {
					t.Errorf("%s: the id %s is spelled out; use a constant of pkg/federation/findings.go", set.Position(literal.Pos()), literal.Value)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, id := range ids {
		if !used[name] {
			t.Errorf("nothing makes %s (%q)", name, id)
		}
	}
}

// spelledIDs returns the string literals that a node gives a Finding as its ID.
func spelledIDs(n ast.Node) []*ast.BasicLit {
	var all []*ast.BasicLit
	add := func(e ast.Expr) {
		if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			all = append(all, literal)
		}
	}
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "ID" {
			add(n.Value)
		}
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			if field, ok := left.(*ast.SelectorExpr); ok && field.Sel.Name == "ID" && len(n.Rhs) == len(n.Lhs) {
				add(n.Rhs[i])
			}
		}
	}
	return all
}

// A person looks a finding up by its id.
func TestDoctorPageNamesEveryFindingAndNoOther(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, id := range catalogue(t) {
		known[id] = true
		if !strings.Contains(string(page), "`"+id+"`") {
			t.Errorf("docs/doctor.md does not name %s", id)
		}
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	for _, line := range regexp.MustCompile("(?m)^(?:### (`[^`]+`) .+|\\| (`[^|]+`) \\|.*)$").FindAllStringSubmatch(string(page), -1) {
		for _, m := range quoted.FindAllStringSubmatch(line[1]+line[2], -1) {
			if !known[m[1]] {
				t.Errorf("docs/doctor.md has an entry for %s, which is no finding", m[1])
			}
		}
	}
}

// catalogue reads the constants of findings.go: the id by its name.
func catalogue(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "findings.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ids, names := map[string]string{}, map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			id, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			if names[id] != "" {
				t.Errorf("%s and %s are both %q", names[id], spec.Names[0].Name, id)
			}
			ids[spec.Names[0].Name], names[id] = id, spec.Names[0].Name
		}
		return true
	})
	return ids
}
