package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is a posted commit status.
type Status struct {
	ID                              int64
	SHA, Context, State             string
	Description, TargetURL, Creator string
	At                              time.Time
}

// Statuses returns the statuses of a commit under a context, newest last.
func (s *Server) Statuses(sha, context string) []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.statusesOf(sha, context)
}

// Fill adds as many statuses of a context to a commit as it can have.
func (s *Server) Fill(sha, context string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range StatusesOfOne {
		s.statuses = append(s.statuses, Status{ID: s.next(), SHA: sha, Context: context, State: "pending", At: time.Now().UTC().Truncate(time.Second)})
	}
}

func (s *Server) statusesOf(sha, context string) []Status {
	var found []Status
	for _, one := range s.statuses {
		if one.SHA == sha && strings.EqualFold(one.Context, context) {
			found = append(found, one)
		}
	}
	return found
}

func (s *Server) postStatus(q *request) {
	sha := q.PathValue("sha")
	if !q.may("statuses") {
		return
	}
	var body struct {
		State       string  `json:"state"`
		TargetURL   *string `json:"target_url"`
		Description *string `json:"description"`
		Context     *string `json:"context"`
	}
	if !q.read(&body) {
		return
	}
	if !s.hasCommit(sha) {
		q.unknownCommit(sha)
		return
	}
	one := Status{SHA: sha, State: body.State, Context: "default", Creator: q.by.login, At: time.Now().UTC().Truncate(time.Second)}
	if body.Context != nil {
		one.Context = *body.Context
	}
	if body.Description != nil {
		one.Description = *body.Description
	}
	if body.TargetURL != nil {
		one.TargetURL = *body.TargetURL
		if !isWeb(one.TargetURL) {
			q.invalid("Status", "target_url", "target_url must use http(s) scheme")
			return
		}
	}
	switch {
	case !slices.Contains([]string{"error", "failure", "pending", "success"}, one.State):
		q.invalid("Status", "state", "state is not included in the list")
	case utf8.RuneCountInString(one.Description) > 140:
		q.invalid("Status", "description", "description is too long (maximum is 140 characters)")
	case utf8.RuneCountInString(one.Context) > 255:
		q.invalid("Status", "context", "context is too long (maximum is 255 characters)")
	case len(s.statusesOf(sha, one.Context)) >= StatusesOfOne:
		q.invalid("Status", "base", "This SHA and context has reached the maximum number of statuses.")
	case s.creates(q):
		one.ID = s.next()
		s.statuses = append(s.statuses, one)
		write(q.w, http.StatusCreated, one.show())
	}
}

func isWeb(url string) bool {
	return strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://")
}

func (s *Server) listStatuses(q *request) {
	sha := q.PathValue("sha")
	if !s.hasCommit(sha) {
		q.unknownCommit(sha)
		return
	}
	var found []Status
	for _, one := range slices.Backward(s.statuses) {
		if one.SHA == sha {
			found = append(found, one)
		}
	}
	list(q, found, func(one Status) any { return one.show() }, plainly)
}

func (one Status) show() object {
	shown := object{
		"id": one.ID, "url": fmt.Sprintf("https://github.example/statuses/%d", one.ID), "state": one.State, "description": one.Description,
		"target_url": nil, "context": one.Context, "created_at": one.At, "updated_at": one.At, "creator": object{"login": one.Creator},
	}
	if one.TargetURL != "" {
		shown["target_url"] = one.TargetURL
	}
	return shown
}
