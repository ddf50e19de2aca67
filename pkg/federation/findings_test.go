package federation_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A finding's id is a constant of the catalogue, and each constant is used.
func TestEveryFindingHasAnIDOfTheCatalogue(t *testing.T) {
	ids := catalogue(t)
	used := map[string]bool{}
	eachSource(t, func(set *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if name, ok := n.(*ast.Ident); ok && ids[name.Name] != "" {
				used[name.Name] = true
			}
			for _, literal := range spelledIDs(n) {
				t.Errorf("%s: the id %s is spelled out; use a constant of pkg/federation/findings.go", set.Position(literal.Pos()), literal.Value)
			}
			return true
		})
	})
	for name, id := range ids {
		if !used[name] {
			t.Errorf("nothing makes %s (%q)", name, id)
		}
	}
}

// eachSource parses each file of the packages and commands, apart from tests and the
// catalogue.
func eachSource(t *testing.T, see func(*token.FileSet, *ast.File)) {
	t.Helper()
	for _, root := range []string{"..", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "findings.go" && filepath.Base(filepath.Dir(path)) == "federation" {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err == nil {
				see(set, file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// spelledIDs returns the string literals that a node assigns to the ID of a Finding, or
// passes as one after a severity.
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
	case *ast.CallExpr:
		for i, arg := range n.Args[:max(0, len(n.Args)-1)] { // report(severity, id, …)
			severity, ok := arg.(*ast.SelectorExpr)
			if id, spelled := n.Args[i+1].(*ast.BasicLit); ok && spelled && strings.HasPrefix(severity.Sel.Name, "Severity") &&
				slices.Contains(federation.FindingIDs(), strings.Trim(id.Value, `"`)) {
				add(id)
			}
		}
	}
	return all
}

// Each id has a unique title, and its severities are listed from the most to the least severe.
func TestEveryIDIsInTheCatalogue(t *testing.T) {
	ids := slices.Sorted(maps.Values(catalogue(t)))
	if known := federation.FindingIDs(); !slices.Equal(known, ids) {
		t.Errorf("the catalogue has %q, the constants are %q", known, ids)
	}
	titles := map[string]string{}
	for _, id := range ids {
		title := federation.FindingTitle(id)
		if title == "" || titles[title] != "" {
			t.Errorf("%s has the title %q, as has %q", id, title, titles[title])
		}
		titles[title] = id
		if s := severities(id); !slices.Contains([]string{"E", "W", "I", "EW", "EI", "WI", "EWI"}, s) {
			t.Errorf("%s has the severities %q", id, s)
		}
	}
	if title, s := federation.FindingTitle("none"), federation.FindingSeverities("none"); title != "" || len(s) > 0 {
		t.Errorf("an unknown id has the title %q and the severities %q", title, s)
	}
}

// severities returns the severities of an id as one word.
func severities(id string) string {
	var b strings.Builder
	for _, s := range federation.FindingSeverities(id) {
		b.WriteString(string(s))
	}
	return b.String()
}

// An id and a severity that the source uses together must be a pair of the catalogue.
// Together means in one literal, one call, one assignment, or for one variable of a
// function.
func TestSourceMakesFindingsAsTheCatalogueAllows(t *testing.T) {
	ids := catalogue(t)
	pairs := 0
	eachSource(t, func(set *token.FileSet, file *ast.File) {
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			for _, made := range made(fn.Body, ids) {
				pairs++
				if !slices.ContainsFunc(made.ids, func(id string) bool { return strings.Contains(severities(id), made.severity) }) {
					t.Errorf("%s: the catalogue does not allow %s of %q", set.Position(made.at), made.severity, made.ids)
				}
			}
		}
	})
	if pairs < 150 {
		t.Errorf("only %d places give a finding a severity", pairs)
	}
}

// making is a place that assigns a severity to one of ids.
type making struct {
	ids      []string
	severity string
	at       token.Pos
}

// made returns the places in a function that assign a constant severity to findings.
func made(body *ast.BlockStmt, ids map[string]string) []making {
	var all []making
	idsOf := map[string][]string{}       // by the name of a variable
	laterOf := map[string][]*ast.Ident{} // severities that it gets without an id
	look := func(variable string, exprs ...ast.Expr) {
		var id, severity *ast.Ident
		for _, e := range exprs {
			if name := constant(e); name != nil && ids[name.Name] != "" {
				id = name
			} else if name != nil && severityNames[name.Name] != "" {
				severity = name
			}
		}
		switch {
		case id != nil:
			idsOf[variable] = append(idsOf[variable], ids[id.Name])
			if severity != nil {
				all = append(all, making{[]string{ids[id.Name]}, severityNames[severity.Name], severity.Pos()})
			}
		case severity != nil:
			laterOf[variable] = append(laterOf[variable], severity)
		}
	}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			variable := root(n.Lhs[0])
			exprs := n.Rhs
			if literal, ok := n.Rhs[0].(*ast.CompositeLit); ok && len(n.Rhs) == 1 {
				exprs = values(literal)
			}
			look(variable, exprs...)
		case *ast.CompositeLit:
			look("", values(n)...)
		case *ast.CallExpr:
			look("", n.Args...)
			if method, ok := n.Fun.(*ast.SelectorExpr); ok && strings.HasPrefix(method.Sel.Name, "refuse") {
				for _, arg := range n.Args {
					if name := constant(arg); name != nil && ids[name.Name] != "" {
						all = append(all, making{[]string{ids[name.Name]}, "E", name.Pos()})
					}
				}
			}
		}
		return true
	})
	for variable, severities := range laterOf {
		for _, severity := range severities {
			if variable != "" && len(idsOf[variable]) > 0 {
				all = append(all, making{idsOf[variable], severityNames[severity.Name], severity.Pos()})
			}
		}
	}
	return all
}

var severityNames = map[string]string{"SeverityError": "E", "SeverityWarning": "W", "SeverityNote": "I"}

// constant returns the name of a constant, of this package or of another.
func constant(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return e.Sel
	}
	return nil
}

// root returns the name of the variable that an expression is a part of.
func root(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return root(e.X)
	}
	return ""
}

func values(literal *ast.CompositeLit) []ast.Expr {
	var all []ast.Expr
	for _, e := range literal.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if inner, ok := pair.Value.(*ast.CompositeLit); ok { // a Finding within another struct
			all = append(all, values(inner)...)
			continue
		}
		if key, ok := pair.Key.(*ast.Ident); ok && (key.Name == "ID" || key.Name == "Severity") {
			all = append(all, pair.Value)
		}
	}
	return all
}

// Users look up findings by id.
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
				t.Errorf("docs/doctor.md has an entry for %s, which is not a finding", m[1])
			}
		}
	}
}

// catalogue reads the constants of findings.go and returns the ids by constant name.
func catalogue(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "findings.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ids, names := map[string]string{}, map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if decl, ok := n.(*ast.GenDecl); ok && decl.Tok != token.CONST {
			return false
		}
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
