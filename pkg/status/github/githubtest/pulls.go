package githubtest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// pull is a pull request.
type pull struct {
	number       int64
	title        string
	branch, base string // of this repository
	fork         bool   // its branch represents one of a fork
	head         string
	state        string // "open" or "closed"
	merged       bool
	queued       string // the commit that the merge queue created for it; empty outside a queue
	changes      int64  // grows with every change
	at           time.Time
}

// Pull is the state of a pull request.
type Pull struct {
	Head   string
	Open   bool
	Merged bool
	Queued string // the head of its branch in the merge queue; empty outside a queue
}

// OpenPull opens a pull request from a branch into another, and returns its number.
func (s *Server) OpenPull(title, branch, base string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openPull(title, branch, base)
}

// OpenForkPull opens a pull request whose branch represents one of a fork.
func (s *Server) OpenForkPull(title, branch, base string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number, err := s.openPull(title, branch, base)
	if err == nil {
		s.pull(number).fork = true
	}
	return number, err
}

// ClosePull closes a pull request without merging it.
func (s *Server) ClosePull(number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pull(number); p != nil {
		p.state = "closed"
		s.changed(p)
	}
}

// Pull returns a pull request, as it is now.
func (s *Server) Pull(number int64) Pull {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync()
	p := s.pull(number)
	if p == nil {
		return Pull{}
	}
	return Pull{Head: p.head, Open: p.state == "open", Merged: p.merged, Queued: p.queued}
}

func (s *Server) openPull(title, branch, base string) (int64, error) {
	refs := s.refs()
	if refs["refs/heads/"+branch] == "" || refs["refs/heads/"+base] == "" {
		return 0, errors.New("no such branch")
	}
	p := &pull{number: int64(len(s.pulls)) + 1, title: title, branch: branch, base: base, state: "open"}
	s.pulls = append(s.pulls, p)
	return p.number, s.follow(p, refs)
}

func (s *Server) pull(number int64) *pull {
	for _, p := range s.pulls {
		if p.number == number {
			return p
		}
	}
	return nil
}

func (s *Server) changed(p *pull) { p.changes, p.at = s.next(), time.Now().UTC() }

// sync applies pushes: the heads of open pull requests move, and a pull request that was
// pushed to leaves the queue.
func (s *Server) sync() {
	var heads map[string]string
	for _, p := range s.pulls {
		if p.state != "open" {
			continue
		}
		if heads == nil {
			heads = s.refs()
		}
		_ = s.follow(p, heads) // the next request tries again
	}
}

// follow sets the head of a pull request to that of its branch among the refs.
func (s *Server) follow(p *pull, refs map[string]string) error {
	head := refs["refs/heads/"+p.branch]
	if head == "" || head == p.head {
		return nil
	}
	if err := s.writeRef(fmt.Sprintf("refs/pull/%d/head", p.number), head); err != nil {
		return err
	}
	p.head = head
	s.changed(p)
	s.leave(p)
	return nil
}

func (s *Server) listPulls(q *request) {
	values := q.URL.Query()
	var found []*pull
	for _, p := range s.pulls {
		state := values.Get("state")
		if state != "all" && p.state != orElse(state, "open") || values.Has("base") && values.Get("base") != p.base {
			continue
		}
		found = append(found, p)
	}
	by := func(p *pull) int64 { return p.number }
	if values.Get("sort") == "updated" {
		by = func(p *pull) int64 { return p.changes }
	}
	slices.SortFunc(found, func(a, b *pull) int { return int(by(a) - by(b)) })
	if values.Get("direction") == "desc" || values.Get("direction") == "" && values.Get("sort") != "updated" {
		slices.Reverse(found)
	}
	list(q, found, func(p *pull) any { return p.show() }, plainly)
}

func (p *pull) show() object {
	repository := object{"id": repoID}
	head := object{"ref": p.branch, "sha": p.head, "repo": repository}
	if p.fork {
		head["repo"] = object{"id": repoID + 1}
	}
	return object{
		"number": p.number, "title": p.title, "state": p.state, "updated_at": p.at, "head": head,
		"base": object{"ref": p.base, "repo": repository}, "user": object{"login": "ada"}, "merged": p.merged,
	}
}

func (s *Server) postPull(q *request) {
	var body struct {
		Title string `json:"title"`
		Head  string `json:"head"`
		Base  string `json:"base"`
		Body  string `json:"body"`
	}
	if !q.may("pull_requests") || !q.read(&body) || !s.creates(q) {
		return
	}
	number, err := s.openPull(body.Title, body.Head, body.Base)
	if err != nil {
		q.invalid("PullRequest", "head", "is invalid")
		return
	}
	write(q.w, http.StatusCreated, s.pull(number).show())
}

func (s *Server) listRefs(q *request) {
	var found [][2]string
	refs := s.refs()
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		if strings.HasPrefix(name, "refs/"+q.PathValue("ref")) {
			found = append(found, [2]string{name, refs[name]})
		}
	}
	list(q, found, func(ref [2]string) any {
		return object{"ref": ref[0], "object": object{"type": "commit", "sha": ref[1]}}
	}, plainly)
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
