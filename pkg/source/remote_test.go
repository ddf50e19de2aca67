package source_test

import (
	"context"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestRefusedCredentialsAreNamedAndNewOnesTakeEffect(t *testing.T) {
	repo := sourcetest.New(t)
	sha := repo.Push("first", map[string]string{"a": "1"})
	server := sourcetest.ServeHTTP(t, repo, "right-token")
	token := file(t, "wrong-token\n")
	f := follow(t, source.Options{URL: server.CloneURL(), TokenFile: token, Interval: time.Hour})
	err := f.failure()
	if !errors.Is(err, source.ErrUnauthorised) || !strings.Contains(err.Error(), token) {
		t.Errorf("error = %v, want ErrUnauthorised that names %s", err, token)
	}
	if strings.Contains(err.Error(), "wrong-token") {
		t.Errorf("the error %q holds the token", err)
	}
	write(t, token, "right-token\n") // The watch notices it, an hour before the next poll.
	f.wantRevision(sha)

	server.SetToken("rotated-token")
	f.Nudge()
	if err := f.failure(); !errors.Is(err, source.ErrUnauthorised) {
		t.Errorf("error = %v, want ErrUnauthorised after the token was rotated", err)
	}
	write(t, token, "rotated-token")
	if e := f.next(); e.Err != nil || e.Snapshot != nil {
		t.Errorf("event = %+v, want one for a repository that can be read again", e)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func TestASecretThatKubernetesSwapsIsReadAgain(t *testing.T) {
	repo := sourcetest.New(t)
	sha := repo.Push("first", map[string]string{"a": "1"})
	server := sourcetest.ServeHTTP(t, repo, "new-token")
	server.Username = "robot"
	dir := t.TempDir()
	version := func(name, token string) {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(path, "password"), token)
		write(t, filepath.Join(path, "username"), "robot")
		if err := os.Symlink(name, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", "old-token")
	for _, name := range []string{"password", "username"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f := follow(t, source.Options{
		URL: server.CloneURL(), Interval: time.Hour,
		TokenFile: filepath.Join(dir, "password"), UsernameFile: filepath.Join(dir, "username"),
	})
	if err := f.failure(); !errors.Is(err, source.ErrUnauthorised) {
		t.Fatalf("error = %v, want ErrUnauthorised", err)
	}
	version("..2", "new-token")
	f.wantRevision(sha)
}

func TestCredentialFilesThatCannotBeReadAreNamed(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"empty", " \n", "it is empty"},
		{"lines", "a\nb", "more than one line"},
	} {
		s := open(t, source.Options{URL: "https://example.invalid/a", TokenFile: file(t, c.content)})
		if _, err := s.Snapshot(t.Context(), ""); !errors.Is(err, source.ErrCredentials) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Snapshot = %v, want ErrCredentials with %q", c.name, err, c.want)
		}
	}
	s := open(t, source.Options{URL: "https://example.invalid/a", TokenFile: "/nonexistent/token"})
	if _, err := s.Snapshot(t.Context(), ""); !errors.Is(err, source.ErrCredentials) || !strings.Contains(err.Error(), "/nonexistent/token") {
		t.Errorf("Snapshot = %v, want ErrCredentials that names the file", err)
	}
	if _, err := s.Auth(); !errors.Is(err, source.ErrCredentials) {
		t.Errorf("Auth = %v, want ErrCredentials", err)
	}
	key := open(t, source.Options{URL: "git@example.invalid:a", SSHKeyFile: file(t, "s3cret no key"), KnownHostsFile: file(t, "x")})
	if _, err := key.Snapshot(t.Context(), ""); !errors.Is(err, source.ErrCredentials) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("Snapshot = %v, want ErrCredentials without the file's content", err)
	}
}

func TestARemoteThatGoesDownComesBack(t *testing.T) {
	repo := sourcetest.New(t)
	sha := repo.Push("first", map[string]string{"a": "1"})
	backend := sourcetest.ServeHTTP(t, repo, "")
	var mode atomic.Value
	mode.Store("up")
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode.Load() {
		case "503":
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case "404":
			http.NotFound(w, r)
		case "reset":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		case "hang":
			<-r.Context().Done()
		case "dumb":
			_, _ = w.Write([]byte("<html>not git</html>"))
		default:
			backend.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	f := follow(t, source.Options{URL: front.URL + "/web.git", Timeout: 300 * time.Millisecond})
	f.wantRevision(sha)
	for _, c := range []struct {
		mode string
		kind error
		want string
	}{
		{"503", source.ErrUnreachable, "503"},
		{"404", source.ErrNotFound, "check the URL"},
		{"reset", source.ErrUnreachable, "EOF"},
		{"hang", source.ErrUnreachable, "did not answer within 300ms"},
		{"dumb", source.ErrUnreadable, ""},
	} {
		mode.Store(c.mode)
		f.Nudge()
		if err := f.failure(); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error = %v, want %v with %q", c.mode, err, c.kind, c.want)
		}
		mode.Store("up")
		f.Nudge()
		if e := f.next(); e.Err != nil || e.Snapshot != nil {
			t.Errorf("%s: event = %+v, want one for a repository that can be read again", c.mode, e)
		}
	}
	f.Nudge()
	if len(f.events) != 0 {
		t.Errorf("%d more events, want none", len(f.events))
	}
}

func TestAPortThatNobodyListensOnIsUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	known := file(t, "example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJb2JlpXWnyaLsRHmvYfCjPVSvDMQhEHTPBRkfkNhHMB\n")
	ssh := sourcetest.ServeSSH(t, sourcetest.New(t))
	for _, opts := range []source.Options{
		{URL: "http://" + addr + "/a"},
		{URL: "ssh://" + addr + "/a", SSHKeyFile: ssh.KeyFile, KnownHostsFile: known},
		{URL: "https://fedsync.invalid/a"},
	} {
		_, err := open(t, opts).Snapshot(t.Context(), "")
		if !errors.Is(err, source.ErrUnreachable) {
			t.Errorf("%s: Snapshot = %v, want ErrUnreachable", opts.URL, err)
		}
	}
}

func TestSSHVerifiesTheHostAndTheHostVerifiesTheKey(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("first", map[string]string{"a": "1"})
	ssh := sourcetest.ServeSSH(t, repo)
	good := source.Options{URL: ssh.CloneURL(), SSHKeyFile: ssh.KeyFile, KnownHostsFile: ssh.KnownHosts}
	for _, c := range []struct {
		name   string
		change func(*source.Options)
		kind   error
	}{
		{"right", func(*source.Options) {}, nil},
		{"another host key", func(o *source.Options) { o.KnownHostsFile = ssh.OtherHosts }, source.ErrUntrusted},
		{"unknown host", func(o *source.Options) {
			o.KnownHostsFile = file(t, "example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJb2JlpXWnyaLsRHmvYfCjPVSvDMQhEHTPBRkfkNhHMB\n")
		}, source.ErrUntrusted},
		{"no known_hosts", func(o *source.Options) { o.KnownHostsFile = "/nonexistent" }, source.ErrCredentials},
		{"another key", func(o *source.Options) { o.SSHKeyFile = ssh.OtherKey }, source.ErrUnauthorised},
		{"no such repository", func(o *source.Options) { o.URL += "x" }, source.ErrNotFound},
	} {
		opts := good
		c.change(&opts)
		_, err := open(t, opts).Snapshot(t.Context(), "")
		if !errors.Is(err, c.kind) {
			t.Errorf("%s: Snapshot = %v, want %v", c.name, err, c.kind)
		}
	}
}

func TestAnSSHServerThatSaysNothingIsNotWaitedFor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	ssh := sourcetest.ServeSSH(t, sourcetest.New(t))
	s := open(t, source.Options{
		URL: "ssh://" + l.Addr().String() + "/a", SSHKeyFile: ssh.KeyFile, KnownHostsFile: ssh.KnownHosts,
		Timeout: 200 * time.Millisecond,
	})
	if _, err := s.Snapshot(t.Context(), ""); !errors.Is(err, source.ErrUnreachable) || !strings.Contains(err.Error(), "200ms") {
		t.Errorf("Snapshot = %v, want ErrUnreachable after 200ms", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Snapshot(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Snapshot = %v, want the caller's own deadline", err)
	}
}

func TestHTTPSTrustsTheCAFile(t *testing.T) {
	repo := sourcetest.New(t)
	sha := repo.Push("first", map[string]string{"a": "1"})
	server := sourcetest.ServeHTTPS(t, repo, "")
	if _, err := open(t, source.Options{URL: server.CloneURL()}).Snapshot(t.Context(), ""); !errors.Is(err, source.ErrUntrusted) {
		t.Errorf("Snapshot = %v, want ErrUntrusted", err)
	}
	ca := file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	s := open(t, source.Options{URL: server.CloneURL(), CAFile: ca})
	if got, err := s.Snapshot(t.Context(), ""); err != nil || got.Revision.SHA != sha {
		t.Errorf("Snapshot = %v, %v, want %s", got.Revision, err, sha)
	}
	if bundle, err := s.CABundle(); err != nil || !strings.Contains(string(bundle), "CERTIFICATE") {
		t.Errorf("CABundle = %q, %v, want the certificate", bundle, err)
	}
}

func TestRedirectsDoNotCarryTheTokenElsewhere(t *testing.T) {
	var leaked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked.Store(leaked.Load() || r.Header.Get("Authorization") != "")
		http.NotFound(w, r)
	}))
	t.Cleanup(other.Close)
	for _, to := range []string{other.URL, "http://fedsync.invalid"} {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, to+r.URL.RequestURI(), http.StatusFound)
		}))
		s := open(t, source.Options{URL: front.URL + "/a", TokenFile: file(t, "s3cret")})
		if _, err := s.Snapshot(t.Context(), ""); err == nil {
			t.Errorf("redirected to %s: no error", to)
		}
		front.Close()
	}
	if leaked.Load() {
		t.Error("the token was sent to another host")
	}
}
