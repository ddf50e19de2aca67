package source

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// A delta's memory is accounted for by the size that it states, so that must be the
// size that it has.
func FuzzDeltasStateTheirSize(f *testing.F) {
	numbers := func(n ...uint64) []byte {
		var b []byte
		for _, n := range n {
			b = binary.AppendUvarint(b, n)
		}
		return b
	}
	f.Add([]byte("some base"), append(numbers(9, 4), 0x90, 4))
	f.Add([]byte("some base"), append(numbers(9, 3), 3, 'a', 'b', 'c'))
	f.Add([]byte("b"), append(numbers(1, 1<<62), 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff))
	f.Add([]byte{}, bytes.Repeat([]byte{0xff}, 30))
	const limit = 1 << 20
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		size, err := deltaResult(delta)
		if err == nil && size < 0 {
			t.Fatalf("deltaResult(%x) = %d", delta, size)
		}
		if err != nil || size > limit {
			return // it is refused
		}
		result, err := packfile.PatchDelta(base, delta)
		if err == nil && int64(len(result)) != size {
			t.Errorf("deltaResult(%x) = %d; the result has %d bytes", delta, size, len(result))
		}
	})
}

// one is a store of one object, whatever it is asked for.
type one struct {
	kind    plumbing.ObjectType
	content []byte
}

func (o one) read(_ plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	if int64(len(o.content)) > limit {
		return 0, nil, errTooLarge{int64(len(o.content))}
	}
	return o.kind, o.content, nil
}

func (o one) size(plumbing.Hash) (int64, error) { return int64(len(o.content)), nil }

func FuzzTreesHaveNamesOfFiles(f *testing.F) {
	id := strings.Repeat("\x01", 20)
	f.Add([]byte("100644 a.yaml\x00" + id + "40000 b\x00" + id))
	f.Add([]byte("40000 ..\x00" + id))
	f.Add([]byte("120000 a/b\x00" + id + "100644 a\x00" + id + "100644 a\x00" + id))
	f.Add([]byte("777777777777 \x00" + id[:10]))
	f.Fuzz(func(t *testing.T, content []byte) {
		// Each folder in it is the tree itself, so that it has no end.
		root, _, err := readTree(one{plumbing.TreeObject, content}, plumbing.ZeroHash, nil, 1000)
		if err != nil {
			return
		}
		for i, e := range root.entries {
			if !fs.ValidPath(e.name) && e.name != "" && utf8.ValidString(e.name) || strings.Contains(e.name, "/") {
				t.Errorf("an entry is named %q", e.name)
			}
			if i > 0 && root.entries[i-1].name >= e.name {
				t.Errorf("%q comes after %q", e.name, root.entries[i-1].name)
			}
		}
	})
}

func FuzzCommitsAreReadOrRefused(f *testing.F) {
	id := strings.Repeat("1", 40)
	f.Add(uint8(plumbing.CommitObject), []byte("tree "+id+"\nparent "+id+"\nauthor a <b> 1 +0000\ncommitter a <b> 1 +0000\n\nsubject\n\nbody\n"))
	f.Add(uint8(plumbing.TagObject), []byte("object "+id+"\ntype tag\ntag x\n\n"))
	f.Add(uint8(plumbing.CommitObject), []byte("tree x\ngpgsig -----BEGIN\n \n\ncommitter \x00<> 99999999999999999999 +9999\n\n\n\n\xff"))
	f.Fuzz(func(t *testing.T, kind uint8, content []byte) {
		c, err := peel(one{plumbing.ObjectType(kind), content}, plumbing.ZeroHash)
		if err != nil {
			return
		}
		if !utf8.ValidString(c.subject) || strings.Contains(c.subject, "\n") {
			t.Errorf("subject = %q, want a line of text", c.subject)
		}
	})
}
