package web

import (
	"io"
	"net/http"
)

// servePlan shows the plan of a pull request as the text that it is. All who read one
// share its bytes.
func (s *server) servePlan(w http.ResponseWriter, r *http.Request) {
	text, ok := s.opts.Plan(r.PathValue("sha"))
	if !ok {
		s.serveNotFound(w, r, "There is no plan of this commit: only heads of open pull requests have one, and it may still be made.", true)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // it is made anew
	// A reader that has gone away is nobody's to tell.
	_, _ = io.WriteString(w, text)
}
