package post

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// detailsPause is the least time between two posts of a status that change its details
// alone.
const detailsPause = time.Minute

// shown is what a status shows beyond its words.
type shown struct {
	digest  [sha256.Size]byte // of the details that were posted; zero where they are not known
	asked   bool              // the status was wanted again since they were looked at
	changed bool              // they are others by now
	looked  time.Time
	posts   int // since the state changed that changed only details
}

// lookAt is when the details are looked at again.
func (s *shown) lookAt(posted time.Time) time.Time {
	return latest(posted, s.looked).Add(max(detailsPause, pauseOfWords(s.posts)))
}

// details returns what is to be shown with statuses; nothing where the forge shows none.
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

// compareDetails finds the statuses that are posted as they are wanted and whose details
// are others by now.
func (p *Poster) compareDetails(now time.Time) {
	if !p.shows() {
		return
	}
	var due []status.Commit
	p.mu.Lock()
	for _, e := range p.entries {
		if e.keepsWords() && e.shown.asked && !e.shown.lookAt(e.postedAt).After(now) {
			e.shown.asked, e.shown.looked = false, now
			due = append(due, e.want)
		}
	}
	p.mu.Unlock()
	for _, c := range due {
		details := p.options.Details(c)
		if details.Summary == "" {
			continue // nobody knows them now
		}
		digest := digestOf(details)
		p.mu.Lock()
		if e := p.entries[key{c.SHA, c.Context}]; e != nil {
			e.shown.compare(digest)
		}
		p.mu.Unlock()
	}
}

// compare takes the details of now. Those that an earlier process has posted are taken to
// be the same.
func (s *shown) compare(digest [sha256.Size]byte) {
	if s.digest == ([sha256.Size]byte{}) {
		s.digest = digest
	}
	s.changed = s.digest != digest
}

// sent notes the details that were posted with a status.
func (p *Poster) sent(commits []status.Commit, details status.Details) {
	if !p.shows() || len(commits) != 1 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[key{commits[0].SHA, commits[0].Context}]; e != nil {
		e.shown.digest, e.shown.changed, e.shown.looked = digestOf(details), false, time.Now()
	}
}

func digestOf(d status.Details) [sha256.Size]byte {
	data, _ := json.Marshal(d) // plain values always encode
	return sha256.Sum256(data)
}
