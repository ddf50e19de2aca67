package post

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// detailsPause is the shortest time between two posts of a status that change only its
// details.
const detailsPause = time.Minute

// shown tracks the details that a status shows beyond its description.
type shown struct {
	digest   [sha256.Size]byte // of the posted details; zero if unknown
	asked    bool              // the status was wanted again since they were compared
	changed  bool              // they differ now
	compared time.Time
	posts    int // that changed only details, since the state changed
}

// compareAt returns when the details are compared again.
func (s *shown) compareAt(posted time.Time) time.Time {
	return latest(posted, s.compared).Add(max(detailsPause, pauseOfWords(s.posts)))
}

// details returns the details of statuses; nothing if the forge shows none.
func (p *Poster) details(commits []status.Commit) status.Details {
	if !p.shows() || len(commits) != 1 {
		return status.Details{}
	}
	return p.options.Details(commits[0])
}

// shows reports whether the forge shows details.
func (p *Poster) shows() bool {
	_, ok := p.provider.(status.Checker)
	return ok && p.options.Details != nil
}

// compareDetails finds the statuses that are posted as wanted but whose details have
// changed.
func (p *Poster) compareDetails(now time.Time) {
	if !p.shows() {
		return
	}
	var due []status.Commit
	p.mu.Lock()
	for _, e := range p.entries {
		if e.isPosted() && e.shown.asked && !e.shown.compareAt(e.postedAt).After(now) {
			e.shown.asked, e.shown.compared = false, now
			due = append(due, e.want)
		}
	}
	p.mu.Unlock()
	for _, c := range due {
		details := p.options.Details(c)
		if details.Summary == "" {
			continue // they are unknown now
		}
		digest := digestOf(details)
		p.mu.Lock()
		if e := p.entries[key{c.SHA, c.Context}]; e != nil {
			e.shown.compare(digest)
		}
		p.mu.Unlock()
	}
}

// compare compares the current details with the posted ones. Those that an earlier
// process posted are assumed to be the same.
func (s *shown) compare(digest [sha256.Size]byte) {
	if s.digest == ([sha256.Size]byte{}) {
		s.digest = digest
	}
	s.changed = s.digest != digest
}

// sent records the details that were posted with a status.
func (p *Poster) sent(commits []status.Commit, details status.Details) {
	if !p.shows() || len(commits) != 1 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[key{commits[0].SHA, commits[0].Context}]; e != nil {
		e.shown.digest, e.shown.changed, e.shown.compared = digestOf(details), false, time.Now()
	}
}

func digestOf(d status.Details) [sha256.Size]byte {
	data, _ := json.Marshal(d) // plain values always encode
	return sha256.Sum256(data)
}
