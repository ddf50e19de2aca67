package hostile

import (
	"fmt"
	"slices"
	"strings"
)

// A Case is a repository with what must become of it.
type Case struct {
	// Name is the kind, a slash, and what is special: "remote/resources".
	Name  string
	Build func(*Repository, World)
	Want  Want
	// Short says that the case is the one of its kind that each run of the tests
	// tries; the others are for the whole corpus.
	Short bool
	// Args are given to fedsync render besides --repo.
	Args []string
	// Worktree says that the Git folder stands in a work tree without files.
	Worktree bool
}

// Kind is what the name begins with.
func (c Case) Kind() string {
	kind, _, _ := strings.Cut(c.Name, "/")
	return kind
}

// A World is what stands around a repository, for it to reach for.
type World struct {
	Address string // host:port of a server that nobody may call
	Secret  string // a file, by its absolute path, whose content nobody may see
	Program string // a program, by its absolute path, that nobody may run
}

// Want says what must become of a repository. That no address is called, no
// program run, no file outside of it shown, no terminal fooled and no limit
// exceeded is so for all of them.
type Want struct {
	// Refused is a regular expression that a message must match; without one the
	// repository does no harm, and what is said of it is not looked at.
	Refused string
	// All says that nothing is rendered at all: no object whose name holds Marker.
	All bool
	// Never is text that no object may hold.
	Never []string
}

// Marker is in the name of the objects that are innocent in themselves, and belong to
// an app that is not. When an app is refused, nothing of it may come out.
const Marker = "innocent"

// Cases are all cases there are, in an order that stays.
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

// clusters writes a fedsync.yaml with so many clusters.
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

// configMap is an object with a name and, where there is one, a value.
func configMap(name, value string) string {
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
	if value != "" {
		text += "data: {k: " + value + "}\n"
	}
	return text
}

// kustomization is a kustomization file that names an innocent object, with more.
func kustomization(more string) string { return "resources: [innocent.yaml]\n" + more }

// innocent is an object that does nothing.
var innocent = configMap(Marker, "v")

// simple is a case of the one app a with these files.
func simple(name string, want Want, files map[string]string) Case {
	return Case{Name: name, Want: want, Build: func(r *Repository, _ World) { r.app(files) }}
}

// short marks cases for the short run.
func short(c Case) Case { c.Short = true; return c }

// harmless marks cases of which nothing is refused.
func harmless(c Case) Case { c.Want = Want{}; return c }

// repeated is n times a text made of the index.
func repeated(n int, text func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(text(i))
	}
	return b.String()
}
