package hostile

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // Git's own hash
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
)

// ID names a Git object.
type ID = plumbing.Hash

// A pack collects objects in Git's pack format, without checking them.
type pack struct {
	body  bytes.Buffer // the objects, without the pack's header
	index idxfile.Writer
	known map[ID]int64 // offset of each object
}

// packHeader is the length of a pack's header, in bytes.
const packHeader = 12

// add adds an object and returns its name.
func (p *pack) add(kind plumbing.ObjectType, content []byte) ID {
	id := plumbing.ComputeHash(kind, content)
	p.put(id, kind, int64(len(content)), func(w io.Writer) { _, _ = w.Write(content) })
	return id
}

// addZeros adds a blob of zeros, which may be larger than memory.
func (p *pack) addZeros(size int64) ID {
	h := plumbing.NewHasher(plumbing.BlobObject, size)
	writeZeros(h, size)
	id := h.Sum()
	p.put(id, plumbing.BlobObject, size, func(w io.Writer) { writeZeros(w, size) })
	return id
}

func writeZeros(w io.Writer, size int64) {
	_, _ = io.CopyN(w, zeros{}, size) // cannot fail
}

// zeros is an endless reader of zeros.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// addDelta adds an object as a delta of another one in the pack. The caller must
// know the id of the result.
func (p *pack) addDelta(id, base ID, instructions []byte) {
	p.put(id, plumbing.REFDeltaObject, int64(len(instructions)), func(w io.Writer) { _, _ = w.Write(instructions) }, base[:]...)
}

// put writes one object, with the bytes of before between its header and its
// content.
func (p *pack) put(id ID, kind plumbing.ObjectType, size int64, content func(io.Writer), before ...byte) {
	if p.known == nil {
		p.known = map[ID]int64{}
	}
	if _, ok := p.known[id]; ok {
		return
	}
	at := p.body.Len()
	p.known[id] = int64(at)
	first := byte(kind)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p.body.WriteByte(first | 0x80)
		first = byte(size & 127)
	}
	p.body.WriteByte(first)
	p.body.Write(before)
	z, _ := zlib.NewWriterLevel(&p.body, zlib.BestSpeed) // a valid level
	content(z)
	_ = z.Close() // writing to a buffer cannot fail
	p.index.Add(id, uint64(packHeader+at), crc32.ChecksumIEEE(p.body.Bytes()[at:]))
}

// write writes the pack and its index into a folder.
func (p *pack) write(dir string) error {
	content := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(p.known)))
	content = append(content, p.body.Bytes()...)
	sum := sha1.Sum(content) //nolint:gosec // Git's own hash
	content = append(content, sum[:]...)
	name := filepath.Join(dir, fmt.Sprintf("pack-%x", sum))
	if err := os.WriteFile(name+".pack", content, 0o600); err != nil {
		return err
	}
	if err := p.index.OnFooter(sum); err != nil {
		return err
	}
	index, err := p.index.Index()
	if err != nil {
		return err
	}
	var encoded bytes.Buffer
	if _, err := idxfile.NewEncoder(&encoded).Encode(index); err != nil {
		return err
	}
	return os.WriteFile(name+".idx", encoded.Bytes(), 0o600)
}
