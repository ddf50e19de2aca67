package source

import (
	"fmt"
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
		if err != nil {
			return commit{}, fmt.Errorf("object %s: %w", id, err)
		}
		switch kind { //nolint:exhaustive // Nothing else leads to a commit.
		case plumbing.CommitObject:
			return parseCommit(id, content)
		case plumbing.TagObject:
			var tag object.Tag
			if err := tag.Decode(encoded(kind, content)); err != nil {
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
	if err := c.Decode(encoded(plumbing.CommitObject, content)); err != nil {
		return commit{}, fmt.Errorf("commit %s: %w", id, err)
	}
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return commit{
		id:      id,
		tree:    c.TreeHash,
		parents: c.ParentHashes,
		subject: strings.ToValidUTF8(strings.TrimSpace(subject), "\uFFFD"),
		time:    c.Committer.When,
	}, nil
}

func encoded(kind plumbing.ObjectType, content []byte) plumbing.EncodedObject {
	o := &plumbing.MemoryObject{}
	o.SetType(kind)
	o.SetSize(int64(len(content)))
	// A MemoryObject's Write cannot fail.
	_, _ = o.Write(content)
	return o
}
