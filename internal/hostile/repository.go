package hostile

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// A Repository is a Git repository in the making: one commit on the branch main.
// What stands in it may be what git itself would refuse to make.
type Repository struct {
	packs   []*pack // that are complete
	pack    *pack
	loose   map[ID][]byte     // objects in files of their own, before compression
	entries map[string]Entry  // of the commit, by path
	root    ID                // the commit's tree, instead of entries
	commit  ID                // what main names, instead of a commit that is made
	own     map[string]string // files of the Git folder, by path
	links   map[string]string // symbolic links of the Git folder, by path

	federationFile string // the content of fedsync.yaml, where it was added by path
}

// An Entry is what a name in a tree stands for.
type Entry struct {
	Name string // only in Tree
	Mode filemode.FileMode
	ID   ID
}

// New begins a repository.
func New() *Repository {
	return &Repository{pack: &pack{}, loose: map[ID][]byte{}, entries: map[string]Entry{}, own: map[string]string{}, links: map[string]string{}}
}

// File adds a file with a content. Equal contents are one blob.
func (r *Repository) File(path, content string) {
	r.Put(path, r.Blob([]byte(content)))
	if path == "fedsync.yaml" {
		r.federationFile = content
	}
}

// Put adds a file whose content is a blob.
func (r *Repository) Put(path string, blob ID) {
	r.entries[path] = Entry{Mode: filemode.Regular, ID: blob}
}

// Link adds a symbolic link.
func (r *Repository) Link(path, target string) {
	r.entries[path] = Entry{Mode: filemode.Symlink, ID: r.Blob([]byte(target))}
}

// Folder adds a folder whose content is a tree.
func (r *Repository) Folder(path string, tree ID) {
	r.entries[path] = Entry{Mode: filemode.Dir, ID: tree}
}

// Submodule adds what stands for a commit of another repository.
func (r *Repository) Submodule(path string) {
	r.entries[path] = Entry{Mode: filemode.Submodule, ID: plumbing.ComputeHash(plumbing.BlobObject, []byte(path))}
}

// Blob adds a content that no name leads to yet.
func (r *Repository) Blob(content []byte) ID { return r.pack.add(plumbing.BlobObject, content) }

// Zeros adds a blob of so many zeros.
func (r *Repository) Zeros(size int64) ID { return r.pack.addZeros(size) }

// Tree adds a folder with these entries, in this order, whatever their names are.
func (r *Repository) Tree(entries ...Entry) ID {
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%o %s\x00%s", e.Mode, e.Name, e.ID[:])
	}
	return r.pack.add(plumbing.TreeObject, b.Bytes())
}

// NextPack has what is added from now on stand in another pack.
func (r *Repository) NextPack() {
	r.packs = append(r.packs, r.pack)
	r.pack = &pack{}
}

// Root makes a tree the commit's, instead of what was added by path.
func (r *Repository) Root(tree ID) { r.root = tree }

// Head makes main name an object, instead of a commit that is made.
func (r *Repository) Head(id ID) { r.commit = id }

// Commit adds a commit with a message.
func (r *Repository) Commit(tree ID, message string, parents ...ID) ID {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, parent := range parents {
		fmt.Fprintf(&b, "parent %s\n", parent)
	}
	const who = "Mallory <mallory@example.com> 1700000000 +0000\n"
	b.WriteString("author " + who + "committer " + who + "\n" + message + "\n")
	return r.pack.add(plumbing.CommitObject, []byte(b.String()))
}

// Loose adds an object in a file of its own under a name that it need not have.
// The header is of it as well: "blob 5\x00".
func (r *Repository) Loose(id ID, content string) { r.loose[id] = []byte(content) }

// Own adds a file to the Git folder itself.
func (r *Repository) Own(path, content string) { r.own[path] = content }

// OwnLink adds a symbolic link to the Git folder itself.
func (r *Repository) OwnLink(path, target string) { r.links[path] = target }

// Delta adds the blob of this name as instructions upon another one.
func (r *Repository) Delta(base ID, instructions []byte, id ID) ID {
	r.pack.addDelta(id, base, instructions)
	return id
}

// Files returns the tree of what was added by path.
func (r *Repository) Files() ID { return r.folder("", r.sorted()) }

func (r *Repository) sorted() []string {
	paths := make([]string, 0, len(r.entries))
	for path := range r.entries {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// folder makes the tree of the paths, which are sorted, below a prefix.
func (r *Repository) folder(prefix string, paths []string) ID {
	var entries []Entry
	for len(paths) > 0 {
		name, _, nested := strings.Cut(paths[0][len(prefix):], "/")
		if !nested {
			e := r.entries[paths[0]]
			entries = append(entries, Entry{name, e.Mode, e.ID})
			paths = paths[1:]
			continue
		}
		below := prefix + name + "/"
		n := slices.IndexFunc(paths, func(p string) bool { return !strings.HasPrefix(p, below) })
		if n < 0 {
			n = len(paths)
		}
		entries = append(entries, Entry{name, filemode.Dir, r.folder(below, paths[:n])})
		paths = paths[n:]
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.order(), b.order()) })
	return r.Tree(entries...)
}

// order is what Git sorts by: folders as if their names ended with a slash.
func (e Entry) order() string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}

// Write writes the Git folder.
func (r *Repository) Write(dir string) error {
	if r.commit.IsZero() {
		if r.root.IsZero() {
			r.root = r.Files()
		}
		r.commit = r.Commit(r.root, "a commit")
	}
	if err := r.writeObjects(dir); err != nil {
		return err
	}
	return r.writeOwn(dir)
}

// writeObjects adds the objects to a Git folder.
func (r *Repository) writeObjects(dir string) error {
	packs := filepath.Join(dir, "objects", "pack")
	if err := os.MkdirAll(packs, 0o755); err != nil {
		return err
	}
	for _, p := range append(r.packs, r.pack) {
		if err := p.write(packs); err != nil {
			return err
		}
	}
	for id, content := range r.loose {
		if err := writeLoose(filepath.Join(dir, "objects"), id, content); err != nil {
			return err
		}
	}
	return nil
}

// writeOwn writes what is no object.
func (r *Repository) writeOwn(dir string) error {
	files := map[string]string{
		"HEAD":            "ref: refs/heads/main\n",
		"config":          "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
		"refs/heads/main": r.commit.String() + "\n",
	}
	maps.Copy(files, r.own)
	for path, content := range files {
		if _, linked := r.links[path]; linked {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o755); err != nil { //nolint:gosec // A hook must be fit to be run.
			return err
		}
	}
	for path, target := range r.links {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, filepath.Join(dir, path)); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
