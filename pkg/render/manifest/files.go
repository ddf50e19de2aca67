package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/konfig"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Files holds a revision's files during one rendering. What was read is cached
// until the rendering ends.
type Files struct {
	FS     fs.FS
	limit  int64         // bytes of one file
	bytes  *limit.Budget // of all files
	values *limit.Budget // bytes of their decoded values

	mu         sync.Mutex // protects all below
	content    map[string]result[[]byte]
	digests    map[string]result[string]
	entries    map[string]result[[]fs.DirEntry]
	kustomized map[string]result[[]string]
}

type result[T any] struct {
	value T
	err   error
}

// NewFiles returns the Files of a revision. The size of each file is limited to
// most bytes.
func NewFiles(fsys fs.FS, most int64) *Files {
	return &Files{
		FS: fsys, limit: most,
		bytes: limit.NewBudget(limit.RevisionBytes), values: limit.NewBudget(limit.RevisionValues),
		content: map[string]result[[]byte]{},
		digests: map[string]result[string]{},
		entries: map[string]result[[]fs.DirEntry]{}, kustomized: map[string]result[[]string]{},
	}
}

// Read returns a file's content, which must not be changed. Equal files under
// several names are read once if the file system has digests.
func (f *Files) Read(name string) ([]byte, error) {
	key := "name " + name
	if _, ok := f.FS.(federation.Digester); ok {
		if digest, err := f.Digest(name); err == nil && digest != absent {
			key = "digest " + digest
		}
	}
	return remember(f, f.content, key, func() ([]byte, error) {
		content, err := ReadFile(f.FS, name, f.limit)
		if err == nil && !f.bytes.Take(int64(len(content))) {
			return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("with it the revision has more than %d MiB of files to read", limit.RevisionBytes>>20)}
		}
		return content, err
	})
}

// Size returns the size of a file, in bytes, or an error if it must not be
// read.
func (f *Files) Size(name string) (int64, error) {
	info, err := fs.Stat(f.FS, name)
	switch {
	case err != nil:
		return 0, err
	case info.IsDir():
		return 0, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a folder")}
	case info.Size() > f.limit:
		return 0, tooLarge(name, info.Size(), f.limit)
	}
	return info.Size(), nil
}

func tooLarge(name string, size, most int64) error {
	return &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("has %d bytes; %d are allowed", size, most)}
}

// ReadFile reads a file of no more than most bytes, without allocating memory
// for a larger one. A file system with a cheaper way than reading the size
// first can implement it as a method ReadFileLimit.
func ReadFile(files fs.FS, name string, most int64) ([]byte, error) {
	if l, ok := files.(interface {
		ReadFileLimit(name string, most int64) ([]byte, error)
	}); ok {
		return l.ReadFileLimit(name, most)
	}
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is not a file")}
	}
	if info.Size() > most {
		return nil, tooLarge(name, info.Size(), most)
	}
	return fs.ReadFile(files, name)
}

// ReadDir lists a folder.
func (f *Files) ReadDir(name string) ([]fs.DirEntry, error) {
	return remember(f, f.entries, name, func() ([]fs.DirEntry, error) { return fs.ReadDir(f.FS, name) })
}

// IsDir reports whether a name is a folder, or a link to one.
func (f *Files) IsDir(name string) bool {
	info, err := fs.Stat(f.FS, name)
	return err == nil && info.IsDir()
}

// IsFolder reports whether an entry of dir is a folder, or a link to one.
func (f *Files) IsFolder(dir string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink != 0 {
		return f.IsDir(path.Join(dir, e.Name()))
	}
	return e.IsDir()
}

// FolderError returns an error that describes an entry of dir that should be a folder;
// nil for a folder.
func (f *Files) FolderError(dir string, e fs.DirEntry) error {
	name := path.Join(dir, e.Name())
	wrong := &Error{File: name, Remedy: "make it a folder, or delete it"}
	switch {
	case f.IsFolder(dir, e):
		return nil
	case e.Type()&fs.ModeSymlink != 0:
		wrong.Reason = "is a link that does not lead to a folder"
		if _, err := fs.Stat(f.FS, name); err != nil {
			wrong.Reason = "is a link that cannot be followed: " + Cause(err)
		}
		wrong.Remedy = "correct its target, or delete it"
	case e.Type()&fs.ModeIrregular != 0:
		wrong.Reason = "is a submodule, and submodules are not fetched"
		wrong.Remedy = "copy its files into the repository, or delete it"
	default:
		wrong.Reason = "is a file where a folder should be"
	}
	return wrong
}

// IsFile reports whether a name is a file.
func (f *Files) IsFile(name string) bool {
	info, err := fs.Stat(f.FS, name)
	return err == nil && !info.IsDir()
}

// Kustomizations lists the kustomization files of a folder: one, none if it is
// read as plain manifests, or several by mistake.
func (f *Files) Kustomizations(dir string) []string {
	found, _ := remember(f, f.kustomized, dir, func() ([]string, error) {
		var found []string
		for _, name := range konfig.RecognizedKustomizationFileNames() {
			if f.IsFile(path.Join(dir, name)) {
				found = append(found, path.Join(dir, name))
			}
		}
		return found, nil
	})
	return found
}

// absent is the digest of a missing file.
const absent = "absent"

// Digest identifies the content of a file or folder. A missing one has a digest
// too.
func (f *Files) Digest(name string) (string, error) {
	return remember(f, f.digests, name, func() (string, error) {
		if d, ok := f.FS.(federation.Digester); ok {
			digest, err := d.Digest(name)
			if errors.Is(err, fs.ErrNotExist) {
				return absent, nil
			}
			return digest, err
		}
		h := sha256.New()
		if err := f.hash(h, name, 0); err != nil {
			return "", err
		}
		return hex.EncodeToString(h.Sum(nil)), nil
	})
}

// hash writes what is at name, and below it, to w.
func (f *Files) hash(w hash.Hash, name string, depth int) error {
	write := func(format string, args ...any) { w.Write(fmt.Appendf(nil, format, args...)) }
	info, err := fs.Stat(f.FS, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		write("absent\x00")
		return nil
	case err != nil:
		return err
	case depth > maxFolders:
		return &fs.PathError{Op: "digest", Path: name, Err: fmt.Errorf("folders nest deeper than %d", maxFolders)}
	case info.IsDir():
		entries, err := f.ReadDir(name)
		if err != nil {
			return err
		}
		write("folder %d\x00", len(entries))
		for _, e := range entries {
			write("%s\x00", e.Name())
			if err := f.hash(w, path.Join(name, e.Name()), depth+1); err != nil {
				return err
			}
		}
		return nil
	case !info.Mode().IsRegular():
		write("special %s\x00", info.Mode())
		return nil
	case info.Size() > f.limit:
		// It cannot be rendered. Its size and time are enough to notice a
		// change.
		write("large %d %s\x00", info.Size(), info.ModTime())
		return nil
	}
	content, err := f.Read(name)
	if err != nil {
		return err
	}
	write("file %d\x00", len(content))
	w.Write(content)
	return nil
}

// maxFolders bounds the nesting of folders, which a symbolic link could make
// endless.
const maxFolders = 64

// remember returns m[name], and calls get if it is missing. Two concurrent calls
// of get return equal results.
func remember[T any](f *Files, m map[string]result[T], name string, get func() (T, error)) (T, error) {
	f.mu.Lock()
	r, ok := m[name]
	f.mu.Unlock()
	if ok {
		return r.value, r.err
	}
	r.value, r.err = get()
	f.mu.Lock()
	m[name] = r
	f.mu.Unlock()
	return r.value, r.err
}

// Plain lists the files of a folder that are read as plain manifests, in lexical
// order.
func (f *Files) Plain(dir string) ([]string, error) {
	entries, err := f.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if IsManifest(e.Name()) && !f.IsFolder(dir, e) {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

// IsManifest reports whether, in a folder without a kustomization, a file of this
// name is read for objects.
func IsManifest(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
		return !strings.HasPrefix(name, ".")
	}
	return false
}

// Within reports whether a name is below a folder.
func Within(name, dir string) bool { return dir == "." || strings.HasPrefix(name, dir+"/") }
