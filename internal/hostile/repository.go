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

// A Repository builds a Git repository with one commit on the branch main. It
// may contain what git itself would refuse to create.
type Repository struct {
	packs   []*pack // the completed packs
	pack    *pack
	loose   map[ID][]byte     // loose objects, before compression
	entries map[string]Entry  // of the commit, by path
	root    ID                // the commit's tree, in place of entries
	commit  ID                // target of main, in place of a generated commit
	own     map[string]string // files of the Git folder, by path
	links   map[string]string // symbolic links of the Git folder, by path

	federationFile string // the content of fedsync.yaml, if it was added by path
}

// An Entry is an entry of a tree.
type Entry struct {
	Name string // only in Tree
	Mode filemode.FileMode
	ID   ID
}

// New returns an empty repository.
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

// Submodule adds a reference to a commit of another repository.
func (r *Repository) Submodule(path string) {
	r.entries[path] = Entry{Mode: filemode.Submodule, ID: plumbing.ComputeHash(plumbing.BlobObject, []byte(path))}
}

// Blob adds a blob without a path.
func (r *Repository) Blob(content []byte) ID { return r.pack.add(plumbing.BlobObject, content) }

// Zeros adds a blob of size zeros.
func (r *Repository) Zeros(size int64) ID { return r.pack.addZeros(size) }

// Tree adds a folder with these entries, in this order, whatever their names are.
func (r *Repository) Tree(entries ...Entry) ID {
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%o %s\x00%s", e.Mode, e.Name, e.ID[:])
	}
	return r.pack.add(plumbing.TreeObject, b.Bytes())
}

// NextPack starts a new pack for what is added later.
func (r *Repository) NextPack() {
	r.packs = append(r.packs, r.pack)
	r.pack = &pack{}
}

// Root sets the commit's tree, in place of what was added by path.
func (r *Repository) Root(tree ID) { r.root = tree }

// Head points main at an object, in place of a generated commit.
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

// Loose adds a loose object under an id that need not match. The content
// includes the header, such as "blob 5\x00".
func (r *Repository) Loose(id ID, content string) { r.loose[id] = []byte(content) }

// Own adds a file to the Git folder itself.
func (r *Repository) Own(path, content string) { r.own[path] = content }

// OwnLink adds a symbolic link to the Git folder itself.
func (r *Repository) OwnLink(path, target string) { r.links[path] = target }

// Delta adds the blob with this id as a delta of another one.
func (r *Repository) Delta(base ID, instructions []byte, id ID) ID {
	r.pack.addDelta(id, base, instructions)
	return id
}

// Files returns the tree of everything that was added by path.
func (r *Repository) Files() ID { return r.folder("", r.sorted()) }

func (r *Repository) sorted() []string {
	paths := make([]string, 0, len(r.entries))
	for path := range r.entries {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// folder adds the tree of the sorted paths below a prefix.
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

// order returns Git's sort key: a folder sorts as if its name ended with a
// slash.
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

// writeOwn writes the files that are not objects.
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
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o755); err != nil { //nolint:gosec // a hook must be executable
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
