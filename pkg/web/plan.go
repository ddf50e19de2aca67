package web

import (
	"io"
	"net/http"
)

// servePlan serves the plan of a pull request as plain text. All readers share its bytes.
func (s *server) servePlan(w http.ResponseWriter, r *http.Request) {
	text, ok := s.opts.Plan(r.PathValue("sha"))
	if !ok {
		s.serveNotFound(w, r, "There is no plan for this commit. Only heads of open pull requests have one, and this one may not be ready yet.", true)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // a newer plan may replace it
	// An error means that the client has gone away.
	_, _ = io.WriteString(w, text)
}
