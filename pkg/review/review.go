// Package review decides what is done about the open pull requests: which are planned
// next, and what each is told.
//
// It is pure, and decides from a State alone: what is open, the commit they are to be
// merged into, what the clusters report, and the plans that were made of it. Whoever
// starts anew with the same State decides the same. next.go says what is due, tell.go what
// is told, and clashes.go what two of them have to do with each other.
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
	AtATime = 2   // plans that are made at once
	Most    = 500 // pull requests that are planned, the newest of them
)

// Unknown says what becomes of a plan that could not be checked in every cluster.
type Unknown string

// What may become of it.
const (
	Pass Unknown = "pass" // it counts as checked
	Fail Unknown = "fail"
	Wait Unknown = "wait" // it is pending until the deadline, and fails then
)

// Policy is what the operator says.
type Policy struct {
	Forks    bool // those from other repositories are planned, too
	Unknown  Unknown
	Deadline time.Duration // how long Wait waits
}

// State is all that a decision depends on.
type State struct {
	Policy

	Open  []status.PullRequest // the newest first
	Tip   string               // the commit that they are to be merged into; empty while it is not known
	Facts federation.Facts     // what the clusters report now
	Made  map[string]Made      // the newest plan of each head
	Doing map[string]string    // the heads of which a plan is being made, and the tip that it is made for
	Now   time.Time
}

// Made is what came of planning a head.
type Made struct {
	Head, Tip string    // the two commits
	Facts     string    // digest of those that matter to it
	At        time.Time // when it was made
	Took      time.Duration
	// Unsure is since when it could not be checked in every cluster; zero where it was.
	Unsure time.Time

	Verdict plan.Verdict // empty where there is no plan
	Summary untrusted.Text
	Text    string            // the plan in Markdown
	sum     [sha256.Size]byte // of Text
	// Findings are those that the change brings.
	Findings []federation.Finding
	// Lasting says that there is no plan for a reason that the two commits alone are.
	Lasting bool
	// Moved says that the head is another by now, or will be: nothing is told of it.
	Moved  bool
	Claims Claims
}

// Of gives what matters of a plan that was made by the facts. The earlier one of the same
// head may be zero.
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

// text gives a plan without the commit of its base: a push that changes nothing of what the
// plan says must not change a comment on each pull request.
func text(p *plan.Plan) string {
	its := *p
	its.Base.SHA = ""
	return its.Markdown(textBytes)
}

// textBytes leaves room in a comment for what is said of other pull requests.
const textBytes = plan.CommentBytes - 4<<10

// Not gives what is known of a head that could not be planned.
func Not(head, tip string, why untrusted.Text, lasting bool, at time.Time) Made {
	return Made{Head: head, Tip: tip, At: at, Summary: why, Lasting: lasting}
}

// wanted are the pull requests that are planned, the newest first. One from another
// repository whose head is that of another says nothing against that.
func (s State) wanted() []status.PullRequest {
	var all []status.PullRequest
	for _, pr := range s.Open {
		if (!pr.Fork || s.Forks) && len(all) < Most {
			all = append(all, pr)
		}
	}
	return all
}
