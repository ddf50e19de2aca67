// Package objectdb reads Git's objects by their ids: from a Git folder on disk ([Folder]) and
// from packs that a remote sent ([Pack]). Its input is untrusted: every size has a limit, and
// damaged objects are errors.
package objectdb

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Reader reads Git's objects by their ids. It is safe for concurrent use. For a
// missing object the error is plumbing.ErrObjectNotFound.
type Reader interface {
	// Read returns the type and content of an object of at most limit bytes.
	Read(id plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error)
	// Size returns the size of an object's content without reading it.
	Size(id plumbing.Hash) (int64, error)
}

// Limits for one object, in bytes.
const (
	MaxCommitBytes = 1 << 20  // a message is text that a person wrote
	MaxTreeBytes   = 16 << 20 // about 400,000 entries
	maxSubject     = 8 << 10  // more than any page shows
	MaxLinkBytes   = 4096     // PATH_MAX
	maxTagDepth    = 8        // tags of tags; Git itself creates one
)

// TooLargeError is the error for an object larger than the limit of a read.
type TooLargeError struct{ Size int64 }

func (e TooLargeError) Error() string { return fmt.Sprintf("it has %d bytes", e.Size) }

// Commit holds the parts of a commit that are needed.
type Commit struct {
	ID      plumbing.Hash
	Tree    plumbing.Hash
	Parents []plumbing.Hash
	Subject string
	Time    time.Time
}

// Peel reads the commit that an id names, through annotated tags.
func Peel(o Reader, id plumbing.Hash) (Commit, error) {
	for range maxTagDepth {
		kind, content, err := o.Read(id, MaxCommitBytes)
		if large, ok := errors.AsType[TooLargeError](err); ok {
			return Commit{}, fmt.Errorf("commit %s has %d bytes, more than the %d that one may have: its message is too long (git commit --amend)", id, large.Size, MaxCommitBytes)
		}
		if err != nil {
			return Commit{}, fmt.Errorf("object %s: %w", id, err)
		}
		switch kind { //nolint:exhaustive // Nothing else leads to a commit.
		case plumbing.CommitObject:
			return ParseCommit(id, content)
		case plumbing.TagObject:
			var tag object.Tag
			if err := tag.Decode(Encode(kind, read(content, "object", "type", "tag", "tagger"))); err != nil {
				return Commit{}, fmt.Errorf("tag %s: %w", id, err)
			}
			id = tag.Target
		default:
			return Commit{}, fmt.Errorf("object %s is a %s, not a commit", id, kind)
		}
	}
	return Commit{}, fmt.Errorf("object %s: more than %d tags of tags", id, maxTagDepth)
}

// ParseCommit reads the content of a commit.
func ParseCommit(id plumbing.Hash, content []byte) (Commit, error) {
	var c object.Commit
	content = read(content, "tree", "parent", "author", "committer")
	if err := c.Decode(Encode(plumbing.CommitObject, content)); err != nil {
		return Commit{}, fmt.Errorf("commit %s: %w", id, err)
	}
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return Commit{
		ID:      id,
		Tree:    c.TreeHash,
		Parents: c.ParentHashes,
		Subject: strings.ToValidUTF8(strings.TrimSpace(strings.Clone(subject[:min(len(subject), maxSubject)])), "\uFFFD"),
		Time:    writable(c.Committer.When),
	}, nil
}

// read returns a commit or a tag with only the named headers. Others, above all
// signatures, may have any length, and the time that go-git needs to read them grows
// with the square of their lines.
func read(content []byte, names ...string) []byte {
	var kept []byte
	for len(content) > 0 && content[0] != '\n' {
		end := bytes.IndexByte(content, '\n') + 1
		if end == 0 {
			end = len(content)
		}
		// A continuation line begins with a blank, and so has no name.
		if name, _, _ := bytes.Cut(content[:end], []byte(" ")); slices.Contains(names, string(name)) {
			kept = append(kept, content[:end]...)
		}
		content = content[end:]
	}
	return append(kept, content...)
}

// writable returns a time that reports can hold. A commit may name any year and any
// offset from UTC.
func writable(t time.Time) time.Time {
	if _, err := t.MarshalText(); err == nil {
		return t
	}
	if _, err := t.UTC().MarshalText(); err == nil {
		return t.UTC()
	}
	return time.Time{}
}

// Encode returns an object in go-git's form.
func Encode(kind plumbing.ObjectType, content []byte) plumbing.EncodedObject {
	o := &plumbing.MemoryObject{}
	o.SetType(kind)
	o.SetSize(int64(len(content)))
	// A MemoryObject's Write cannot fail.
	_, _ = o.Write(content)
	return o
}
