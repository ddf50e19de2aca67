package sourcetest

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
)

// HTTP serves repositories by git http-backend.
type HTTP struct {
	*httptest.Server

	Username string
	// NeedsMultiACK makes it refuse requests without multi_ack, as Azure DevOps does.
	NeedsMultiACK bool
	// Received counts the bytes sent in answers to git-upload-pack requests.
	Received atomic.Int64
	// Packs counts these requests.
	Packs atomic.Int64

	mu    sync.Mutex // protects token
	token string
	repo  *Repo
}

// ServeHTTP serves the repository on a loopback port until the test ends. With a
// token it requires basic authentication as user git.
func ServeHTTP(t testing.TB, r *Repo, token string) *HTTP {
	t.Helper()
	h := newHTTP(r, token)
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

// ServeHTTPS does the same over https, with a certificate that no system
// trusts.
func ServeHTTPS(t testing.TB, r *Repo, token string) *HTTP {
	t.Helper()
	h := newHTTP(r, token)
	h.Server = httptest.NewTLSServer(h)
	t.Cleanup(h.Close)
	return h
}

func newHTTP(r *Repo, token string) *HTTP {
	return &HTTP{Username: "git", token: token, repo: r}
}

// CloneURL returns the repository's URL.
func (h *HTTP) CloneURL() string { return h.URL + "/" + filepath.Base(h.repo.Path) }

// SetToken changes the required token.
func (h *HTTP) SetToken(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.token = token
}

// ServeHTTP answers git, but only with the right token.
func (h *HTTP) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h.mu.Lock()
	want := h.token
	h.mu.Unlock()
	user, got, _ := req.BasicAuth()
	if want != "" && (user != h.Username || subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1) {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		// Some servers echo the credentials, which must not reach a log.
		http.Error(w, "wrong credentials "+user+":"+got, http.StatusUnauthorized)
		return
	}
	path, err := exec.LookPath("git")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	backend := &cgi.Handler{
		Path: path,
		Args: []string{"http-backend"},
		Env: append(Environment(),
			"GIT_PROJECT_ROOT="+filepath.Dir(h.repo.Path), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER="+user),
		Stderr: io.Discard,
	}
	if strings.HasSuffix(req.URL.Path, "/git-upload-pack") {
		h.Packs.Add(1)
		if h.NeedsMultiACK && !asksMultiACK(req) {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		w = &countingWriter{ResponseWriter: w, n: &h.Received}
	}
	backend.ServeHTTP(w, req)
}

// asksMultiACK reports whether a fetch requests multi_ack. It leaves the request's body
// unread.
func asksMultiACK(req *http.Request) bool {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return false
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	first, _, _ := bytes.Cut(body, []byte("\n")) // its line of capabilities
	return bytes.Contains(first, []byte(" multi_ack"))
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// SSH is a server that runs git-upload-pack and git-receive-pack.
type SSH struct {
	Addr       string // host and port
	KeyFile    string // of a key that is accepted
	OtherKey   string // of one that is not
	KnownHosts string // a file with the server's key
	OtherHosts string // a file with another key for its address
	// NeedsMultiACK makes it close sessions that do not request multi_ack.
	NeedsMultiACK bool

	repo     *Repo
	listener net.Listener
	config   *ssh.ServerConfig
	conns    sync.WaitGroup

	mu   sync.Mutex // protects open
	open map[net.Conn]bool
}

// ServeSSH serves the repository on a loopback port until the test ends.
func ServeSSH(t testing.TB, r *Repo) *SSH {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	s := &SSH{Addr: listener.Addr().String(), repo: r, listener: listener, open: make(map[net.Conn]bool)}
	dir := t.TempDir()
	host := newKey(t, "")
	other := newKey(t, "")
	s.KeyFile, s.OtherKey = filepath.Join(dir, "id"), filepath.Join(dir, "other")
	client := newKey(t, s.KeyFile)
	newKey(t, s.OtherKey)
	s.KnownHosts, s.OtherHosts = filepath.Join(dir, "known_hosts"), filepath.Join(dir, "other_hosts")
	for file, key := range map[string]ssh.Signer{s.KnownHosts: host, s.OtherHosts: other} {
		addr := strings.Replace(s.Addr, "127.0.0.1:", "[127.0.0.1]:", 1)
		r.must(os.WriteFile(file, []byte(addr+" "+string(ssh.MarshalAuthorizedKey(key.PublicKey()))), 0o600))
	}
	s.config = &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if bytes.Equal(key.Marshal(), client.PublicKey().Marshal()) {
				return nil, nil //nolint:nilnil // No permissions to restrict.
			}
			return nil, fmt.Errorf("unknown key")
		},
	}
	s.config.AddHostKey(host)
	s.conns.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

// CloneURL returns the repository's ssh:// URL.
func (s *SSH) CloneURL() string { return "ssh://git@" + s.Addr + s.repo.Path }

func (s *SSH) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	for conn := range s.open {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.conns.Wait()
}

func (s *SSH) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[conn] = true
		s.mu.Unlock()
		s.conns.Go(func() { s.serve(conn) })
	}
}

func (s *SSH) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.open, conn)
		s.mu.Unlock()
	}()
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() { ssh.DiscardRequests(requests) })
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		wait.Go(func() { s.session(channel, requests) })
	}
}

// session runs one of the two commands that are allowed.
func (s *SSH) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer func() { _ = channel.Close() }()
	for req := range requests {
		if req.Type != "exec" {
			_ = req.Reply(false, nil)
			continue
		}
		var command struct{ Line string }
		err := ssh.Unmarshal(req.Payload, &command)
		program, path, ok := strings.Cut(command.Line, " ")
		if err != nil || !ok || program != "git-upload-pack" && program != "git-receive-pack" {
			_ = req.Reply(false, nil)
			return
		}
		_ = req.Reply(true, nil)
		cmd := exec.Command("git", strings.TrimPrefix(program, "git-"), strings.Trim(path, "'"))
		cmd.Env = Environment()
		cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return
		}
		var copied sync.WaitGroup
		copied.Go(func() {
			in := bufio.NewReader(channel)
			if s.NeedsMultiACK && program == "git-upload-pack" && !firstAsksMultiACK(in) {
				_ = channel.Close()
			}
			_, _ = io.Copy(stdin, in)
			_ = stdin.Close()
		})
		status := struct{ Code uint32 }{}
		if err := cmd.Run(); err != nil {
			status.Code = 1
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(&status))
		_ = channel.Close()
		copied.Wait()
		return
	}
}

// firstAsksMultiACK reports whether the beginning of a fetch requests multi_ack, or
// whether nothing is fetched. It consumes nothing.
func firstAsksMultiACK(in *bufio.Reader) bool {
	const most = 4096 // the size of in's buffer
	for n := 4; n <= most; n++ {
		ahead, err := in.Peek(n)
		if err != nil || string(ahead[:4]) == "0000" {
			return true
		}
		if ahead[n-1] == '\n' {
			return bytes.Contains(ahead, []byte(" multi_ack"))
		}
	}
	return false
}

// newKey makes a key pair and writes the private key to a file, if one is named.
func newKey(t testing.TB, file string) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if file != "" {
		block, err := ssh.MarshalPrivateKey(private, "")
		if err == nil {
			err = os.WriteFile(file, pem.EncodeToMemory(block), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}
