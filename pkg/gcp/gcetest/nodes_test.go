package gcetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// nodes are real HTTP servers in place of the nodes, by address.
type nodes struct {
	mu      sync.Mutex
	servers map[string]*httptest.Server // by address:port
	sick    map[string]bool             // those that fail the health check, by address
	seen    chan *http.Request
	hold    chan struct{} // what /slow waits for
}

func newNodes(t *testing.T, port int, addresses ...string) *nodes {
	n := &nodes{servers: map[string]*httptest.Server{}, sick: map[string]bool{}, seen: make(chan *http.Request, 1000), hold: make(chan struct{})}
	for _, address := range addresses {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.serve(w, r, address) }))
		t.Cleanup(server.Close)
		n.servers[fmt.Sprintf("%s:%d", address, port)] = server
	}
	return n
}

func (n *nodes) serve(w http.ResponseWriter, r *http.Request, address string) {
	n.mu.Lock()
	sick := n.sick[address]
	n.mu.Unlock()
	if r.URL.Path == "/healthz" {
		if sick {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	if r.URL.Path == "/slow" {
		<-n.hold
	}
	n.seen <- r
	fmt.Fprint(w, address)
}

func (n *nodes) setSick(address string, sick bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sick[address] = sick
}

func (n *nodes) dial(ctx context.Context, address string, port int) (net.Conn, error) {
	n.mu.Lock()
	server := n.servers[fmt.Sprintf("%s:%d", address, port)]
	n.mu.Unlock()
	if server == nil {
		return nil, errors.New("connection refused")
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
}

// health returns the health of a group, by address.
func (s *standIn) health(serviceName, group string) map[string]string {
	s.t.Helper()
	got, err := s.api.BackendServices.GetHealth(project, serviceName, &compute.ResourceGroupReference{Group: backend(group).Group}).Do()
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]string{}
	for _, h := range got.HealthStatus {
		out[h.IpAddress] = h.HealthState
	}
	return out
}

// until waits until this many members of a group have the wanted health.
func (s *standIn) until(serviceName, group, state string, n int) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for {
		got := 0
		health := s.health(serviceName, group)
		for _, h := range health {
			if h == state {
				got++
			}
		}
		if got == n {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			s.t.Fatalf("health of %s: %v, want %d %s", group, health, n, state)
		}
	}
}

func threeNodes(t *testing.T) (*nodes, *standIn) {
	n := newNodes(t, 30080, "10.0.0.1", "10.0.0.2", "10.0.0.3")
	return n, newStandIn(t, Options{Dial: n.dial, ProbeInterval: 10 * time.Millisecond})
}

// pemPair returns a certificate for a name, and its key.
func pemPair(t *testing.T, name string) (chain, secret string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}))
}
