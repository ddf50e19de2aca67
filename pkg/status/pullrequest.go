package status

import "context"

// PullRequest is an open pull request on a forge. Its texts are untrusted.
type PullRequest struct {
	Number int64
	Title  string
	Head   string // the proposed commit, in full
	Ref    string // its ref in the repository: "refs/pull/7/head"
	Base   string // the branch to merge into: "main"
	Fork   bool   // it comes from another repository
	// Version changes when the pull request or its comments change, as far and as soon as
	// the forge reports that.
	Version string
	// Queued reports that this is the head of a merge queue. Number is then that of the
	// pull request that is merged next, or 0 if the forge does not report it.
	Queued bool
}

// Reviewer is implemented by providers of forges that have pull requests. Its errors are
// those of Provider. Like a Provider, it is used by one goroutine at a time.
type Reviewer interface {
	Provider

	// Open lists the open pull requests into a branch, and the heads of its merge queue,
	// newest first. If nothing changed since the last call it returns false and no list,
	// and makes one request: a conditional one if the forge has them. Every few minutes
	// it makes some more requests, for what the forge reports in no other way.
	Open(ctx context.Context, branch string) (open []PullRequest, changed bool, err error)

	// Comment makes text the only comment of ours on a pull request. It edits the comment
	// of our account whose first line is the marker, and leaves it unchanged if it has
	// this text already. An empty text adds no comment, but clears an existing one.
	Comment(ctx context.Context, number int64, marker, text string) error
}
