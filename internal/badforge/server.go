package badforge

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Server stands in for a forge, or for a Git server over HTTP.
type Server struct {
	*httptest.Server

	good  http.Handler
	other *httptest.Server

	mu      sync.Mutex // protects what follows
	mode    Mode
	asked   int      // requests that the mode answered
	strayed []string // requests to Elsewhere with a credential
}

// New starts a server in front of another's handler. It behaves until SetMode, and ends
// with the test.
func New(t testing.TB, good http.Handler) *Server {
	t.Helper()
	s := &Server{good: good}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	s.other = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			s.mu.Lock()
			s.strayed = append(s.strayed, fmt.Sprintf("%s %s %q", r.Method, r.URL, r.Header))
			s.mu.Unlock()
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		s.other.Close()
	})
	return s
}

// SetMode sets the mode from the next request on.
func (s *Server) SetMode(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode, s.asked = m, 0
}

// Asked returns how many requests the mode has answered.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Elsewhere returns the address of another host: the same machine under another name.
func (s *Server) Elsewhere() string {
	return strings.Replace(s.other.URL, "127.0.0.1", "localhost", 1)
}

// Strayed returns the requests that came to Elsewhere with a credential.
func (s *Server) Strayed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.strayed...)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	mode := s.mode
	s.mu.Unlock()
	if mode.answer == nil || mode.at != nil && !mode.at(r) {
		s.good.ServeHTTP(w, r)
		return
	}
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	mode.answer(s, w, r)
}

// raw answers with bytes that net/http would not write.
func raw(w http.ResponseWriter, answer string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // HTTP/2 cannot be hijacked, and no mode uses it
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, answer)
}

// oneLine returns a text that is valid in a header.
func oneLine(text string) string {
	return strings.NewReplacer("\n", " ", "\r", " ", "\u202e", "").Replace(text)
}
