package review

import (
	"cmp"
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/status"
)

// When a plan is made again for no reason that can be seen from here.
const (
	retryUnmade = 20 * time.Second // nothing came of it
	retryUnsure = time.Minute      // a cluster could not be asked
	retryFailed = 10 * time.Minute // a cluster may say something else by now
	factsPause  = 5 * time.Second  // between two plans of a head whose facts change
	slow        = 5 * time.Second  // a plan that takes longer keeps no other waiting
)

// urgency says why a head is to be planned; the lowest goes first.
type urgency int

const (
	isNew     urgency = iota // nobody knows what it does
	isBehind                 // it was planned for another tip
	isDoubted                // the clusters report something else
	isRetried                // it is time to ask again
	isSlow                   // it is any of these but new, and took long
	isFine
)

// Next gives the heads of which a plan is to be begun now, the most urgent first, those of
// which one is being made for nothing, and when to ask again; zero where only an event
// changes anything.
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
			continue // it is planned for another one
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
	// Of those that were planned, the one whose plan is the oldest: were it the newest pull
	// request, a base that is pushed often would leave the others behind for good.
	slices.SortStableFunc(all, func(a, b due) int {
		return cmp.Or(cmp.Compare(a.urgency, b.urgency), s.Made[a.Head].At.Compare(s.Made[b.Head].At))
	})
	// Of those that were planned one is made again at a time, and one of the slow beside it:
	// they are hundreds after each push, and what is fetched for them keeps the forge from
	// the next push and from new pull requests.
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

// useless are the heads of which a plan is being made that is of no use: for another tip,
// or of a head that nobody proposes any more.
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

// judge says why a head is to be planned now, or when it is to be looked at again.
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
