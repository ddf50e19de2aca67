package hostile

import (
	"fmt"
	"slices"
	"strings"
)

// A Case is a repository and the expected result.
type Case struct {
	// Name is the kind, a slash, and the detail: "remote/resources".
	Name  string
	Build func(*Repository, World)
	Want  Want
	// Short marks the case of its kind that every run of the tests tries; the
	// others are for the whole corpus.
	Short bool
	// Args are passed to fedsync render in addition to --repo.
	Args []string
	// Worktree puts the Git folder into a work tree without files.
	Worktree bool
}

// Kind returns the first part of the name.
func (c Case) Kind() string {
	kind, _, _ := strings.Cut(c.Name, "/")
	return kind
}

// A World is the environment that a repository tries to reach.
type World struct {
	Address string // host:port of a server that must not be called
	Secret  string // absolute path of a file whose content must not be shown
	Program string // absolute path of a program that must not be run
}

// Want is the expected result for a repository. In every case, no address is
// called, no program is run, no file outside the repository is shown, no
// terminal is misled, and no limit is exceeded.
type Want struct {
	// Refused is a regular expression that a message must match. If empty, the
	// repository is harmless, and messages are not checked.
	Refused string
	// All means that nothing is rendered: no object whose name contains Marker.
	All bool
	// Never is text that no object may contain.
	Never []string
}

// Marker is in the names of harmless objects that belong to a hostile app. If the app
// is refused, none of them may be rendered.
const Marker = "innocent"

// Cases returns all cases, in a stable order.
func Cases() []Case {
	return slices.Concat(
		traversals(), remotes(), builtRemotes(), programs(), links(), cycles(),
		yamlBombs(), patchBombs(), fanOuts(), generators(), sizes(), overlays(), selectors(), findings(),
		names(), policies(), trees(), objectsOfGit(), gitFolders(),
	)
}

// federation writes a fedsync.yaml with one cluster and these apps, each in its
// folder below apps/.
func (r *Repository) federation(apps ...string) { r.clusters(1, apps...) }

// clusters writes a fedsync.yaml with n clusters.
func (r *Repository) clusters(n int, apps ...string) {
	var b strings.Builder
	b.WriteString(federationHead)
	for i := range n {
		fmt.Fprintf(&b, "  - name: c%d\n", i+1)
	}
	b.WriteString("  apps:\n")
	for _, app := range apps {
		fmt.Fprintf(&b, "  - {name: %s, path: apps/%[1]s}\n", app)
	}
	r.File("fedsync.yaml", b.String())
}

const federationHead = "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec:\n  clusters:\n"

// app writes files of the app a, and the federation with it.
func (r *Repository) app(files map[string]string) {
	r.federation("a")
	for name, content := range files {
		r.File("apps/a/"+name, content)
	}
}

// configMap returns an object with a name and, unless it is empty, a value.
func configMap(name, value string) string {
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
	if value != "" {
		text += "data: {k: " + value + "}\n"
	}
	return text
}

// kustomization returns a kustomization file that names a harmless object,
// followed by more.
func kustomization(more string) string { return "resources: [innocent.yaml]\n" + more }

// innocent is a harmless object.
var innocent = configMap(Marker, "v")

// simple returns a case of a single app a with these files.
func simple(name string, want Want, files map[string]string) Case {
	return Case{Name: name, Want: want, Build: func(r *Repository, _ World) { r.app(files) }}
}

// short marks a case for the short run.
func short(c Case) Case { c.Short = true; return c }

// harmless marks a case in which nothing is refused.
func harmless(c Case) Case { c.Want = Want{}; return c }

// repeated concatenates n texts made from their index.
func repeated(n int, text func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(text(i))
	}
	return b.String()
}
