package kustomize

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// A buildFS provides the repository's files to kustomize, with the root of the
// repository as "/". It refuses every write, counts the bytes read, and refuses
// reads after the rendering was stopped.
type buildFS struct {
	ctx    context.Context
	files  *manifest.Files
	bytes  *atomic.Int64     // bytes that may still be read
	extra  map[string][]byte // generated files, by their name in the repository
	limits Limits

	// stopped is the first limit that was exceeded. Kustomize treats an
	// unreadable file as a missing one, so its own error may not name the limit.
	stopped atomic.Pointer[error]
}

func newBuildFS(ctx context.Context, f *manifest.Files, limits Limits, extra map[string][]byte) *buildFS {
	b := &buildFS{ctx: ctx, files: f, bytes: new(atomic.Int64), extra: extra, limits: limits}
	b.bytes.Store(limits.Bytes)
	return b
}

var _ filesys.FileSystem = (*buildFS)(nil)

var errReadOnly = errors.New("the repository's files are read-only")

// name turns kustomize's absolute path into a name of the repository.
func (b *buildFS) name(p string) string {
	clean := path.Clean("/" + filepath.ToSlash(p))
	if clean == "/" {
		return "."
	}
	return strings.TrimPrefix(clean, "/")
}

// ReadFile reads a file, within the limits.
func (b *buildFS) ReadFile(p string) ([]byte, error) {
	if err := b.ctx.Err(); err != nil {
		return nil, b.stop(err)
	}
	name := b.name(p)
	content, made := b.extra[name]
	if !made {
		var err error
		if content, err = b.files.Read(name); err != nil {
			return nil, err
		}
	}
	if b.bytes.Add(-int64(len(content))) < 0 {
		return nil, b.stop(&manifest.Error{Reason: fmt.Sprintf("the build reads more than %d bytes", b.limits.Bytes), Exceeds: true})
	}
	return content, nil
}

func (b *buildFS) stop(err error) error {
	b.stopped.CompareAndSwap(nil, &err)
	return err
}

// IsDir reports whether p is a folder.
func (b *buildFS) IsDir(p string) bool { return b.files.IsDir(b.name(p)) }

// Exists reports whether p exists.
func (b *buildFS) Exists(p string) bool {
	name := b.name(p)
	if _, made := b.extra[name]; made {
		return true
	}
	_, err := fs.Stat(b.files.FS, name)
	return err == nil
}

// CleanedAbs splits a path into its folder and its file; the file is empty for a
// folder.
func (b *buildFS) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	name := b.name(p)
	if b.files.IsDir(name) {
		return confirmed(name), "", nil
	}
	if !b.Exists(p) {
		return "", "", fmt.Errorf("%q is not in the repository", name)
	}
	return confirmed(path.Dir(name)), path.Base(name), nil
}

func confirmed(name string) filesys.ConfirmedDir {
	return filesys.ConfirmedDir(path.Join("/", name))
}

// ReadDir lists the names in a folder.
func (b *buildFS) ReadDir(p string) ([]string, error) {
	entries, err := b.files.ReadDir(b.name(p))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Glob lists the files that match a pattern.
func (b *buildFS) Glob(pattern string) ([]string, error) {
	matches, err := fs.Glob(b.files.FS, b.name(pattern))
	for i, m := range matches {
		matches[i] = path.Join("/", m)
	}
	return matches, err
}

// Walk walks a folder.
func (b *buildFS) Walk(p string, walk filepath.WalkFunc) error {
	return fs.WalkDir(b.files.FS, b.name(p), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return walk(path.Join("/", name), nil, err)
		}
		info, err := d.Info()
		return walk(path.Join("/", name), info, err)
	})
}

// Open is not needed by a build, which reads whole files.
func (b *buildFS) Open(string) (filesys.File, error) { return nil, errReadOnly }

// Create is refused.
func (b *buildFS) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir is refused.
func (b *buildFS) Mkdir(string) error { return errReadOnly }

// MkdirAll is refused.
func (b *buildFS) MkdirAll(string) error { return errReadOnly }

// RemoveAll is refused.
func (b *buildFS) RemoveAll(string) error { return errReadOnly }

// WriteFile is refused.
func (b *buildFS) WriteFile(string, []byte) error { return errReadOnly }
