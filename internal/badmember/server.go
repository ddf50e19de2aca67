package badmember

import (
	"crypto/tls"
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

	"golang.org/x/net/http2"

	"github.com/fedsync/fedsync/internal/objectstore"
)

// Server is a member cluster.
type Server struct {
	Store *objectstore.Store
	Token string // the token that requests must have

	server, elsewhere *httptest.Server
	asked             atomic.Int64 // requests
	next              atomic.Int64 // the next number of endless objects

	mu      sync.Mutex // protects what follows
	mode    Mode
	strayed []string // requests that should not have come
}

// New starts a server of a store's objects that behaves until SetMode. It ends with the
// test.
func New(t testing.TB, store *objectstore.Store, token string) *Server {
	t.Helper()
	s := &Server{Store: store, Token: token, mode: Good}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.server.EnableHTTP2 = true
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if err := http2.ConfigureServer(s.server.Config, nil); err != nil { //nolint:staticcheck // the newer API cannot take over a connection
		t.Fatal(err)
	}
	usual := s.server.Config.TLSNextProto[http2.NextProtoTLS]
	s.server.Config.TLSNextProto[http2.NextProtoTLS] = func(server *http.Server, conn *tls.Conn, h http.Handler) {
		if frames := s.modeNow().frames; frames != nil {
			s.asked.Add(1) // its requests cannot be counted
			frames(newFramer(conn))
			_ = conn.Close()
			return
		}
		usual(server, conn, h)
	}
	s.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: s.protocols}
	s.server.StartTLS()
	s.elsewhere = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { s.stray(r) }))
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
		s.elsewhere.Close()
	})
	return s
}

// protocols returns the TLS configuration with the protocols of the current mode.
func (s *Server) protocols(*tls.ClientHelloInfo) (*tls.Config, error) {
	own := s.server.TLS.Clone()
	if own.NextProtos = []string{http2.NextProtoTLS, "http/1.1"}; s.modeNow().Old {
		own.NextProtos = []string{"http/1.1"}
	}
	return own, nil
}

// SetMode changes the mode. It cuts open connections and watches.
func (s *Server) SetMode(m Mode) {
	s.mu.Lock()
	s.mode = m
	s.mu.Unlock()
	s.server.CloseClientConnections()
}

func (s *Server) modeNow() Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode
}

// Elsewhere returns the address of another host.
func (s *Server) Elsewhere() string { return s.elsewhere.URL }

func (s *Server) stray(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strayed = append(s.strayed, fmt.Sprintf("%s %s %q", r.Method, r.URL, r.Header))
}

// Strayed returns the requests that came to Elsewhere, or with a credential other than
// the server's token, if it has one.
func (s *Server) Strayed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.strayed...)
}

// Asked returns the number of requests.
func (s *Server) Asked() int { return int(s.asked.Load()) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if got := r.Header.Get("Authorization"); s.Token != "" && got != "Bearer "+s.Token {
		s.stray(r)
	}
	if mode := s.modeNow(); mode.answer == nil || !mode.answer(s, w, r) {
		s.Store.ServeHTTP(w, r)
	}
}

// Kubeconfig returns a kubeconfig with a context for each server, by name.
func Kubeconfig(servers map[string]*Server) string {
	var clusters, users, contexts strings.Builder
	for name, s := range servers {
		fmt.Fprintf(&clusters, "- name: %s\n  cluster: {server: %q, certificate-authority-data: %s}\n", name, s.server.URL, base64.StdEncoding.EncodeToString(s.CA()))
		fmt.Fprintf(&users, "- name: %s\n  user: {token: %q}\n", name, s.Token)
		fmt.Fprintf(&contexts, "- name: %s\n  context: {cluster: %[1]s, user: %[1]s}\n", name)
	}
	return "apiVersion: v1\nkind: Config\nclusters:\n" + clusters.String() + "users:\n" + users.String() + "contexts:\n" + contexts.String()
}

// URL returns the server's address.
func (s *Server) URL() string { return s.server.URL }

// CA returns the server's certificate in PEM form.
func (s *Server) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
}
