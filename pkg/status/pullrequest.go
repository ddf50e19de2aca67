package status

import "context"

// PullRequest is a proposed change that is open on a forge. Its texts are anybody's.
type PullRequest struct {
	Number int64
	Title  string
	Head   string // the commit that is proposed, in full
	Ref    string // where the repository has it: "refs/pull/7/head"
	Base   string // the branch it is to be merged into: "main"
	Fork   bool   // it comes from another repository
	// Version changes when something about it does, what is written about it included, as
	// far and as soon as the forge tells.
	Version string
	// Queued says that it stands for the head of a merge queue: Number is that of the
	// pull request that is merged next, 0 where the forge does not tell.
	Queued bool
}

// Reviewer is implemented by providers of forges that have pull requests. Its errors are
// those of Provider, and like it, it is used by one goroutine at a time.
type Reviewer interface {
	Provider

	// Open lists the open pull requests into a branch, and the heads of its merge queue,
	// the newest first. It makes one request where nothing changed since the last call,
	// and returns false with no list then: a conditional one where the forge has them. Some
	// more, every few minutes, are for what the forge tells in no other way.
	Open(ctx context.Context, branch string) (open []PullRequest, changed bool, err error)

	// Comment makes a text the one comment of ours on a pull request: the comment whose
	// first line is the marker is edited where there is one that our account wrote, and
	// is left alone where it says this already. An empty text makes no comment, but
	// clears one that is there.
	Comment(ctx context.Context, number int64, marker, text string) error
}
