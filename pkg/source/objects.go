package source

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

// objects are Git's objects by their id, safe for concurrent use. An object that
// is not there is plumbing.ErrObjectNotFound.
type objects interface {
	// read gives the type and content of an object of at most limit bytes.
	read(id plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error)
	// size gives the size of an object's content without reading it.
	size(id plumbing.Hash) (int64, error)
}

const (
	maxCommitBytes = 1 << 20  // a message is text that somebody wrote
	maxTreeBytes   = 16 << 20 // about 400,000 entries
	maxSubject     = 8 << 10  // which is more than anybody shows
	maxLinkBytes   = 4096     // PATH_MAX
	maxTagDepth    = 8        // tags of tags; Git itself makes one
)

// errTooLarge is what objects.read gives for an object larger than its limit.
type errTooLarge struct{ size int64 }

func (e errTooLarge) Error() string { return fmt.Sprintf("it has %d bytes", e.size) }

// commit is what is read of a commit.
type commit struct {
	id      plumbing.Hash
	tree    plumbing.Hash
	parents []plumbing.Hash
	subject string
	time    time.Time
}

// peel reads the commit that an id names, through annotated tags.
func peel(o objects, id plumbing.Hash) (commit, error) {
	for range maxTagDepth {
		kind, content, err := o.read(id, maxCommitBytes)
		if large, ok := errors.AsType[errTooLarge](err); ok {
			return commit{}, fmt.Errorf("commit %s has %d bytes, more than the %d that one may have: its message is too long (git commit --amend)", id, large.size, maxCommitBytes)
		}
		if err != nil {
			return commit{}, fmt.Errorf("object %s: %w", id, err)
		}
		switch kind { //nolint:exhaustive // Nothing else leads to a commit.
		case plumbing.CommitObject:
			return parseCommit(id, content)
		case plumbing.TagObject:
			var tag object.Tag
			if err := tag.Decode(encoded(kind, read(content, "object", "type", "tag", "tagger"))); err != nil {
				return commit{}, fmt.Errorf("tag %s: %w", id, err)
			}
			id = tag.Target
		default:
			return commit{}, fmt.Errorf("object %s is a %s, not a commit", id, kind)
		}
	}
	return commit{}, fmt.Errorf("object %s: more than %d tags of tags", id, maxTagDepth)
}

func parseCommit(id plumbing.Hash, content []byte) (commit, error) {
	var c object.Commit
	content = read(content, "tree", "parent", "author", "committer")
	if err := c.Decode(encoded(plumbing.CommitObject, content)); err != nil {
		return commit{}, fmt.Errorf("commit %s: %w", id, err)
	}
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return commit{
		id:      id,
		tree:    c.TreeHash,
		parents: c.ParentHashes,
		subject: strings.ToValidUTF8(strings.TrimSpace(strings.Clone(subject[:min(len(subject), maxSubject)])), "\uFFFD"),
		time:    writable(c.Committer.When),
	}, nil
}

// read returns a commit or a tag with the headers of these names and no others. Some
// are as long as whoever makes the commit wants, signatures above all, and what
// go-git takes to read them grows with the square of their lines.
func read(content []byte, names ...string) []byte {
	var kept []byte
	for len(content) > 0 && content[0] != '\n' {
		end := bytes.IndexByte(content, '\n') + 1
		if end == 0 {
			end = len(content)
		}
		// What belongs to the line before begins with a blank, and so has no name.
		if name, _, _ := bytes.Cut(content[:end], []byte(" ")); slices.Contains(names, string(name)) {
			kept = append(kept, content[:end]...)
		}
		content = content[end:]
	}
	return append(kept, content...)
}

// writable returns a time that reports can hold. A commit may name any year, and any
// distance from UTC.
func writable(t time.Time) time.Time {
	if _, err := t.MarshalText(); err == nil {
		return t
	}
	if _, err := t.UTC().MarshalText(); err == nil {
		return t.UTC()
	}
	return time.Time{}
}

func encoded(kind plumbing.ObjectType, content []byte) plumbing.EncodedObject {
	o := &plumbing.MemoryObject{}
	o.SetType(kind)
	o.SetSize(int64(len(content)))
	// A MemoryObject's Write cannot fail.
	_, _ = o.Write(content)
	return o
}
