package review

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/markdown"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/status"
)

// mostPending is how many heads that wait for their first plan are told so: each costs two
// posts where one would do.
const mostPending = 20

// mostRefused is how many heads from other repositories are told that they are not planned:
// anybody may open thousands of them.
const mostRefused = 50

// Statuses gives the status that each head should have, without a context: the newest
// first. A head that has none here keeps what it has.
func (s State) Statuses() []status.Commit {
	clashes := s.Clashes()
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
			all = append(all, status.Commit{SHA: pr.Head, State: status.Pending, Description: "not planned: it comes from another repository, and fedsync's operator did not turn these on"})
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

// status is that of a head of which there is a plan, or a reason why not.
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

// unsure is the state of a plan that could not be checked everywhere.
func (s State) unsure(m Made) status.State {
	switch {
	case s.Unknown == Pass:
		return status.Success
	case s.Unknown == Fail, s.Now.Sub(m.Unsure) >= s.Deadline:
		return status.Failure
	}
	return status.Pending
}

// Comments gives what is to stand in the comment of each pull request that was planned, by
// number: nothing where there is nothing to say. One that is missing is left as it is.
func (s State) Comments() map[int64]string {
	clashes := s.Clashes()
	all := map[int64]string{}
	for _, pr := range s.wanted() {
		m, made := s.Made[pr.Head]
		if made && !m.Moved {
			all[pr.Number] = m.comment(clashes[pr.Number])
		}
	}
	return all
}

// Texts gives what the check of each head that was planned shows: what the comments say,
// and the plan where these have nothing to say.
func (s State) Texts() map[string]string {
	clashes := s.Clashes()
	all := map[string]string{}
	for _, pr := range s.wanted() {
		if m, made := s.Made[pr.Head]; made && !m.Moved {
			all[pr.Head] = cmp.Or(m.comment(clashes[pr.Number]), m.Text)
		}
	}
	return all
}

// Page gives the plan as it is, or why there is none.
func (m Made) Page() string {
	if m.Verdict == "" {
		return "cannot be planned: " + m.Summary.String() + "\n"
	}
	return m.Text
}

func (m Made) comment(clashes []Clash) string {
	var b strings.Builder
	switch {
	case m.Verdict == "":
		fmt.Fprintf(&b, "### ❌ fedsync plan: cannot be planned\n\n%s\n", markdown.Inline(m.Summary.String()))
	case m.Verdict != plan.Same || len(clashes) > 0:
		b.WriteString(m.Text)
	}
	if len(clashes) > 0 {
		b.WriteString("\n**Beside other open pull requests**\n\n")
	}
	for _, c := range clashes {
		fmt.Fprintf(&b, "- ⚠️ clashes with #%d: %s\n", c.With, markdown.Inline(c.What))
	}
	return b.String()
}
