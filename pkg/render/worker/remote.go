package worker

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// A remote provides the parent's files to the process. It caches folders by
// digest in the shelf, across renderings, and by name for one rendering.
type remote struct {
	ask   func(question) (answer, []byte, error)
	root  string // the digest of the tree
	shelf *shelf

	mu      sync.Mutex // protects what follows
	folders map[string]*folder
	stats   map[string]stat
}

// A folder is a list of entries.
type folder struct {
	entries []entry // by name, in byte order
	used    uint64  // the last rendering that used it
}

type stat struct {
	entry entry
	err   error
}

// A shelf caches the folders of the last two renderings by their digests.
type shelf struct {
	mu         sync.Mutex
	generation uint64
	folders    map[string]*folder
}

func (s *shelf) get(digest string) *folder {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folders[digest]
	if f != nil {
		f.used = s.generation
	}
	return f
}

func (s *shelf) put(digest string, f *folder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.used = s.generation
	s.folders[digest] = f
}

// turn begins a rendering.
func (s *shelf) turn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	for digest, f := range s.folders {
		if f.used+2 < s.generation {
			delete(s.folders, digest)
		}
	}
}

func newRemote(root string, s *shelf, ask func(question) (answer, []byte, error)) *remote {
	return &remote{ask: ask, root: root, shelf: s, folders: map[string]*folder{}, stats: map[string]stat{}}
}

var (
	_ fs.ReadDirFS        = (*remote)(nil)
	_ fs.StatFS           = (*remote)(nil)
	_ federation.Digester = (*remoteDigests)(nil)
)

// remoteDigests is a remote whose files have digests.
type remoteDigests struct{ *remote }

// Digest returns what identifies a file or folder.
func (r *remoteDigests) Digest(name string) (string, error) {
	e, err := r.find("digest", name)
	if err == nil && e.Digest == "" {
		err = &fs.PathError{Op: "digest", Path: name, Err: errors.New("is not known")}
	}
	return e.Digest, err
}

// find describes a file or folder, following links.
func (r *remote) find(op, name string) (entry, error) {
	switch {
	case !fs.ValidPath(name):
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	case len(name) > limit.PathBytes:
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	e := entry{Name: ".", Mode: fs.ModeDir, Digest: r.root}
	if name == "." {
		return e, nil
	}
	at := "."
	for step := range strings.SplitSeq(name, "/") {
		if e.Mode.IsRegular() {
			return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		f, err := r.folder(at, e.Digest)
		if err != nil {
			return entry{}, err
		}
		i, ok := slices.BinarySearchFunc(f.entries, step, func(e entry, name string) int { return strings.Compare(e.Name, name) })
		if !ok {
			return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		e, at = f.entries[i], path.Join(at, step)
		if e.Mode&fs.ModeSymlink != 0 {
			return r.stat(op, name) // the parent follows links
		}
	}
	return e, nil
}

// folder lists a folder. The digest is empty if the folder has none.
func (r *remote) folder(name, digest string) (*folder, error) {
	r.mu.Lock()
	f := r.folders[name]
	r.mu.Unlock()
	if f != nil {
		return f, nil
	}
	if digest != "" {
		f = r.shelf.get(digest)
	}
	if f == nil {
		a, _, err := r.ask(question{Op: "list", Name: name})
		if err = a.err("readdir", name, err); err != nil {
			return nil, err
		}
		f = &folder{entries: a.Entries}
		slices.SortFunc(f.entries, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
		if digest != "" {
			r.shelf.put(digest, f)
		}
	}
	r.mu.Lock()
	r.folders[name] = f
	r.mu.Unlock()
	return f, nil
}

// stat asks the parent to describe a file; the parent follows links.
func (r *remote) stat(op, name string) (entry, error) {
	r.mu.Lock()
	known, ok := r.stats[name]
	r.mu.Unlock()
	if ok {
		return known.entry, known.err
	}
	a, _, err := r.ask(question{Op: "stat", Name: name})
	known = stat{a.Entry, a.err(op, name, err)}
	known.entry.Name = path.Base(name)
	r.mu.Lock()
	r.stats[name] = known
	r.mu.Unlock()
	return known.entry, known.err
}

// err returns the error in an answer, or the error of asking.
func (a answer) err(op, name string, asking error) error {
	switch {
	case asking != nil:
		return &fs.PathError{Op: op, Path: name, Err: asking}
	case a.Missing:
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	case a.Error != "":
		return &fs.PathError{Op: op, Path: name, Err: errors.New(a.Error)}
	}
	return nil
}

// ReadFileLimit reads a file of at most limit bytes.
func (r *remote) ReadFileLimit(name string, limit int64) ([]byte, error) {
	a, content, err := r.ask(question{Op: "read", Name: name, Limit: limit})
	return content, a.err("read", name, err)
}

// Stat describes a file, following links.
func (r *remote) Stat(name string) (fs.FileInfo, error) {
	e, err := r.find("stat", name)
	if err != nil {
		return nil, err
	}
	return &info{remote: r, path: name, entry: e}, nil
}

// ReadDir lists a folder.
func (r *remote) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := r.find("readdir", name)
	if err != nil {
		return nil, err
	}
	f, err := r.folder(name, e.Digest)
	if err != nil {
		return nil, err
	}
	list := make([]fs.DirEntry, len(f.entries))
	for i, e := range f.entries {
		list[i] = &info{remote: r, path: path.Join(name, e.Name), entry: e}
	}
	return list, nil
}

// maxOpened is the limit for Open, in bytes. A caller with its own limit uses
// ReadFileLimit.
const maxOpened = 64 << 20

// Open reads a file and returns it opened. ReadDir lists folders.
func (r *remote) Open(name string) (fs.File, error) {
	found, err := r.Stat(name)
	if err != nil {
		return nil, err
	}
	if found.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is a folder")}
	}
	content, err := r.ReadFileLimit(name, maxOpened)
	if err != nil {
		return nil, err
	}
	return &opened{info: found, Reader: bytes.NewReader(content)}, nil
}

type opened struct {
	info fs.FileInfo
	*bytes.Reader
}

func (o *opened) Stat() (fs.FileInfo, error) { return o.info, nil }
func (o *opened) Close() error               { return nil }

// info is both fs.FileInfo and fs.DirEntry.
type info struct {
	remote *remote
	path   string
	entry  entry
}

func (i *info) Name() string               { return path.Base(i.path) }
func (i *info) Mode() fs.FileMode          { return i.entry.Mode }
func (i *info) Type() fs.FileMode          { return i.entry.Mode.Type() }
func (i *info) IsDir() bool                { return i.entry.Mode.IsDir() }
func (i *info) ModTime() time.Time         { return time.Time{} }
func (i *info) Sys() any                   { return nil }
func (i *info) String() string             { return fs.FormatFileInfo(i) }
func (i *info) Info() (fs.FileInfo, error) { return i, nil }

// Size asks the parent for the size, which a list does not have because it is
// rarely needed.
func (i *info) Size() int64 {
	if i.IsDir() {
		return 0
	}
	e, err := i.remote.stat("stat", i.path)
	if err != nil {
		return 0
	}
	return e.Size
}
