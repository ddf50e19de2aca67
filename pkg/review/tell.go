package review

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/markdown"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/status"
)

// mostPending is how many heads that wait for their first plan get a pending status: each
// costs an additional post.
const mostPending = 20

// mostRefused is how many heads from other repositories get a status that they are not
// planned: anybody may open thousands of them.
const mostRefused = 50

// Told is what is posted about the open pull requests.
type Told struct {
	// Statuses are the statuses that the heads should have, without a context, the newest
	// first. A head without one keeps its status.
	Statuses []status.Commit
	// Comments are the comments on planned pull requests, by number. The comment on a
	// pull request without one stays unchanged.
	Comments map[int64]Comment
	// Checks are what the check of each planned head shows.
	Checks map[string]Comment
}

// Tell returns what is to be posted about the open pull requests.
func (s State) Tell() Told {
	clashes := s.Clashes()
	told := Told{Statuses: s.statuses(clashes), Comments: map[int64]Comment{}, Checks: map[string]Comment{}}
	for _, pr := range s.wanted() {
		m, made := s.Made[pr.Head]
		if made && !m.Moved {
			c := Comment{m, clashes[pr.Number]}
			told.Comments[pr.Number], told.Checks[pr.Head] = c, c
		}
	}
	return told
}

func (s State) statuses(clashes map[int64][]Clash) []status.Commit {
	numbers := map[string][]int64{}
	for _, pr := range s.wanted() {
		numbers[pr.Head] = append(numbers[pr.Head], pr.Number)
	}
	var all []status.Commit
	seen := map[string]bool{}
	pending, refused := 0, 0
	for _, pr := range s.Open {
		if seen[pr.Head] {
			continue
		}
		seen[pr.Head] = true
		these := numbers[pr.Head]
		m, made := s.Made[pr.Head]
		switch {
		case len(these) == 0 && pr.Fork && !s.Forks && refused < mostRefused:
			refused++
			all = append(all, status.Commit{SHA: pr.Head, State: status.Pending, Description: "not planned: it comes from another repository, and fedsync's operator did not allow these"})
		case len(these) == 0:
		case made && !m.Moved:
			all = append(all, s.status(m, these, clashes))
		case pending < mostPending:
			pending++
			all = append(all, status.Commit{SHA: pr.Head, State: status.Pending, Description: "being planned"})
		}
	}
	return all
}

// status returns the status of a head that has a plan, or a reason for having none.
func (s State) status(m Made, numbers []int64, clashes map[int64][]Clash) status.Commit {
	c := status.Commit{SHA: m.Head, Description: m.Summary.String()}
	switch m.Verdict {
	case plan.Same, plan.Changes:
		c.State = status.Success
	case plan.Unsure:
		c.State = s.unsure(m)
	case plan.Fails:
		c.State = status.Failure
	default:
		c.State, c.Description = status.Failure, "cannot be planned: "+c.Description
	}
	slices.Sort(numbers)
	var these []Clash
	for _, n := range numbers {
		these = append(these, clashes[n]...)
	}
	if words := told(these); words != "" {
		c.Description = words + "; " + c.Description
	}
	if len(numbers) > 1 {
		c.Description = untrusted.Some(named(numbers), 4) + ": " + c.Description
	}
	return c
}

func named(numbers []int64) []string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = fmt.Sprintf("#%d", n)
	}
	return words
}

// unsure returns the state of a plan that could not be checked everywhere.
func (s State) unsure(m Made) status.State {
	switch {
	case s.Unknown == Pass:
		return status.Success
	case s.Unknown == Fail, s.Now.Sub(m.Unsure) >= s.Deadline:
		return status.Failure
	}
	return status.Pending
}

// Comment is the content of the comment on a pull request. It is cheap to create and to
// compare; its text is rendered on demand.
type Comment struct {
	made    Made
	clashes []Clash
}

// Digest identifies the text without rendering it.
func (c Comment) Digest() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %x", c.made.Verdict, c.made.Summary.String(), c.made.sum)
	for _, clash := range c.clashes {
		fmt.Fprintf(h, " %q", clash.String())
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Page returns the plan, or why there is none.
func (m Made) Page() string {
	if m.Verdict == "" {
		return "cannot be planned: " + m.Summary.String() + "\n"
	}
	return m.Text + fmt.Sprintf("\nPlanned at %s, for the base %.7s.\n", m.At.UTC().Format(time.RFC3339), m.Tip)
}

// Check returns what the check of the head shows: the text of the comment, or the plan if
// that is empty.
func (c Comment) Check() string { return cmp.Or(c.Text(), c.made.Text) }

// Findings returns the findings that the change adds.
func (c Comment) Findings() []federation.Finding { return c.made.Findings }

// Text returns the text of the comment; empty if there is nothing to report.
func (c Comment) Text() string {
	var b strings.Builder
	switch {
	case c.made.Verdict == "":
		fmt.Fprintf(&b, "### ❌ fedsync plan: cannot be planned\n\n%s\n", markdown.Inline(c.made.Summary.String()))
	case c.made.Verdict != plan.Same || len(c.clashes) > 0:
		b.WriteString(c.made.Text)
	}
	if len(c.clashes) > 0 {
		b.WriteString("\n**Conflicts with other open pull requests**\n\n")
	}
	for _, clash := range c.clashes {
		fmt.Fprintf(&b, "- ⚠️ clashes with #%d: %s\n", clash.With, markdown.Inline(clash.What))
	}
	return b.String()
}
