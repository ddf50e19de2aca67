package gitnotes

import (
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// fanOut is how many notes a folder holds before new ones go into subfolders named after
// the next two digits, as in git (notes.c, determine_fanout).
const fanOut = 256

// maxNote is the longest note that is read, in bytes.
const maxNote = 1 << 20

// notes edits a tree of notes. The note of a commit is the blob whose path is the
// commit's name, with any number of slashes, each after two digits. git reads all of
// these forms, even mixed, and so must we.
type notes struct {
	storer  storer.EncodedObjectStorer
	written []plumbing.Hash // the stored objects
}

// read returns the note of a commit; nil if there is none. If two forms of the path
// exist, git shows both, so they are read as one.
func (n *notes) read(tree plumbing.Hash, rest string) ([]byte, error) {
	entries, err := n.entries(tree)
	if err != nil {
		return nil, err
	}
	var note []byte
	if i := blobAt(entries, rest); i >= 0 {
		if note, err = n.blob(entries[i].Hash); err != nil {
			return nil, err
		}
	}
	if i := folderAt(entries, rest); i >= 0 {
		below, err := n.read(entries[i].Hash, rest[2:])
		if err != nil {
			return nil, err
		}
		note = append(note, below...)
	}
	return note, nil
}

// edit changes the note of a commit and returns the new tree, or the same if nothing
// changed. A new note gets change(nil).
func (n *notes) edit(tree plumbing.Hash, rest string, change func([]byte) ([]byte, error)) (plumbing.Hash, error) {
	entries, err := n.entries(tree)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	flat, folder := blobAt(entries, rest), folderAt(entries, rest)
	if folder < 0 && flat < 0 && len(rest) > 2 {
		if entries, err = n.spread(entries, rest); err != nil {
			return plumbing.ZeroHash, err
		}
		folder = folderAt(entries, rest)
	}
	if folder < 0 {
		return n.editHere(tree, entries, rest, change)
	}
	// A note that is both here and in a subfolder moves to the subfolder, where git would
	// put it.
	outer := []byte(nil)
	if flat >= 0 {
		if outer, err = n.blob(entries[flat].Hash); err != nil {
			return plumbing.ZeroHash, err
		}
		entries = slices.Delete(entries, flat, flat+1)
		folder = folderAt(entries, rest)
	}
	before := entries[folder].Hash
	after, err := n.edit(before, rest[2:], func(note []byte) ([]byte, error) { return change(append(outer, note...)) })
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if after == before && flat < 0 {
		return tree, nil
	}
	entries[folder].Hash = after
	return n.storeTree(entries)
}

// editHere changes a note that belongs in this folder.
func (n *notes) editHere(tree plumbing.Hash, entries []object.TreeEntry, rest string, change func([]byte) ([]byte, error)) (plumbing.Hash, error) {
	i := blobAt(entries, rest)
	var before []byte
	if i >= 0 {
		var err error
		if before, err = n.blob(entries[i].Hash); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	after, err := change(before)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if i >= 0 && string(after) == string(before) {
		return tree, nil
	}
	hash, err := n.storeBlob(after)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if i >= 0 {
		entries[i].Hash = hash
	} else {
		entries = append(entries, object.TreeEntry{Name: rest, Mode: filemode.Regular, Hash: hash})
	}
	return n.storeTree(entries)
}

// spread adds a subfolder for the note of rest if this folder has such subfolders
// already, or is full: then its other notes move into theirs.
func (n *notes) spread(entries []object.TreeEntry, rest string) ([]object.TreeEntry, error) {
	folders, flat := 0, 0
	for _, e := range entries {
		switch {
		case e.Mode == filemode.Dir && isHex(e.Name, 2):
			folders++
		case e.Mode.IsFile() && isHex(e.Name, len(rest)):
			flat++
		}
	}
	if folders == 0 && flat < fanOut {
		return entries, nil
	}
	var kept []object.TreeEntry
	moved := map[string][]object.TreeEntry{rest[:2]: nil}
	for _, e := range entries {
		full := folders == 0 && e.Mode.IsFile() && isHex(e.Name, len(rest))
		if !full {
			kept = append(kept, e)
			continue
		}
		prefix := e.Name[:2]
		e.Name = e.Name[2:]
		moved[prefix] = append(moved[prefix], e)
	}
	for prefix, inside := range moved {
		// An empty folder has a zero hash until the note is in it.
		hash := plumbing.ZeroHash
		if len(inside) > 0 {
			var err error
			if hash, err = n.storeTree(inside); err != nil {
				return nil, err
			}
		}
		kept = append(kept, object.TreeEntry{Name: prefix, Mode: filemode.Dir, Hash: hash})
	}
	return kept, nil
}

// blobAt returns the index of the note itself, folderAt that of the folder that may hold
// it; -1 for none.
func blobAt(entries []object.TreeEntry, rest string) int {
	return slices.IndexFunc(entries, func(e object.TreeEntry) bool { return e.Name == rest && e.Mode.IsFile() })
}

func folderAt(entries []object.TreeEntry, rest string) int {
	if len(rest) <= 2 {
		return -1
	}
	return slices.IndexFunc(entries, func(e object.TreeEntry) bool { return e.Name == rest[:2] && e.Mode == filemode.Dir })
}

func isHex(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// entries reads a folder; the zero hash means an empty one.
func (n *notes) entries(tree plumbing.Hash) ([]object.TreeEntry, error) {
	if tree.IsZero() {
		return nil, nil
	}
	t, err := object.GetTree(n.storer, tree)
	if err != nil {
		return nil, fmt.Errorf("read the tree %s: %w", tree, err)
	}
	return slices.Clone(t.Entries), nil
}

func (n *notes) blob(hash plumbing.Hash) ([]byte, error) {
	b, err := object.GetBlob(n.storer, hash)
	if err != nil {
		return nil, fmt.Errorf("read the blob %s: %w", hash, err)
	}
	if b.Size > maxNote {
		return nil, fmt.Errorf("the note has %d bytes, more than %d", b.Size, maxNote)
	}
	r, err := b.Reader()
	if err != nil {
		return nil, fmt.Errorf("read the blob %s: %w", hash, err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read the blob %s: %w", hash, err)
	}
	return data, r.Close()
}

func (n *notes) storeTree(entries []object.TreeEntry) (plumbing.Hash, error) {
	sort.Sort(object.TreeEntrySorter(entries))
	return n.store(&object.Tree{Entries: entries})
}

func (n *notes) storeBlob(content []byte) (plumbing.Hash, error) {
	o := n.storer.NewEncodedObject()
	o.SetType(plumbing.BlobObject)
	w, err := o.Writer()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if _, err := w.Write(content); err != nil {
		return plumbing.ZeroHash, err
	}
	if err := w.Close(); err != nil {
		return plumbing.ZeroHash, err
	}
	return n.set(o)
}

// store writes a tree or a commit.
func (n *notes) store(o interface {
	Encode(plumbing.EncodedObject) error
},
) (plumbing.Hash, error) {
	encoded := n.storer.NewEncodedObject()
	if err := o.Encode(encoded); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("encode an object: %w", err)
	}
	return n.set(encoded)
}

func (n *notes) set(o plumbing.EncodedObject) (plumbing.Hash, error) {
	hash, err := n.storer.SetEncodedObject(o)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("store an object: %w", denied(err))
	}
	if !slices.Contains(n.written, hash) {
		n.written = append(n.written, hash)
	}
	return hash, nil
}
