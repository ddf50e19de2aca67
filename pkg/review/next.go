package review

import (
	"cmp"
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/status"
)

// When a plan is made again without a visible reason.
const (
	retryUnmade = 20 * time.Second // the plan could not be made
	retryUnsure = time.Minute      // a cluster could not be queried
	retryFailed = 10 * time.Minute // a cluster may give another answer by then
	factsPause  = 5 * time.Second  // between two plans of a head whose facts change
	slow        = 5 * time.Second  // a plan that takes longer does not delay others
)

// urgency is why a head is to be planned; the lowest value goes first.
type urgency int

const (
	isNew     urgency = iota // it has no plan yet
	isBehind                 // it was planned for another tip
	isDoubted                // the clusters report something else
	isRetried                // it is time to try again
	isSlow                   // it has one of these reasons except new, and took long
	isFine
)

// Next returns the heads whose plan is to be started now, the most urgent first, the heads
// whose running plan is useless, and when to call Next again. A zero time means not before
// the next event.
func (s State) Next() (begin []status.PullRequest, stop []string, again time.Time) {
	if s.Tip == "" {
		return nil, s.useless(nil), time.Time{}
	}
	type due struct {
		status.PullRequest
		urgency
	}
	var all []due
	heads := map[string]bool{}
	facts := digests{facts: s.Facts}
	for _, pr := range s.wanted() {
		if heads[pr.Head] {
			continue // it is planned for another pull request
		}
		heads[pr.Head] = true
		why, at := s.judge(pr.Head, &facts)
		if !at.IsZero() && (again.IsZero() || at.Before(again)) {
			again = at
		}
		if _, doing := s.Doing[pr.Head]; why != isFine && !doing {
			all = append(all, due{pr, why})
		}
	}
	stop = s.useless(heads)
	// Of the heads that have a plan, the one with the oldest plan comes first. If it were the
	// newest pull request, frequent pushes to the base would starve the others.
	slices.SortStableFunc(all, func(a, b due) int {
		return cmp.Or(cmp.Compare(a.urgency, b.urgency), s.Made[a.Head].At.Compare(s.Made[b.Head].At))
	})
	// Only one plan is made again at a time, and one slow plan in addition. There are hundreds
	// of them after each push, and fetching for all of them would delay the forge's answers
	// about the next push and about new pull requests.
	free, busy := AtATime-len(s.Doing), map[bool]bool{} // by whether it is slow
	for head := range s.Doing {
		if m, made := s.Made[head]; made {
			busy[m.Took > slow] = true
		}
	}
	for _, d := range all {
		if len(begin) >= free {
			break
		}
		if d.urgency != isNew {
			if busy[d.urgency == isSlow] {
				continue
			}
			busy[d.urgency == isSlow] = true
		}
		begin = append(begin, d.PullRequest)
	}
	return begin, stop, again
}

// useless returns the heads whose running plan is useless: it is for another tip, or the head
// is no longer proposed.
func (s State) useless(heads map[string]bool) []string {
	var all []string
	for head, tip := range s.Doing {
		if tip != s.Tip || !heads[head] {
			all = append(all, head)
		}
	}
	slices.Sort(all)
	return all
}

// judge returns why a head is to be planned now, or when to check it again.
func (s State) judge(head string, facts *digests) (urgency, time.Time) {
	m, made := s.Made[head]
	if !made {
		return isNew, time.Time{}
	}
	why, at := isFine, time.Time{}
	wait := func(reason urgency, pause time.Duration) {
		if until := m.At.Add(pause); until.After(s.Now) {
			at = until
		} else {
			why = reason
		}
	}
	switch {
	case m.Tip != s.Tip:
		why = isBehind
	case m.Verdict == "" && m.Lasting:
	case m.Verdict == "":
		wait(isRetried, max(retryUnmade, 4*m.Took))
	case facts.of(m.Claims) != m.Facts:
		wait(isDoubted, factsPause)
	case m.Verdict == plan.Unsure:
		wait(isRetried, retryUnsure)
	case m.Verdict == plan.Fails:
		wait(isRetried, retryFailed)
	}
	if why != isFine && m.Took > slow {
		why = isSlow
	}
	return why, at
}
