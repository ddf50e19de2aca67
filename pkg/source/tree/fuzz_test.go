package tree

import (
	"io/fs"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// one is a store that returns one object for every id.
type one struct {
	kind    plumbing.ObjectType
	content []byte
}

func (o one) Read(_ plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	if int64(len(o.content)) > limit {
		return 0, nil, objectdb.TooLargeError{Size: int64(len(o.content))}
	}
	return o.kind, o.content, nil
}

func (o one) Size(plumbing.Hash) (int64, error) { return int64(len(o.content)), nil }

func FuzzTreesHaveNamesOfFiles(f *testing.F) {
	id := strings.Repeat("\x01", 20)
	f.Add([]byte("100644 a.yaml\x00" + id + "40000 b\x00" + id))
	f.Add([]byte("40000 ..\x00" + id))
	f.Add([]byte("120000 a/b\x00" + id + "100644 a\x00" + id + "100644 a\x00" + id))
	f.Add([]byte("777777777777 \x00" + id[:10]))
	f.Fuzz(func(t *testing.T, content []byte) {
		// Each folder in it is the tree itself, so that the nesting never ends.
		root, _, err := Read(one{plumbing.TreeObject, content}, plumbing.ZeroHash, nil, Options{Files: 1000})
		if err != nil {
			return
		}
		for i, e := range root.Entries {
			if !fs.ValidPath(e.Name) && e.Name != "" && utf8.ValidString(e.Name) || strings.Contains(e.Name, "/") {
				t.Errorf("an entry is named %q", e.Name)
			}
			if i > 0 && root.Entries[i-1].Name >= e.Name {
				t.Errorf("%q comes after %q", e.Name, root.Entries[i-1].Name)
			}
		}
	})
}
