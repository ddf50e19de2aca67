// Package review decides what happens to the open pull requests: which are planned next, and
// what is posted about each.
//
// It is pure. Its input is a State: the open pull requests, the commit that they are to be
// merged into, the clusters' facts, and the existing plans. The same State yields the same
// decisions, also after a restart. next.go decides what is due, tell.go what is posted, and
// clashes.go finds conflicts between two pull requests.
package review

import (
	"crypto/sha256"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/status"
)

// The limits on what is planned.
const (
	AtATime = 2   // plans that are made at the same time
	Most    = 500 // pull requests that are planned, the newest first
)

// Unknown decides the status of a plan that could not be checked in every cluster.
type Unknown string

// The values of Unknown.
const (
	Pass Unknown = "pass" // it counts as checked
	Fail Unknown = "fail"
	Wait Unknown = "wait" // it is pending until the deadline, and fails then
)

// Policy is the operator's settings.
type Policy struct {
	Forks    bool // pull requests from other repositories are planned, too
	Unknown  Unknown
	Deadline time.Duration // how long Wait waits
}

// State is everything that a decision depends on.
type State struct {
	Policy

	Open  []status.PullRequest // the newest first
	Tip   string               // the commit that they are to be merged into; empty while it is not known
	Facts federation.Facts     // what the clusters report now
	Made  map[string]Made      // the newest plan of each head
	Doing map[string]string    // the heads whose plan is being made, and the tip that it is made for
	Now   time.Time
}

// Made is the result of planning a head.
type Made struct {
	Head, Tip string    // the two commits
	Facts     string    // digest of the facts that matter to it
	At        time.Time // when it was made
	Took      time.Duration
	// Unsure is since when it could not be checked in every cluster; zero if it was.
	Unsure time.Time

	Verdict plan.Verdict // empty if there is no plan
	Summary untrusted.Text
	Text    string            // the plan in Markdown
	sum     [sha256.Size]byte // of Text
	// Findings are those that the change adds.
	Findings []federation.Finding
	// Lasting reports that there is no plan for a reason that depends only on the two
	// commits.
	Lasting bool
	// Moved reports that the pull request has another head now, or will have: nothing is
	// posted about this one.
	Moved  bool
	Claims Claims
}

// Of returns what matters about a plan that was made by the facts. earlier is the previous
// plan of the same head, or zero.
func Of(p *plan.Plan, facts federation.Facts, earlier Made, at time.Time) Made {
	m := Made{
		Head: p.Head.SHA, Tip: p.Base.SHA, At: at,
		Verdict: p.Verdict, Summary: p.Summary, Text: text(p), Findings: p.Findings, Claims: claimsOf(p),
	}
	m.sum = sha256.Sum256([]byte(m.Text))
	m.Facts = digest(facts, m.Claims)
	if m.Verdict == plan.Unsure {
		m.Unsure = at
		if !earlier.Unsure.IsZero() {
			m.Unsure = earlier.Unsure
		}
	}
	return m
}

// text returns a plan without the commit of its base: a push that does not affect the plan
// must not change the comment on every pull request.
func text(p *plan.Plan) string {
	its := *p
	its.Base.SHA = ""
	return its.Markdown(textBytes)
}

// textBytes leaves room in a comment for conflicts with other pull requests.
const textBytes = plan.CommentBytes - 4<<10

// Not returns what is known about a head that could not be planned.
func Not(head, tip string, why untrusted.Text, lasting bool, at time.Time) Made {
	return Made{Head: head, Tip: tip, At: at, Summary: why, Lasting: lasting}
}

// wanted returns the pull requests that are planned, the newest first. A pull request is
// planned even if one from another repository has the same head.
func (s State) wanted() []status.PullRequest {
	var all []status.PullRequest
	for _, pr := range s.Open {
		if (!pr.Fork || s.Forks) && len(all) < Most {
			all = append(all, pr)
		}
	}
	return all
}
