package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Neighbour is an honest app in the same repository.
type Neighbour struct {
	Federation string            // the name of the federation
	Clusters   []string          // where the app and the hostile apps run
	App        string            // the name of the app; its folder is at the root
	Files      map[string]string // the app's files, by their path in the repository
}

// file returns a fedsync.yaml with only the honest app.
func (n Neighbour) file() string {
	return n.head() + "  apps:\n" + n.app()
}

func (n Neighbour) head() string {
	var b strings.Builder
	b.WriteString(strings.Replace(federationHead, "{name: web}", "{name: "+n.Federation+"}", 1))
	for _, c := range n.Clusters {
		fmt.Fprintf(&b, "  - {name: %s, labels: {honest: \"yes\"}}\n", c)
	}
	return b.String()
}

func (n Neighbour) app() string {
	return fmt.Sprintf("  - {name: %s, path: %[1]s, clusterSelector: {matchLabels: {honest: \"yes\"}}}\n", n.App)
}

// Honest commits only the neighbour.
func (r *Repository) Honest(n Neighbour, parents ...ID) {
	r.File("fedsync.yaml", n.file())
	for path, content := range n.Files {
		r.File(path, content)
	}
	r.commit = r.Commit(r.Files(), "honest", parents...)
}

// Beside commits what was added together with the neighbour. It reports whether it
// could: some hostile repositories consist of a whole tree or commit, and are
// committed without the neighbour.
func (r *Repository) Beside(n Neighbour, parents ...ID) bool {
	own, apps, found := strings.Cut(r.federationFile, "  apps:\n")
	own, plain := strings.CutPrefix(own, federationHead)
	switch {
	case !r.commit.IsZero():
		return false
	case !r.root.IsZero():
		r.commit = r.Commit(r.root, "hostile", parents...)
		return false
	case !found || !plain:
		r.commit = r.Commit(r.Files(), "hostile", parents...)
		return false
	case own == "  - name: c1\n":
		own = "" // the neighbour's clusters suffice
	}
	r.File("fedsync.yaml", n.head()+own+"  apps:\n"+n.app()+apps)
	for path, content := range n.Files {
		r.File(path, content)
	}
	r.commit = r.Commit(r.Files(), "hostile", parents...)
	return true
}

// Pushable reports whether the case's repository can be pushed to another: files in
// the Git folder itself cannot.
func (c Case) Pushable(w World) bool {
	r := New()
	c.Build(r, w)
	return len(r.own) == 0 && len(r.links) == 0
}

// FederationFile returns the content of fedsync.yaml; empty if it is not a plain
// file.
func (r *Repository) FederationFile() string { return r.federationFile }

// Push adds the objects to the bare repository in dir, and points its branch main at
// the commit made by Honest or Beside.
func (r *Repository) Push(dir string) (ID, error) {
	if err := r.writeObjects(dir); err != nil {
		return ID{}, err
	}
	// As git does, replace the ref atomically: a reader gets either the old or
	// the new one.
	ref := filepath.Join(dir, "refs", "heads", "main")
	if err := os.WriteFile(ref+".lock", []byte(r.commit.String()+"\n"), 0o600); err != nil {
		return ID{}, err
	}
	return r.commit, os.Rename(ref+".lock", ref)
}
