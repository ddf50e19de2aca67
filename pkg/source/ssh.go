package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"
)

// sshSession speaks to git-upload-pack over ssh.
//
// go-git's own transport would read the user's ssh_config, and waits without
// end for a host that accepts a connection and then says nothing.
type sshSession struct {
	client  *ssh.Client
	command *ssh.Session
	stdin   io.WriteCloser
	stdout  io.Reader
	stderr  *tail
	stop    func() bool // stops the connection from being closed with the context
	adv     *packp.AdvRefs
	packed  bool
}

// hostKeyError says why a host's key was not accepted.
type hostKeyError struct{ err error }

func (e *hostKeyError) Error() string { return e.err.Error() }

func (r *remote) openSSH(conversation *conversation) (_ session, err error) {
	auth, err := r.credentials.ssh()
	if err != nil {
		return nil, err
	}
	config, err := auth.ClientConfig()
	if err != nil {
		return nil, err
	}
	verify := config.HostKeyCallback
	config.HostKeyCallback = func(host string, addr net.Addr, key ssh.PublicKey) error {
		if err := verify(host, addr, key); err != nil {
			return &hostKeyError{err}
		}
		return nil
	}

	var dialer net.Dialer
	conn, err := dialer.DialContext(conversation.ctx, "tcp", r.at.host)
	if err != nil {
		return nil, err
	}
	s := &sshSession{stderr: &tail{max: maxErrorBytes}}
	s.stop = context.AfterFunc(conversation.ctx, func() { _ = conn.Close() })
	defer func() {
		if err != nil {
			s.stop()
			_ = conn.Close()
		}
	}()
	c, channels, requests, err := ssh.NewClientConn(conn, r.at.host, config)
	if err != nil {
		return nil, err
	}
	s.client = ssh.NewClient(c, channels, requests)
	command, err := s.client.NewSession()
	if err != nil {
		return nil, err
	}
	s.command = command
	command.Stderr = s.stderr
	if s.stdin, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.stdout = &limitedReader{r: stdout, left: r.opts.Limits.RepositoryBytes, exceeded: &conversation.exceeded}
	if err := command.Start("git-upload-pack " + shellQuote(r.at.path)); err != nil {
		return nil, err
	}
	return s, nil
}

// AdvertisedReferencesContext gives what the server has. The context that the
// session was opened with is the one that counts.
func (s *sshSession) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	if s.adv != nil {
		return s.adv, nil
	}
	adv := packp.NewAdvRefs()
	err := adv.Decode(s.stdout)
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs) || err == nil && adv.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	case err != nil:
		return nil, s.failed(err)
	}
	transport.FilterUnsupportedCapabilities(adv.Capabilities)
	s.adv = adv
	return adv, nil
}

// UploadPack asks for a pack and gives the answer up to where the pack begins.
func (s *sshSession) UploadPack(_ context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	s.packed = true
	out := bufio.NewWriter(s.stdin)
	err := errors.Join(
		req.UploadRequest.Encode(out),
		req.UploadHaves.Encode(out, true),
		pktline.NewEncoder(out).EncodeString("done\n"),
		out.Flush(),
		s.stdin.Close(),
	)
	if err != nil {
		return nil, s.failed(err)
	}
	res := packp.NewUploadPackResponse(req)
	if err := res.Decode(io.NopCloser(s.stdout)); err != nil {
		return nil, s.failed(err)
	}
	return res, nil
}

// Close ends the conversation: with a polite flush when nothing was asked for.
func (s *sshSession) Close() error {
	if !s.packed {
		_, _ = s.stdin.Write(pktline.FlushPkt)
	}
	s.stop()
	return s.client.Close()
}

// lastWords is how long a server may take to say why it hung up.
const lastWords = 2 * time.Second

// failed adds what the server wrote to standard error, where Git and forges say
// why they refuse.
func (s *sshSession) failed(err error) error {
	// The end of standard output can come before that of standard error. A
	// server that is not at its end either is not waited for.
	_ = s.stdin.Close()
	giveUp := time.AfterFunc(lastWords, func() { _ = s.client.Close() })
	_ = s.command.Wait()
	giveUp.Stop()
	said := strings.TrimSpace(s.stderr.String())
	if said == "" {
		return err
	}
	for _, gone := range []string{"not appear to be a git repository", "not found", "no such repository", "does not exist", "could not be found"} {
		if strings.Contains(strings.ToLower(said), gone) {
			return fmt.Errorf("%w: %s", transport.ErrRepositoryNotFound, said)
		}
	}
	return plumbing.NewUnexpectedError(fmt.Errorf("the server says: %s", said))
}

// tail keeps the first bytes of what a server says.
type tail struct {
	max int

	mu  sync.Mutex // protects buf
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p[:min(len(p), t.max-t.buf.Len())])
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// shellQuote makes a path one word for the shell that runs git-upload-pack. An
// exclamation mark is quoted for csh, as Git does.
func shellQuote(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}
