package execplugin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"
)

const apiV1 = "client.authentication.k8s.io/v1"

// script is a plugin that counts its runs in a file.
type script struct {
	t    *testing.T
	path string
	runs string
}

func newScript(t *testing.T, body string) *script {
	t.Helper()
	dir := t.TempDir()
	s := &script{t: t, path: filepath.Join(dir, "plugin"), runs: filepath.Join(dir, "runs")}
	s.write(body)
	return s
}

func (s *script) write(body string) {
	s.t.Helper()
	text := "#!/bin/sh\necho run >> " + s.runs + "\n" + body + "\n"
	other := s.path + ".new"
	if err := os.WriteFile(other, []byte(text), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(other, s.path); err != nil { // a running script keeps its own
		s.t.Fatal(err)
	}
}

func (s *script) count() int {
	data, _ := os.ReadFile(s.runs)
	return strings.Count(string(data), "run")
}

// token answers with a token that expires.
func token(version, value, expires string) string {
	return fmt.Sprintf(`echo '{"apiVersion": %q, "kind": "ExecCredential", "status": {"token": %q%s}}'`, version, value, expires)
}

func (s *script) config(host string) *rest.Config {
	return &rest.Config{Host: host, ExecProvider: &api.ExecConfig{
		Command: s.path, APIVersion: apiV1, InteractiveMode: api.IfAvailableExecInteractiveMode,
	}}
}

// attached returns a client that uses the plugin.
func attached(t *testing.T, cfg *rest.Config, log *zap.Logger) (*http.Client, *Plugin) {
	t.Helper()
	p, err := New(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	p.Attach(cfg)
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client, p
}

// get sends a request, and returns the status and the body.
func get(ctx context.Context, client *http.Client, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close() //nolint:errcheck // It was only read.
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// echo answers with the token that it got, and with 401 if it does not accept the
// token.
func echo(t *testing.T, accepts *atomic.Value) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if want, _ := accepts.Load().(string); want != "" && want != got {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, got) // the test finds out what is missing
	}))
	t.Cleanup(s.Close)
	return s
}

func TestAPluginRunsOnceForAllRequestsUntilItsTokenExpires(t *testing.T) {
	for _, version := range []string{apiV1, "client.authentication.k8s.io/v1beta1"} {
		s := newScript(t, token(version, "first", fmt.Sprintf(`, "expirationTimestamp": %q`, time.Now().Add(2*time.Second).UTC().Format(time.RFC3339))))
		server := echo(t, &atomic.Value{})
		cfg := s.config(server.URL)
		cfg.ExecProvider.APIVersion = version
		client, p := attached(t, cfg, zap.NewNop())
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, body, err := get(t.Context(), client, server.URL); body != "first" || err != nil {
					t.Errorf("%s: sent %q: %v", version, body, err)
				}
			})
		}
		all.Wait()
		if n := s.count(); n != 1 {
			t.Errorf("%s: 20 requests ran the plugin %d times, want once", version, n)
		}
		s.write(token(version, "second", ""))
		p.mu.Lock()
		p.have.expires, p.next = time.Now(), time.Time{}
		p.mu.Unlock()
		if _, body, err := get(t.Context(), client, server.URL); body != "second" || err != nil {
			t.Errorf("%s: after it expired %q was sent: %v", version, body, err)
		}
	}
}

func TestARefusedTokenIsAskedForAgainWithoutAFlood(t *testing.T) {
	var accepts atomic.Value
	accepts.Store("good")
	s := newScript(t, token(apiV1, "bad", ""))
	server := echo(t, &accepts)
	client, p := attached(t, s.config(server.URL), zap.NewNop())
	began := time.Now()
	for time.Since(began) < 2*time.Second {
		if code, _, err := get(t.Context(), client, server.URL); code != http.StatusUnauthorized || err != nil {
			t.Fatalf("status %d: %v", code, err)
		}
	}
	if n := s.count(); n > 3 { // immediately, after 1 s, after 2 more
		t.Errorf("the plugin ran %d times in 2 s, want 3 at most", n)
	}
	s.write(token(apiV1, "good", ""))
	p.mu.Lock()
	p.next = time.Time{}
	p.mu.Unlock()
	if code, _, err := get(t.Context(), client, server.URL); code != http.StatusOK || err != nil {
		t.Errorf("after the plugin has another token: status %d: %v", code, err)
	}
}

func TestPluginOutputIsCutAndCleanedAndNeverOnOurStandardError(t *testing.T) {
	const bare = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
	noise := `i=0; while [ $i -lt 200 ]; do echo "warning Bearer ` + bare + ` and ` + bare + ` password=hunter2hunter2" >&2; i=$((i+1)); done; printf '\033[31mred\n' >&2` + "\n"
	core, logged := observer.New(zap.DebugLevel)
	s := newScript(t, noise+token(apiV1, "tok-4711", ""))
	server := echo(t, &atomic.Value{})
	client, _ := attached(t, s.config(server.URL), zap.New(core))

	stderr := os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = w
	_, body, err := get(t.Context(), client, server.URL)
	failing := newScript(t, noise+"exit 7")
	cfg := failing.config(server.URL)
	cfg.ExecProvider.Env = []api.ExecEnvVar{{Name: "PASS", Value: "hunter3"}}
	cfg.ExecProvider.Args = []string{"get", "--client-secret", "hunter4"}
	failing.write(`echo "cannot log in with $PASS and $3" >&2; ` + noise + "exit 7")
	other, _ := attached(t, cfg, zap.New(core))
	_, _, failed := get(t.Context(), other, server.URL)
	os.Stderr = stderr
	_ = w.Close()
	if raw, _ := io.ReadAll(r); len(raw) > 0 {
		t.Errorf("on our standard error: %q", raw)
	}
	if body != "tok-4711" || err != nil {
		t.Errorf("sent %q: %v", body, err)
	}

	credentials := (*Error)(nil)
	if !errors.As(failed, &credentials) || !strings.Contains(failed.Error(), "exit status 7") || !strings.Contains(failed.Error(), "cannot log in with") {
		t.Errorf("the error is %v, want an Error with what the plugin said", failed)
	}
	texts := []string{failed.Error()}
	for _, e := range logged.All() {
		for _, f := range e.Context {
			texts = append(texts, f.String)
		}
	}
	if len(texts) < 3 {
		t.Errorf("nothing of it was logged: %v", logged.All())
	}
	for _, text := range texts {
		for _, secret := range []string{bare, "hunter2", "hunter3", "hunter4", "tok-4711", "\033", "\n"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %q", secret, text)
			}
		}
		if len(text) > 2048 {
			t.Errorf("a text has %d bytes", len(text))
		}
	}
}

func TestAPluginThatHangsHoldsUpNobody(t *testing.T) {
	s := newScript(t, "sleep 600 & sleep 600") // with a child that keeps the output open
	server := echo(t, &atomic.Value{})
	client, p := attached(t, s.config(server.URL), zap.NewNop())
	var all sync.WaitGroup
	began := time.Now()
	for range 5 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if _, _, err := get(ctx, client, server.URL); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("requests of 200 ms took %v", took)
	}
	if n := s.count(); n != 1 {
		t.Errorf("it runs %d times, want once", n)
	}
	began = time.Now()
	p.Close()
	if took := time.Since(began); took > 2500*time.Millisecond {
		t.Errorf("Close took %v", took)
	}
	if _, _, err := get(t.Context(), client, server.URL); err == nil || !strings.Contains(err.Error(), "plugin") {
		t.Errorf("after Close: %v, want an error that names the plugin", err)
	}
}

func TestAPluginThatHangsIsKilledAndReported(t *testing.T) {
	s := newScript(t, "sleep 600")
	c, err := newCommand(s.config("https://example.com"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err = c.run(ctx); err == nil || !strings.Contains(err.Error(), "did not answer within") {
		t.Errorf("run = %v, want that it did not answer", err)
	}
}

func TestPluginsThatCannotBeUsedSayWhy(t *testing.T) {
	server := echo(t, &atomic.Value{})
	for _, c := range []struct {
		name, body string
		change     func(*api.ExecConfig)
		want       string
	}{
		{"not JSON", "echo token-in-plain-words", nil, "not JSON"},
		{"another version", token("client.authentication.k8s.io/v1beta1", "t", ""), nil, "want an ExecCredential of " + apiV1},
		{"no status", `echo '{"apiVersion": "` + apiV1 + `", "kind": "ExecCredential"}'`, nil, "neither a token nor a certificate"},
		{"half a certificate", `echo '{"apiVersion": "` + apiV1 + `", "kind": "ExecCredential", "status": {"clientKeyData": "k"}}'`, nil, "not both"},
		{"too much", "head -c 2000000 /dev/zero", nil, "more than"},
		{"killed", "kill -9 $$", nil, "signal: killed"},
		{"not installed", "", func(c *api.ExecConfig) {
			c.Command, c.InstallHint = "no-such-plugin", "get it from https://example.com"
		}, "not installed: executable file not found in $PATH: get it from https://example.com"},
		{"an old version", "", func(c *api.ExecConfig) { c.APIVersion = "client.authentication.k8s.io/v1alpha1" }, "not supported"},
		{"a terminal", "", func(c *api.ExecConfig) { c.InteractiveMode = api.AlwaysExecInteractiveMode }, "no terminal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := newScript(t, c.body).config(server.URL)
			if c.change != nil {
				c.change(cfg.ExecProvider)
			}
			p, err := New(cfg, zap.NewNop())
			if err == nil {
				t.Cleanup(p.Close)
				_, err = p.credentials(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "token-in-plain-words") {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestAPluginGetsTheClusterAndNoTerminal(t *testing.T) {
	s := newScript(t, `printf '%s' "$KUBERNETES_EXEC_INFO" > "$OUT"`+"\n"+token(apiV1, "t", ""))
	out := filepath.Join(t.TempDir(), "info")
	cfg := s.config("https://example.com:6443")
	cfg.CAData = []byte("ca")
	cfg.ExecProvider.ProvideClusterInfo = true
	cfg.ExecProvider.Config = &runtime.Unknown{Raw: []byte(`{"audience": "web"}`)}
	cfg.ExecProvider.Env = []api.ExecEnvVar{{Name: "OUT", Value: out}}
	p, err := New(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if _, err := p.credentials(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		APIVersion, Kind string
		Spec             struct {
			Interactive *bool
			Cluster     struct {
				Server string
				CA     []byte `json:"certificate-authority-data"`
				Config struct{ Audience string }
			}
		}
	}
	if err := json.Unmarshal(data, &info); err != nil {
		t.Fatal(err)
	}
	if info.APIVersion != apiV1 || info.Kind != "ExecCredential" || info.Spec.Interactive == nil || *info.Spec.Interactive ||
		info.Spec.Cluster.Server != "https://example.com:6443" || string(info.Spec.Cluster.CA) != "ca" || info.Spec.Cluster.Config.Audience != "web" {
		t.Errorf("the plugin was told %s", data)
	}
}

// certificate returns a client certificate with a name, in PEM.
func certificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}))
}

func TestACertificateOfAPluginIsPresentedAndReplaced(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	answer := func(name string) string {
		cert, key := certificate(t, name)
		text, err := json.Marshal(map[string]any{
			"apiVersion": apiV1, "kind": "ExecCredential",
			"status": map[string]string{"clientCertificateData": cert, "clientKeyData": key},
		})
		if err != nil {
			t.Fatal(err)
		}
		return "cat <<'EOF'\n" + string(text) + "\nEOF"
	}
	s := newScript(t, answer("first"))
	cfg := s.config(server.URL)
	cfg.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	client, p := attached(t, cfg, zap.NewNop())
	if _, body, err := get(t.Context(), client, server.URL); body != "first" || err != nil {
		t.Fatalf("presented %q: %v", body, err)
	}
	s.write(answer("second"))
	p.mu.Lock()
	p.have.expires, p.next = time.Now(), time.Time{}
	p.mu.Unlock()
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, body, err := get(t.Context(), client, server.URL)
		if body == "second" && err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("presented %q: %v", body, err)
		}
	}
	if n := s.count(); n != 2 {
		t.Errorf("the plugin ran %d times, want twice", n)
	}
}
