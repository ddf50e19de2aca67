package tree

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// Files holds the files of one revision. It is what Snapshot.Files holds.
//
// Names, kinds and digests are in memory; content is read from objects when a
// file is opened. It never changes, and objects is safe for concurrent use, so
// Files is too.
//
// A symbolic link is followed if it stays within the folder that is read. Other links,
// links in a loop, submodules, Git LFS pointers and files above the limit are listed
// like other files, but opening them returns a *fs.PathError with a *RefusedError.
type Files struct {
	root      *Node
	folder    string // the only folder that is read; empty for the whole tree
	wrong     error  // why the folder cannot be read; nil if it can
	objects   objectdb.Reader
	time      time.Time // of the commit, for every file: Git records no other
	fileBytes int64
	secrets   *secret.Set // collects the secrets found in files
}

var (
	_ fs.ReadDirFS        = (*Files)(nil)
	_ fs.ReadFileFS       = (*Files)(nil)
	_ fs.StatFS           = (*Files)(nil)
	_ fs.ReadLinkFS       = (*Files)(nil)
	_ federation.Digester = (*Files)(nil)
)

// NewFiles returns the files below a root folder that Read returned, or that was made from
// one. o has the content of all of them, and at is the time of the commit.
func NewFiles(root *Node, o objectdb.Reader, at time.Time, opts Options) *Files {
	return &Files{
		root: root, folder: opts.Folder, wrong: root.checkFolder(opts.Folder),
		objects: o, time: at, fileBytes: opts.FileBytes, secrets: opts.Secrets,
	}
}

// Root returns the root folder.
func (f *Files) Root() *Node { return f.root }

// Objects returns the objects that the content of files is read from.
func (f *Files) Objects() objectdb.Reader { return f.objects }

// Folder returns the folder that is read; empty for the whole tree.
func (f *Files) Folder() string { return f.folder }

// Open opens a file or folder. It reads the whole content of a file, which
// implements io.Seeker and io.ReaderAt.
func (f *Files) Open(name string) (fs.File, error) {
	e, err := f.resolve("open", name, true)
	if err != nil {
		return nil, err
	}
	info := f.info(path.Base(name), e)
	if e.Dir != nil {
		return &openDir{info: info, entries: f.list(e.Dir)}, nil
	}
	content, err := f.content(name, e)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{info: info, Reader: bytes.NewReader(content)}, nil
}

// ReadFile returns the content of a file. The caller may change it.
func (f *Files) ReadFile(name string) ([]byte, error) {
	e, err := f.resolve("read", name, true)
	if err != nil {
		return nil, err
	}
	if e.Dir != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a folder")}
	}
	content, err := f.content(name, e)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return content, nil
}

// ReadDir lists a folder, sorted by name.
func (f *Files) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := f.resolve("readdir", name, true)
	if err != nil {
		return nil, err
	}
	if e.Dir == nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("is not a folder")}
	}
	return f.list(e.Dir), nil
}

// Stat describes a file, following symbolic links.
func (f *Files) Stat(name string) (fs.FileInfo, error) { return f.stat(name, true) }

// Lstat describes a file without following a symbolic link at its end.
func (f *Files) Lstat(name string) (fs.FileInfo, error) { return f.stat(name, false) }

func (f *Files) stat(name string, follow bool) (fs.FileInfo, error) {
	e, err := f.resolve("stat", name, follow)
	if err != nil {
		return nil, err
	}
	info := f.info(path.Base(name), e)
	if err := info.readSize(); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return info, nil
}

// ReadLink returns the target of a symbolic link, even if it may not be
// followed.
func (f *Files) ReadLink(name string) (string, error) {
	e, err := f.resolve("readlink", name, false)
	if err != nil {
		return "", err
	}
	if e.Mode != filemode.Symlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	target, err := f.link(e)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return target, nil
}

// Digest returns Git's id of a file's content, or of a folder with everything
// below it, following symbolic links. If a folder has symbolic links in it,
// their targets count too, so its digest also covers the whole repository.
func (f *Files) Digest(name string) (string, error) {
	e, err := f.resolve("digest", name, true)
	if err != nil {
		return "", err
	}
	if e.Dir != nil && e.Dir.links {
		return e.ID.String() + "@" + f.root.ID.String(), nil
	}
	return e.ID.String(), nil
}

// content reads the content of a file, if it may be read.
func (f *Files) content(name string, e Entry) ([]byte, error) {
	if e.Mode == filemode.Submodule {
		return nil, &RefusedError{Path: name, Reason: Submodule}
	}
	kind, content, err := f.objects.Read(e.ID, f.fileBytes)
	if tooLarge, ok := errors.AsType[objectdb.TooLargeError](err); ok {
		return nil, &RefusedError{Path: name, Reason: TooLarge, Size: tooLarge.Size, Limit: f.fileBytes}
	}
	if heavy, ok := errors.AsType[objectdb.HeavyError](err); ok {
		return nil, &RefusedError{Path: name, Reason: HeavyDelta, Size: heavy.Bytes, Limit: heavy.Limit}
	}
	if err != nil {
		return nil, Missing(e.ID, err)
	}
	if kind != plumbing.BlobObject {
		return nil, errors.New("Git holds a " + kind.String() + " in its place")
	}
	if lfsPointer(content) {
		return nil, &RefusedError{Path: name, Reason: LFSPointer}
	}
	// Quotes from it are redacted only where a secret has been found before.
	f.secrets.In(name)
	f.secrets.In(string(content))
	return content, nil
}

func (f *Files) info(name string, e Entry) *fileInfo {
	return &fileInfo{files: f, name: name, entry: e}
}

func (f *Files) list(n *Node) []fs.DirEntry {
	list := make([]fs.DirEntry, len(n.Entries))
	for i, e := range n.Entries {
		list[i] = f.info(e.Name, e)
	}
	return list
}

// fileInfo is both fs.FileInfo and fs.DirEntry.
type fileInfo struct {
	files *Files
	name  string
	entry Entry
	size  int64
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.size }
func (i *fileInfo) ModTime() time.Time { return i.files.time }
func (i *fileInfo) IsDir() bool        { return i.entry.Dir != nil }
func (i *fileInfo) Type() fs.FileMode  { return i.Mode().Type() }
func (i *fileInfo) Sys() any           { return nil }
func (i *fileInfo) String() string     { return fs.FormatFileInfo(i) }

func (i *fileInfo) Mode() fs.FileMode {
	switch i.entry.Mode {
	case filemode.Dir:
		return fs.ModeDir | 0o555
	case filemode.Executable:
		return 0o555
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	case filemode.Submodule:
		// Not a folder: there is nothing to walk into.
		return fs.ModeIrregular | 0o444
	case filemode.Empty, filemode.Regular, filemode.Deprecated:
	}
	return 0o444
}

// Info returns a description with the file's size, which a listing does not read.
func (i *fileInfo) Info() (fs.FileInfo, error) {
	full := *i
	if err := full.readSize(); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: i.name, Err: err}
	}
	return &full, nil
}

func (i *fileInfo) readSize() error {
	if i.entry.Dir != nil || i.entry.Mode == filemode.Submodule {
		return nil
	}
	size, err := i.files.objects.Size(i.entry.ID)
	if err != nil {
		return Missing(i.entry.ID, err)
	}
	i.size = size
	return nil
}

// openFile is a file with its content.
type openFile struct {
	info *fileInfo
	*bytes.Reader
}

func (f *openFile) Close() error { return nil }

func (f *openFile) Stat() (fs.FileInfo, error) {
	full := *f.info
	full.size = f.Size()
	return &full, nil
}

// openDir is a folder that is being listed.
type openDir struct {
	info    *fileInfo
	entries []fs.DirEntry // not yet returned
}

func (d *openDir) Close() error               { return nil }
func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errors.New("is a folder")}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(d.entries) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.entries) {
		n = len(d.entries)
	}
	list := d.entries[:n:n]
	d.entries = d.entries[n:]
	return list, nil
}
