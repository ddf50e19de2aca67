package githubtest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// Protection is the protection of a branch.
type Protection struct {
	// Required are the statuses and checks that must succeed. If there is a status and a
	// check of one name, both must.
	Required []Required
	// Queue allows merges only through the merge queue.
	Queue bool
}

// Required is one status or check.
type Required struct {
	Context string
	App     int64 // the only one that may post it; 0 for any account
}

// Protect sets the protection of a branch.
func (s *Server) Protect(branch string, p Protection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules[branch] = p
}

// lacking returns what prevents a commit from being merged; empty for nothing. failed
// reports that waiting does not help.
func (s *Server) lacking(sha string, p Protection) (words string, failed bool) {
	for _, r := range p.Required {
		switch s.stateOf(sha, r) {
		case "success":
		case "":
			return fmt.Sprintf("Required status check %q is expected.", r.Context), false
		case "pending":
			return fmt.Sprintf("Required status check %q is pending.", r.Context), false
		default:
			return fmt.Sprintf("Required status check %q is failing.", r.Context), true
		}
	}
	return "", false
}

// stateOf returns the worst of the newest status and the newest check of a name.
func (s *Server) stateOf(sha string, r Required) string {
	state := ""
	if all := s.statusesOf(sha, r.Context); len(all) > 0 && r.App == 0 {
		state = all[len(all)-1].State
	}
	check := ""
	for _, c := range s.checks {
		if c.SHA != sha || c.Name != r.Context || r.App != 0 && c.App != r.App {
			continue
		}
		switch {
		case c.Status != "completed":
			check = "pending"
		case c.Conclusion == "success", c.Conclusion == "neutral", c.Conclusion == "skipped":
			check = "success"
		default:
			check = "failure"
		}
	}
	if state == "" || state == "success" && check != "" {
		return check
	}
	return state
}

// Merge merges a pull request, as its button does.
func (s *Server) Merge(number int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync()
	p := s.pull(number)
	if p == nil {
		return errors.New("Not Found") //nolint:staticcheck // GitHub's words.
	}
	_, err := s.merge(p)
	return err
}

func (s *Server) merge(p *pull) (string, error) {
	rules := s.rules[p.base]
	if p.state != "open" {
		return "", errors.New("Pull Request is not mergeable")
	}
	if rules.Queue {
		return "", errors.New("Changes must be made through the merge queue") //nolint:staticcheck // GitHub's words.
	}
	if words, _ := s.lacking(p.head, rules); words != "" {
		return "", errors.New(words)
	}
	sha, err := s.merged(s.tip("refs/heads/"+p.base), p.head, fmt.Sprintf("Merge pull request #%d", p.number))
	if err == nil {
		_, err = s.git("update-ref", "refs/heads/"+p.base, sha)
	}
	if err != nil {
		return "", errors.New("Pull Request is not mergeable")
	}
	p.state, p.merged = "closed", true
	s.changed(p)
	return sha, nil
}

func (s *Server) mergePull(q *request) {
	number, _ := strconv.ParseInt(q.PathValue("number"), 10, 64)
	p := s.pull(number)
	if p == nil {
		q.refuse(http.StatusNotFound, "Not Found")
		return
	}
	if !q.may("contents") {
		return
	}
	sha, err := s.merge(p)
	if err != nil {
		q.refuse(http.StatusMethodNotAllowed, err.Error())
		return
	}
	write(q.w, http.StatusOK, object{"sha": sha, "merged": true, "message": "Pull Request successfully merged"})
}

// Enqueue adds a pull request to the merge queue of its branch. The required checks must
// have passed for its head. The queue creates the merge on a branch of its own, and
// brings it in when the required checks have succeeded there too.
func (s *Server) Enqueue(number int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync()
	p := s.pull(number)
	if p == nil || p.state != "open" || p.queued != "" || !s.rules[p.base].Queue {
		return errors.New("it cannot be queued")
	}
	if words, _ := s.lacking(p.head, s.rules[p.base]); words != "" {
		return errors.New(words)
	}
	base := s.tip("refs/heads/" + p.base)
	sha, err := s.merged(base, p.head, fmt.Sprintf("Merge pull request #%d", p.number))
	if err == nil {
		_, err = s.git("update-ref", p.queueRef(base), sha)
	}
	if err != nil {
		return err
	}
	p.queued = sha
	s.changed(p)
	return nil
}

// queueRef returns the branch that the queue creates for a pull request.
func (p *pull) queueRef(base string) string {
	return fmt.Sprintf("refs/heads/gh-readonly-queue/%s/pr-%d-%s", p.base, p.number, base)
}

// settle advances the queue: what succeeded is merged, what failed leaves.
func (s *Server) settle() {
	for _, p := range s.pulls {
		if p.queued == "" {
			continue
		}
		words, failed := s.lacking(p.queued, s.rules[p.base])
		switch {
		case failed:
			s.leave(p)
		case words == "":
			s.bringIn(p)
		}
	}
}

// bringIn sets the branch to the queue's merge. If the branch has moved since, the pull
// request leaves the queue.
func (s *Server) bringIn(p *pull) {
	base := s.tip(p.queued + "^1")
	if _, err := s.git("update-ref", "refs/heads/"+p.base, p.queued, base); err != nil {
		s.leave(p)
		return
	}
	s.leave(p)
	p.state, p.merged = "closed", true
}

// leave removes a pull request from the queue.
func (s *Server) leave(p *pull) {
	if p.queued == "" {
		return
	}
	_, _ = s.git("update-ref", "-d", p.queueRef(s.tip(p.queued+"^1"))) // it may be gone
	p.queued = ""
	s.changed(p)
}
