package probe

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/federation"
)

// TestProbeClassifiesRealFailures causes each failure on a real socket.
func TestProbeClassifiesRealFailures(t *testing.T) {
	ca := newAuthority(t)
	other := newAuthority(t)
	now := time.Now()
	good := ca.issue(t, "127.0.0.1", now.Add(time.Hour))
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }
	answering := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}

	for name, c := range map[string]struct {
		host    string
		cfg     func(*rest.Config)
		class   federation.FailureClass
		message string
		timeout time.Duration // default 20 s
	}{
		"ready": {host: serveTLS(t, ok, good, nil), class: federation.FailureNone},
		"dns": {
			host: "https://cluster.invalid:6443", class: federation.FailureDNS,
			message: "lookup cluster.invalid",
		},
		"refused": {
			host: "https://" + closedPort(t), class: federation.FailureRefused,
			message: "connection refused",
		},
		"silent": {
			host: "https://" + listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), class: federation.FailureTimeout,
			message: "no answer within 300ms: connected, no TLS handshake",
			timeout: 300 * time.Millisecond,
		},
		"answers nothing": {
			host:  serveTLS(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, good, nil),
			class: federation.FailureTimeout, message: "no answer within 2s: connected, the request was not answered",
			timeout: 2 * time.Second, // enough for the handshake
		},
		"reset": {
			host: "https://" + listen(t, func(c net.Conn) {
				_, _ = c.Read(make([]byte, 1))
				_ = c.(*net.TCPConn).SetLinger(0)
			}), class: federation.FailureNetwork, message: "reset",
		},
		"closed": {
			host: "https://" + listen(t, func(net.Conn) {}), class: federation.FailureNetwork,
		},
		"unknown authority": {
			host: serveTLS(t, ok, other.issue(t, "127.0.0.1", now.Add(time.Hour)), nil), class: federation.FailureTLS,
			message: "unknown authority",
		},
		"expired certificate": {
			host: serveTLS(t, ok, ca.issue(t, "127.0.0.1", now.Add(-time.Hour)), nil), class: federation.FailureTLS,
			message: "expired",
		},
		"wrong name": {
			host: serveTLS(t, ok, ca.issue(t, "192.0.2.1", now.Add(time.Hour)), nil), class: federation.FailureTLS,
			message: "not 127.0.0.1",
		},
		"client certificate refused": {
			host: serveTLS(t, ok, good, other), class: federation.FailureTLS,
			message: "certificate required",
		},
		"no TLS there": {
			host: "https://" + serve(t, ok), class: federation.FailureTLS,
			message: "HTTP response to HTTPS client",
		},
		"expired token": {
			host: serveTLS(t, answering(401, `{"kind":"Status","message":"Unauthorized"}`), good, nil), class: federation.FailureUnauthorised,
			message: "GET /readyz: 401 Unauthorized: Unauthorized",
		},
		"forbidden": {
			host: serveTLS(t, answering(403, `{"message":"cannot get path \"/readyz\""}`), good, nil), class: federation.FailureForbidden,
			message: `GET /readyz: 403 Forbidden: cannot get path "/readyz"`,
		},
		"a check fails": {
			host: serveTLS(t, answering(500, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed"), good, nil), class: federation.FailureServer,
			message: "GET /readyz: 500 Internal Server Error: etcd failed: reason withheld",
		},
		"gateway": {
			host: serveTLS(t, answering(502, ""), good, nil), class: federation.FailureServer,
			message: "GET /readyz: 502 Bad Gateway",
		},
		"not an API server": {
			host: serveTLS(t, http.NotFound, good, nil), class: federation.FailureContext,
			message: "GET /readyz: 404 Not Found: 404 page not found",
		},
		"redirect": {
			host: serveTLS(t, http.RedirectHandler("https://elsewhere.invalid/", http.StatusFound).ServeHTTP, good, nil), class: federation.FailureMisbehaves,
			message: "answers GET /readyz with a redirect to elsewhere.invalid (302 Found)",
		},
		"no address":     {host: "://", class: federation.FailureContext, message: "read the cluster's address"},
		"no certificate": {host: "https://127.0.0.1:1", cfg: func(c *rest.Config) { c.CAData = []byte("x") }, class: federation.FailureContext, message: "read the cluster's credentials"},
		"echoes the token": {
			host: serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(500)
				_, _ = io.WriteString(w, "you sent "+r.Header.Get("Authorization")[len("Bearer "):])
			}, good, nil),
			cfg:   func(c *rest.Config) { c.BearerToken = "hunter2-hunter2" },
			class: federation.FailureServer, message: "you sent ***",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &rest.Config{Host: c.host, TLSClientConfig: rest.TLSClientConfig{CAData: ca.pem}}
			if c.cfg != nil {
				c.cfg(cfg)
			}
			asker := askerOf(cfg, cmp.Or(c.timeout, 20*time.Second))
			defer asker.close()
			// A second time, because the first may leave a connection behind.
			for range 2 {
				got := asker.get(t.Context(), "readyz")
				if got.failure != c.class || !strings.Contains(got.message, c.message) {
					t.Errorf("probe of %s = %q, %q; want %q, %q", c.host, got.failure, got.message, c.class, c.message)
				}
			}
		})
	}
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) issue(t *testing.T, ip string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test server"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.ParseIP(ip)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serveTLS serves until the test ends. With clients it accepts only clients with a
// certificate of theirs.
func serveTLS(t *testing.T, h http.HandlerFunc, cert tls.Certificate, clients *authority) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	if clients != nil {
		server.TLS.ClientAuth = tls.RequireAndVerifyClientCert
		server.TLS.ClientCAs = x509.NewCertPool()
		server.TLS.ClientCAs.AddCert(clients.cert)
	}
	server.Config.ErrorLog = silent
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = silent
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// listen accepts connections until the test ends and closes each after do.
func listen(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			do(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // It is closed either way.
	return l.Addr().String()
}

// silent discards the servers' expected errors about their clients.
var silent = log.New(io.Discard, "", 0)

// askerOf returns an asker with a guard of its own.
func askerOf(cfg *rest.Config, timeout time.Duration) *asker {
	return newAsker(cfg, timeout, bounds.New(cfg, nil))
}
