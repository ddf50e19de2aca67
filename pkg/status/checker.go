package status

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"
)

// Prober is implemented by providers that can tell, without writing anything, whether
// the forge accepts the credential and allows it what the provider does.
type Prober interface {
	Provider

	// Probe returns nil where all is well. An error that wraps ErrUnauthorized names the
	// permission that the credential lacks; any other says nothing about it, as where
	// the forge does not answer. Like all errors of a provider it holds no credential.
	Probe(ctx context.Context) error
}

// Checker is implemented by providers of forges where a status can have a text and
// annotations: GitHub's check runs.
type Checker interface {
	Provider

	// PostCheck is Post with the details of the status. It is as safe to repeat.
	PostCheck(ctx context.Context, c Commit, details Details) error
}

// Details are what a forge shows to somebody who opens a status.
type Details struct {
	// Summary is Markdown of at most SummaryBytes. What others wrote is harmless in it.
	Summary     string
	Annotations []Annotation // the most severe first
}

// SummaryBytes bounds the summary of Details: GitHub takes 65,535 characters.
const SummaryBytes = 65_535

// Annotation is a remark on a line of a file in the repository.
type Annotation struct {
	File    string // within the repository
	Line    int    // from 1
	Level   Level
	Title   string // a few words
	Message string
}

// Level is how much an annotation matters.
type Level string

// The levels.
const (
	LevelError   Level = "error"
	LevelWarning Level = "warning"
	LevelNote    Level = "note"
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
func (p *Poster) details(commits []Commit) Details {
	if !p.shows() || len(commits) != 1 {
		return Details{}
	}
	return p.options.Details(commits[0])
}

// shows reports whether the forge shows details.
func (p *Poster) shows() bool {
	_, ok := p.provider.(Checker)
	return ok && p.options.Details != nil
}

// compareDetails finds the statuses that are posted as they are wanted and whose details
// are others by now.
func (p *Poster) compareDetails(now time.Time) {
	if !p.shows() {
		return
	}
	var due []Commit
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
func (p *Poster) sent(commits []Commit, details Details) {
	if !p.shows() || len(commits) != 1 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[key{commits[0].SHA, commits[0].Context}]; e != nil {
		e.shown.digest, e.shown.changed, e.shown.looked = digestOf(details), false, time.Now()
	}
}

func digestOf(d Details) [sha256.Size]byte {
	data, _ := json.Marshal(d) // plain values always encode
	return sha256.Sum256(data)
}
