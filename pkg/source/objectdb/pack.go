package objectdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// Packs are the packs fetched from a remote. The first has all objects of one
// revision, and each later one adds what its revision changed. A Snapshot refers
// to the packs that it needs, so that it stays readable whatever is fetched
// later. Unused packs are garbage collected.
type Packs []*Pack

func (p Packs) Read(id plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	// The newest first: what has changed changes again.
	for _, pack := range slices.Backward(p) {
		if e, ok := pack.find(id); ok {
			if e.Size > limit {
				return 0, nil, TooLargeError{e.Size}
			}
			content, err := pack.Read(e)
			return e.Kind, content, err
		}
	}
	return 0, nil, plumbing.ErrObjectNotFound
}

// Size returns the size of an object of one of the packs.
func (p Packs) Size(id plumbing.Hash) (int64, error) {
	for _, pack := range slices.Backward(p) {
		if e, ok := pack.find(id); ok {
			return e.Size, nil
		}
	}
	return 0, plumbing.ErrObjectNotFound
}

// Bytes returns the compressed size of the packs.
func (p Packs) Bytes() int64 {
	var n int64
	for _, pack := range p {
		n += pack.Bytes
	}
	return n
}

// Pack is one pack as a server sent it, with an index of its own.
//
// It does not use go-git's parser, which allocates as much memory as the pack
// claims to need: a committer could stop the daemon with a pack of a few
// megabytes. The format is in Git's gitformat-pack documentation; entries are
// read and deltas applied by go-git.
type Pack struct {
	Entries []Entry // sorted by id
	Bytes   int64
	below   Packs // packs that the deltas of a thin pack may be based on

	mu      sync.Mutex // protects scanner, which has a position
	scanner *packfile.Scanner
}

// Entry is an object in a pack.
type Entry struct {
	ID     plumbing.Hash
	Kind   plumbing.ObjectType // of the object, even if it is stored as a delta
	offset int64
	Size   int64 // unpacked
}

// Limits bound what a pack may unpack to.
type Limits struct {
	Objects  int64
	Inflated int64 // bytes of all entries; a delta counts with its own size
	Live     int64 // bytes in memory at the same time, to resolve deltas
}

// MaxLive bounds the memory for resolving deltas, in bytes. Two versions of one
// file of up to about 20 MiB fit.
const MaxLive = 48 << 20

// maxDeltaDepth is the longest chain of deltas that Git itself can write.
const maxDeltaDepth = 4095

// ReadPack reads a pack and builds its index. It verifies the pack's checksum
// and computes the id of every object. Deltas may be based on objects of the
// packs below, as in a thin pack. The Pack reads file for as long as it is in
// use.
func ReadPack(ctx context.Context, file io.ReadSeeker, size int64, below Packs, limits Limits) (*Pack, error) {
	x := &indexer{
		pack:     &Pack{Bytes: size, below: below, scanner: packfile.NewScanner(file)},
		limits:   limits,
		byOffset: make(map[int64][]int64),
		byID:     make(map[plumbing.Hash][]int64),
	}
	if err := x.scan(ctx); err != nil {
		return nil, err
	}
	if err := x.resolve(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(x.pack.Entries, func(a, b Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return x.pack, nil
}

func (p *Pack) find(id plumbing.Hash) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(p.Entries, id, func(e Entry, id plumbing.Hash) int {
		return bytes.Compare(e.ID[:], id[:])
	})
	if !ok {
		return Entry{}, false
	}
	return p.Entries[i], true
}

// Read unpacks an object: its base, and the deltas on top of it.
func (p *Pack) Read(e Entry) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var deltas [][]byte
	for offset := e.offset; ; {
		header, content, err := p.unpack(offset)
		if err != nil {
			return nil, err
		}
		switch header.Type { //nolint:exhaustive // Everything that is not a delta is handled alike.
		case plumbing.OFSDeltaObject:
			offset = header.OffsetReference
		case plumbing.REFDeltaObject:
			base, ok := p.find(header.Reference)
			if !ok {
				_, base, err := p.below.Read(header.Reference, MaxLive)
				if err != nil {
					return nil, err
				}
				return patched(base, append(deltas, content))
			}
			offset = base.offset
		default:
			return patched(content, deltas)
		}
		deltas = append(deltas, content)
	}
}

// patched applies deltas to a base, the last one first.
func patched(content []byte, deltas [][]byte) (_ []byte, err error) {
	for _, delta := range slices.Backward(deltas) {
		if content, err = packfile.PatchDelta(content, delta); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// unpack returns one entry of the pack, without applying deltas.
func (p *Pack) unpack(offset int64) (*packfile.ObjectHeader, []byte, error) {
	header, err := p.scanner.SeekObjectHeader(offset)
	if err != nil {
		return nil, nil, err
	}
	var content bytes.Buffer
	content.Grow(int(header.Length) + bytes.MinRead)
	n, _, err := p.scanner.NextObject(&content)
	if err == nil && n != header.Length {
		err = fmt.Errorf("entry at %d has %d bytes, not %d", offset, n, header.Length)
	}
	return header, content.Bytes(), err
}

// indexer builds a pack's index in two steps: first it reads all entries in the
// order of the pack, then it resolves the deltas from their bases up.
type indexer struct {
	pack     *Pack
	limits   Limits
	byOffset map[int64][]int64         // offsets of deltas by the offset of their base
	byID     map[plumbing.Hash][]int64 // offsets of deltas by the id of their base
	deltas   int                       // unresolved, in both maps
	live     int64                     // bytes held to resolve deltas
}

func (x *indexer) scan(ctx context.Context) error {
	s := x.pack.scanner
	_, count, err := s.Header()
	if err != nil {
		return err
	}
	if int64(count) > x.limits.Objects {
		return &LimitError{What: "objects in one fetch", Limit: x.limits.Objects, Setting: "--max-files"}
	}
	x.pack.Entries = make([]Entry, 0, count)
	var inflated int64
	for range count {
		if err := ctx.Err(); err != nil {
			return err
		}
		header, err := s.NextObjectHeader()
		if err != nil {
			return err
		}
		if inflated += header.Length; header.Length < 0 || inflated > x.limits.Inflated {
			return &LimitError{What: "MiB in one fetch when unpacked", Limit: x.limits.Inflated >> 20, Setting: "--max-repository-bytes"}
		}
		content := plumbing.NewHasher(header.Type, header.Length)
		n, _, err := s.NextObject(content)
		if err == nil && n != header.Length {
			err = fmt.Errorf("entry at %d has %d bytes, not %d", header.Offset, n, header.Length)
		}
		if err != nil {
			return err
		}
		switch header.Type { //nolint:exhaustive // A pack holds nothing else.
		case plumbing.OFSDeltaObject:
			x.byOffset[header.OffsetReference] = append(x.byOffset[header.OffsetReference], header.Offset)
			x.deltas++
		case plumbing.REFDeltaObject:
			x.byID[header.Reference] = append(x.byID[header.Reference], header.Offset)
			x.deltas++
		case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
			x.add(Entry{content.Sum(), header.Type, header.Offset, header.Length})
		default:
			return fmt.Errorf("entry at %d is of unknown type %d", header.Offset, header.Type)
		}
	}
	_, err = s.Checksum()
	return err
}

func (x *indexer) add(e Entry) { x.pack.Entries = append(x.pack.Entries, e) }

func (x *indexer) resolve(ctx context.Context) error {
	for _, base := range slices.Clone(x.pack.Entries) {
		if len(x.byOffset[base.offset]) == 0 && len(x.byID[base.ID]) == 0 {
			continue
		}
		if err := x.hold(base.Size); err != nil {
			return err
		}
		_, content, err := x.pack.unpack(base.offset)
		if err != nil {
			return err
		}
		if err := x.resolveOn(ctx, base, content, 1); err != nil {
			return err
		}
		x.live -= base.Size
	}
	if err := x.resolveThin(ctx); err != nil {
		return err
	}
	if x.deltas > 0 {
		return errors.New("a delta's base is missing")
	}
	return nil
}

// resolveThin resolves the deltas on objects in the packs below.
func (x *indexer) resolveThin(ctx context.Context) error {
	for _, id := range slices.Collect(maps.Keys(x.byID)) {
		kind, content, err := x.pack.below.Read(id, x.limits.Live)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			continue // It may be the result of another delta in this pack.
		}
		if err != nil {
			return err
		}
		size := int64(len(content))
		if err := x.hold(size); err != nil {
			return err
		}
		if err := x.resolveOn(ctx, Entry{ID: id, Kind: kind, offset: outside}, content, 1); err != nil {
			return err
		}
		x.live -= size
	}
	return nil
}

// outside means an object that is not in this pack.
const outside = -1

// resolveOn resolves the deltas on an object, and the deltas on their results.
func (x *indexer) resolveOn(ctx context.Context, base Entry, content []byte, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth > maxDeltaDepth {
		return fmt.Errorf("a chain of more than %d deltas", maxDeltaDepth)
	}
	waiting := slices.Concat(x.byOffset[base.offset], x.byID[base.ID])
	delete(x.byOffset, base.offset)
	delete(x.byID, base.ID)
	for _, offset := range waiting {
		x.deltas--
		header, err := x.pack.scanner.SeekObjectHeader(offset)
		if err != nil {
			return err
		}
		if err := x.hold(header.Length); err != nil {
			return err
		}
		_, delta, err := x.pack.unpack(offset)
		if err != nil {
			return err
		}
		size, err := deltaResult(delta)
		if err != nil {
			return err
		}
		if err := x.hold(size); err != nil {
			return err
		}
		result, err := packfile.PatchDelta(content, delta)
		if err != nil {
			return err
		}
		e := Entry{plumbing.ComputeHash(base.Kind, result), base.Kind, offset, int64(len(result))}
		x.add(e)
		if err := x.resolveOn(ctx, e, result, depth+1); err != nil {
			return err
		}
		x.live -= header.Length + size
	}
	return nil
}

// hold accounts for memory that is about to be used.
func (x *indexer) hold(n int64) error {
	x.live += n
	if n < 0 || x.live > x.limits.Live {
		return &LimitError{What: "MiB of memory to unpack similar versions of one file", Limit: x.limits.Live >> 20}
	}
	return nil
}

// deltaResult reads the size of a delta's result: the second of two numbers at
// its beginning, seven bits a byte, lowest first.
func deltaResult(delta []byte) (int64, error) {
	skipped := slices.IndexFunc(delta, func(b byte) bool { return b < 0x80 }) + 1
	var size int64
	for i, b := range delta[skipped:] {
		if i > 7 {
			break
		}
		size |= int64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return size, nil
		}
	}
	return 0, packfile.ErrInvalidDelta
}
