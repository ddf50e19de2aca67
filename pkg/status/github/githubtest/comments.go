package githubtest

import (
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Comment is a comment on a pull request.
type Comment struct {
	ID     int64
	Pull   int64
	Author string
	Body   string
	Edits  int // how often it was edited

	app int64
}

// AddComment adds an account's comment.
func (s *Server) AddComment(pull int64, author, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.comments = append(s.comments, &Comment{ID: s.next(), Pull: pull, Author: author, Body: body})
}

// Comments returns the comments on a pull request, oldest first.
func (s *Server) Comments(pull int64) []Comment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Comment
	for _, c := range s.comments {
		if c.Pull == pull {
			found = append(found, *c)
		}
	}
	return found
}

func (c *Comment) show() any {
	shown := object{
		"id": c.ID, "body": c.Body, "user": object{"login": c.Author, "id": accountNumber(c.Author), "type": "User"},
		"performed_via_github_app": nil,
	}
	if c.app != 0 {
		shown["user"] = object{"login": c.Author, "id": accountNumber(c.Author), "type": "Bot"}
		shown["performed_via_github_app"] = object{"id": c.app}
	}
	return shown
}

func (s *Server) listComments(q *request) {
	number, _ := strconv.ParseInt(q.PathValue("number"), 10, 64)
	if s.pull(number) == nil {
		q.refuse(http.StatusNotFound, "Not Found")
		return
	}
	var found []*Comment
	for _, c := range s.comments {
		if c.Pull == number {
			found = append(found, c)
		}
	}
	list(q, found, (*Comment).show, plainly)
}

// comment reads the body of a comment, and answers if it is refused.
func (s *Server) comment(q *request) (string, bool) {
	var body struct {
		Body string `json:"body"`
	}
	if !q.may("pull_requests") || !q.read(&body) {
		return "", false
	}
	if body.Body == "" || utf8.RuneCountInString(body.Body) > 65_536 {
		q.invalid("IssueComment", "body", "body is too long (maximum is 65536 characters), or blank")
		return "", false
	}
	return body.Body, true
}

func (s *Server) postComment(q *request) {
	number, _ := strconv.ParseInt(q.PathValue("number"), 10, 64)
	p := s.pull(number)
	if p == nil {
		q.refuse(http.StatusNotFound, "Not Found")
		return
	}
	body, ok := s.comment(q)
	if !ok || !s.creates(q) {
		return
	}
	c := &Comment{ID: s.next(), Pull: number, Author: q.by.login, Body: body}
	if q.by.app != nil {
		c.app = q.by.app.ID
	}
	s.comments = append(s.comments, c)
	s.changed(p)
	write(q.w, http.StatusCreated, c.show())
}

// own returns the comment of a request, which the caller must have written.
func (s *Server) own(q *request) *Comment {
	id, _ := strconv.ParseInt(q.PathValue("id"), 10, 64)
	for _, c := range s.comments {
		if c.ID != id {
			continue
		}
		if c.Author == q.by.login && q.may("pull_requests") {
			return c
		}
		if c.Author != q.by.login {
			q.refuse(http.StatusForbidden, "Must have admin rights to Repository.")
		}
		return nil
	}
	q.refuse(http.StatusNotFound, "Not Found")
	return nil
}

func (s *Server) patchComment(q *request) {
	c := s.own(q)
	if c == nil {
		return
	}
	body, ok := s.comment(q)
	if !ok {
		return
	}
	c.Body = body
	c.Edits++
	s.changed(s.pull(c.Pull))
	write(q.w, http.StatusOK, c.show())
}

func (s *Server) deleteComment(q *request) {
	c := s.own(q)
	if c == nil {
		return
	}
	s.comments = slices.DeleteFunc(s.comments, func(other *Comment) bool { return other == c })
	s.changed(s.pull(c.Pull))
	q.w.WriteHeader(http.StatusNoContent)
}
