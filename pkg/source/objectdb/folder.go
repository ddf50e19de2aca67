package objectdb

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// Folder reads the objects of a local repository: from its own folder, and from those
// that it borrows from (gitrepository-layout, objects/info/alternates).
//
// It does not use go-git's storage, which unpacks the base of a delta of any size,
// and loose objects larger than they claim to be. A committer could stop the daemon
// with a small file that is a delta of a gigabyte. A Folder is not safe for
// concurrent use.
type Folder struct {
	folders []string
	packs   []*localPack
}

// maxFolders bounds the folders that one repository borrows from.
const maxFolders = 32

// Open finds the folders and reads the indices of their packs. The indices, 28
// bytes per object, stay in memory until Close.
func Open(objects string) (*Folder, error) {
	o := &Folder{folders: []string{objects}}
	for i := 0; i < len(o.folders); i++ {
		more, err := alternates(o.folders[i])
		if err != nil {
			return nil, err
		}
		for _, folder := range more {
			if !slices.Contains(o.folders, folder) {
				o.folders = append(o.folders, folder)
			}
			if len(o.folders) > maxFolders {
				return nil, fmt.Errorf("%s: it borrows objects from more than %d folders", objects, maxFolders)
			}
		}
	}
	for _, folder := range o.folders {
		if err := o.addPacks(filepath.Join(folder, "pack")); err != nil {
			o.Close()
			return nil, err
		}
	}
	return o, nil
}

// alternates lists the folders that a folder of objects names as its alternates.
func alternates(objects string) ([]string, error) {
	content, err := ReadFile(filepath.Join(objects, "info", "alternates"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var folders []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			folders = append(folders, filepath.Clean(Join(objects, line)))
		}
	}
	return folders, nil
}

func (o *Folder) addPacks(folder string) error {
	indices, err := filepath.Glob(filepath.Join(escapeGlob(folder), "pack-*.idx"))
	if err != nil {
		return err
	}
	for _, index := range indices {
		p := &localPack{path: strings.TrimSuffix(index, "idx") + "pack", index: idxfile.NewMemoryIndex()}
		file, err := os.Open(index)
		if err != nil {
			return err
		}
		err = idxfile.NewDecoder(file).Decode(p.index)
		_ = file.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", index, err)
		}
		o.packs = append(o.packs, p)
	}
	return nil
}

// escapeGlob escapes the characters of a path that are special to filepath.Glob.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Close closes the open packs.
func (o *Folder) Close() {
	for _, p := range o.packs {
		p.Close()
	}
}

// Read returns the type and content of an object of at most limit bytes.
func (o *Folder) Read(id plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	if p, offset, packed := o.find(id, nil); packed {
		return o.readPacked(p, offset, limit)
	}
	return o.readLoose(id, limit)
}

// readLoose reads an object that has a file of its own.
func (o *Folder) readLoose(id plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	kind, size, content, err := o.openLoose(id)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = content.Close() }()
	if size > limit {
		return 0, nil, TooLargeError{size}
	}
	text, err := io.ReadAll(io.LimitReader(content, size+1))
	if err == nil && int64(len(text)) != size {
		err = fmt.Errorf("it has %d bytes or more, not %d", len(text), size)
	}
	return kind, text, err
}

// Size returns the size of an object. It unpacks only the beginning of a delta.
func (o *Folder) Size(id plumbing.Hash) (int64, error) {
	if p, offset, packed := o.find(id, nil); packed {
		return p.Size(offset)
	}
	_, size, content, err := o.openLoose(id)
	if err != nil {
		return 0, err
	}
	return size, content.Close()
}

// readPacked unpacks an object: the deltas from the last one down to their base, and
// up again. Everything held at the same time counts, so the parts of an object are
// bounded as the object is, whichever packs they are in.
func (o *Folder) readPacked(p *localPack, offset, limit int64) (plumbing.ObjectType, []byte, error) {
	held := holding{result: limit}
	for len(held.deltas) <= maxDeltaDepth {
		header, err := p.header(offset)
		if err != nil {
			return 0, nil, err
		}
		if err := held.room(header.Length, header.Type); err != nil {
			return 0, nil, err
		}
		content, err := p.content(header)
		if err != nil {
			return 0, nil, err
		}
		if header.Type != plumbing.OFSDeltaObject && header.Type != plumbing.REFDeltaObject {
			content, err = held.patched(content)
			return header.Type, content, err
		}
		if err := held.add(content); err != nil {
			return 0, nil, err
		}
		if header.Type == plumbing.OFSDeltaObject {
			offset = header.OffsetReference
			continue
		}
		// Git does not write packs on disk with a base elsewhere, but they can
		// be read.
		in, at, packed := o.find(header.Reference, p)
		if !packed {
			kind, base, err := o.readLoose(header.Reference, held.limit()-held.bytes-held.largest)
			if err != nil {
				return 0, nil, err
			}
			content, err = held.patched(base)
			return kind, content, err
		}
		p, offset = in, at
	}
	return 0, nil, fmt.Errorf("a chain of more than %d deltas", maxDeltaDepth)
}

// find finds the pack that has an object, and the offset in it. It searches first,
// unless that is nil, before the other packs.
func (o *Folder) find(id plumbing.Hash, first *localPack) (*localPack, int64, bool) {
	if first != nil {
		if offset, err := first.index.FindOffset(id); err == nil {
			return first, offset, true
		}
	}
	for _, p := range o.packs {
		if offset, err := p.index.FindOffset(id); err == nil {
			return p, offset, true
		}
	}
	return nil, 0, false
}

// holding holds the unpacked parts of one object.
type holding struct {
	result  int64    // the most bytes that the object itself may have
	deltas  [][]byte // the last one first
	bytes   int64    // in deltas
	largest int64    // size of a result of deltas
}

// HeavyError is the error for an object, of any size, that would take too much
// memory to unpack.
type HeavyError struct{ Bytes, Limit int64 }

func (e HeavyError) Error() string {
	return fmt.Sprintf("it is a delta of objects of %d bytes, more than the %d that are unpacked for one object", e.Bytes, e.Limit)
}

// limit is how many bytes may be held at the same time: two versions of the
// object, and MaxLive for its base and the deltas.
func (h *holding) limit() int64 { return MaxLive + 2*h.result }

// room returns an error if an entry of size bytes does not fit. The first entry
// is the object itself, unless it is a delta.
func (h *holding) room(size int64, kind plumbing.ObjectType) error {
	delta := kind == plumbing.OFSDeltaObject || kind == plumbing.REFDeltaObject
	switch held := h.bytes + h.largest; {
	case size < 0:
		return fmt.Errorf("an entry has a negative size: %d", size)
	case len(h.deltas) == 0 && !delta && size > h.result:
		return TooLargeError{size}
	case size > h.limit()-held:
		return HeavyError{held + size, h.limit()}
	}
	return nil
}

// add holds a delta.
func (h *holding) add(delta []byte) error {
	size, err := deltaResult(delta)
	switch {
	case err != nil:
		return err
	case size < 0:
		return packfile.ErrInvalidDelta
	case len(h.deltas) == 0 && size > h.result:
		return TooLargeError{size}
	}
	h.deltas = append(h.deltas, delta)
	h.bytes, h.largest = h.bytes+int64(len(delta)), max(h.largest, size)
	return h.room(0, plumbing.OFSDeltaObject)
}

// patched applies the deltas to their base.
func (h *holding) patched(base []byte) ([]byte, error) { return patched(base, h.deltas) }

// openLoose opens an object that has a file of its own. Its content may be longer or
// shorter than its header states.
func (o *Folder) openLoose(id plumbing.Hash) (plumbing.ObjectType, int64, io.ReadCloser, error) {
	name := id.String()
	for _, folder := range o.folders {
		file, err := os.Open(filepath.Join(folder, name[:2], name[2:]))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, 0, nil, err
		}
		kind, size, content, err := looseHeader(file)
		if err != nil {
			_ = file.Close()
			return 0, 0, nil, err
		}
		return kind, size, loose{content, file}, nil
	}
	return 0, 0, nil, plumbing.ErrObjectNotFound
}

// loose is the content of an object in a file of its own.
type loose struct {
	io.Reader
	io.Closer
}

// looseHeader reads a header such as "blob 12", which ends with a NUL.
func looseHeader(file io.Reader) (plumbing.ObjectType, int64, io.Reader, error) {
	const longest = 32 // "commit " and 19 digits fit
	inflated, err := zlib.NewReader(file)
	if err != nil {
		return 0, 0, nil, err
	}
	content := bufio.NewReader(inflated)
	start, err := content.Peek(longest)
	end := bytes.IndexByte(start, 0)
	if end < 0 {
		return 0, 0, nil, errors.Join(errors.New("its header has no end"), err)
	}
	name, digits, _ := strings.Cut(string(start[:end]), " ")
	kind, err := plumbing.ParseObjectType(name)
	if err != nil {
		return 0, 0, nil, err
	}
	size, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || size < 0 {
		return 0, 0, nil, fmt.Errorf("its header gives the size %q", digits)
	}
	_, err = content.Discard(end + 1)
	return kind, size, content, err
}

// localPack is a pack in a local repository, with Git's index of it.
type localPack struct {
	path    string
	index   *idxfile.MemoryIndex
	file    *os.File          // nil until it is needed; while open, it stays readable after gc removes it
	scanner *packfile.Scanner // of the file
}

func (p *localPack) Close() {
	if p.file != nil {
		_ = p.file.Close()
	}
}

// header reads the header of an entry.
func (p *localPack) header(offset int64) (*packfile.ObjectHeader, error) {
	if p.file == nil {
		file, err := os.Open(p.path)
		if err != nil {
			return nil, err
		}
		p.file, p.scanner = file, packfile.NewScanner(file)
	}
	header, err := p.scanner.SeekObjectHeader(offset)
	if err == nil && header.Type == plumbing.OFSDeltaObject && (header.OffsetReference <= 0 || header.OffsetReference >= offset) {
		err = fmt.Errorf("the delta at %d names no base before it", offset)
	}
	return header, err
}

// content unpacks the entry whose header was read last.
func (p *localPack) content(header *packfile.ObjectHeader) ([]byte, error) {
	content := bytes.NewBuffer(make([]byte, 0, header.Length+bytes.MinRead))
	n, _, err := p.scanner.NextObject(&atMost{content, header.Length})
	if err == nil && n != header.Length {
		err = fmt.Errorf("an entry has %d bytes, not %d", n, header.Length)
	}
	return content.Bytes(), err
}

// Size returns the size of the object at an offset.
func (p *localPack) Size(offset int64) (int64, error) {
	header, err := p.header(offset)
	if err != nil {
		return 0, err
	}
	if header.Type != plumbing.OFSDeltaObject && header.Type != plumbing.REFDeltaObject {
		return header.Length, nil
	}
	const longest = 20 // two numbers
	var start bytes.Buffer
	_, _, err = p.scanner.NextObject(&atMost{&start, min(longest, header.Length)})
	if err != nil && !errors.Is(err, errEnough) {
		return 0, err
	}
	return deltaResult(start.Bytes())
}

// atMost writes at most left bytes, and returns errEnough for more.
type atMost struct {
	to   io.Writer
	left int64
}

var errEnough = errors.New("more bytes than its header states")

// Write writes what there is room for.
func (w *atMost) Write(p []byte) (int, error) {
	if int64(len(p)) <= w.left {
		w.left -= int64(len(p))
		return w.to.Write(p)
	}
	n, err := w.to.Write(p[:w.left])
	w.left -= int64(n)
	if err == nil {
		err = errEnough
	}
	return n, err
}
