package objectdb

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// A delta's memory is accounted for by the size that it states, so its result must
// have that size.
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

func FuzzCommitsAreReadOrRefused(f *testing.F) {
	id := strings.Repeat("1", 40)
	f.Add(uint8(plumbing.CommitObject), []byte("tree "+id+"\nparent "+id+"\nauthor a <b> 1 +0000\ncommitter a <b> 1 +0000\n\nsubject\n\nbody\n"))
	f.Add(uint8(plumbing.TagObject), []byte("object "+id+"\ntype tag\ntag x\n\n"))
	f.Add(uint8(plumbing.CommitObject), []byte("tree x\ngpgsig -----BEGIN\n \n\ncommitter \x00<> 99999999999999999999 +9999\n\n\n\n\xff"))
	f.Fuzz(func(t *testing.T, kind uint8, content []byte) {
		c, err := Peel(single{plumbing.ObjectType(kind), content}, plumbing.ZeroHash)
		if err != nil {
			return
		}
		if !utf8.ValidString(c.Subject) || strings.Contains(c.Subject, "\n") {
			t.Errorf("subject = %q, want a line of text", c.Subject)
		}
	})
}

// single is a store that returns one object for every id.
type single struct {
	kind    plumbing.ObjectType
	content []byte
}

func (o single) Read(plumbing.Hash, int64) (plumbing.ObjectType, []byte, error) {
	return o.kind, o.content, nil
}

func (o single) Size(plumbing.Hash) (int64, error) { return int64(len(o.content)), nil }
