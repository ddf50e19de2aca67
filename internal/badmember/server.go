package badmember

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fedsync/fedsync/internal/objectstore"
)

// Server is a member cluster.
type Server struct {
	Store *objectstore.Store
	Token string // that it is to be asked with

	server, elsewhere *httptest.Server
	asked             atomic.Int64 // requests
	next              atomic.Int64 // numbers whatever there is no end of

	mu      sync.Mutex // protects what follows
	mode    Mode
	strayed []string // what came to Elsewhere
}

// New starts a server of a store's objects that behaves. It ends with the test.
func New(t testing.TB, store *objectstore.Store, token string) *Server {
	t.Helper()
	s := &Server{Store: store, Token: token, mode: Good}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.server.EnableHTTP2 = true
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.server.StartTLS()
	s.elsewhere = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.strayed = append(s.strayed, fmt.Sprintf("%s %s %q", r.Method, r.URL, r.Header))
	}))
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
		s.elsewhere.Close()
	})
	return s
}

// SetMode has the server answer otherwise from the next request on.
func (s *Server) SetMode(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
}

// Elsewhere is the address of another host.
func (s *Server) Elsewhere() string { return s.elsewhere.URL }

// Strayed returns the requests that came to Elsewhere.
func (s *Server) Strayed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.strayed...)
}

// Asked is how many requests there were.
func (s *Server) Asked() int { return int(s.asked.Load()) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	s.mu.Lock()
	mode := s.mode
	s.mu.Unlock()
	if mode.answer == nil || !mode.answer(s, w, r) {
		s.Store.ServeHTTP(w, r)
	}
}

// Kubeconfig returns a kubeconfig with a context of each server, by name.
func Kubeconfig(servers map[string]*Server) string {
	var clusters, users, contexts strings.Builder
	for name, s := range servers {
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
		fmt.Fprintf(&clusters, "- name: %s\n  cluster: {server: %q, certificate-authority-data: %s}\n", name, s.server.URL, base64.StdEncoding.EncodeToString(ca))
		fmt.Fprintf(&users, "- name: %s\n  user: {token: %q}\n", name, s.Token)
		fmt.Fprintf(&contexts, "- name: %s\n  context: {cluster: %[1]s, user: %[1]s}\n", name)
	}
	return "apiVersion: v1\nkind: Config\nclusters:\n" + clusters.String() + "users:\n" + users.String() + "contexts:\n" + contexts.String()
}
