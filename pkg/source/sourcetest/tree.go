package sourcetest

import (
	"bytes"
	"compress/zlib"
	"os"
	"path/filepath"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
)

// ID returns the bytes of an object's id, as a tree object stores them.
func ID(id string) []byte { h := plumbing.NewHash(id); return h[:] }

// WriteTree writes a loose tree object into the bare repository, one that git itself
// would not write, and returns its id.
func (r *Repo) WriteTree(content []byte) string {
	r.t.Helper()
	id := plumbing.ComputeHash(plumbing.TreeObject, content).String()
	var file bytes.Buffer
	deflated := zlib.NewWriter(&file)
	_, _ = deflated.Write(append([]byte("tree "+strconv.Itoa(len(content))+"\x00"), content...))
	_ = deflated.Close()
	folder := filepath.Join(r.Path, "objects", id[:2])
	r.must(os.MkdirAll(folder, 0o755))
	r.must(os.WriteFile(filepath.Join(folder, id[2:]), file.Bytes(), 0o444))
	return id
}
