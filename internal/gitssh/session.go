// Package gitssh talks to git's programs on an SSH server.
//
// Open takes the address, the credentials and the program, git-upload-pack or
// git-receive-pack, and returns a session whose methods have the types of go-git. Unlike
// go-git's own transport it does not read ssh_config, and every phase ends with the
// context: a server may stop answering while it is dialled, before it sends its version,
// during the key exchange, or in the middle of a pack.
package gitssh

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
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// The programs.
const (
	UploadPack  = "git-upload-pack"
	ReceivePack = "git-receive-pack"
)

// maxErrorBytes is how much of a server's standard error is retained.
const maxErrorBytes = 4096

// Options hold the location of a repository and the credentials.
type Options struct {
	Host string // with the port
	Path string // in the form that is sent to the server
	Auth gitssh.AuthMethod
	// Limit bounds how much of the program's output is read; nil means no limit.
	Limit func(io.Reader) io.Reader
}

// Session is one conversation with one program. When the context that was passed to Open
// ends, the connection is closed.
type Session struct {
	program string
	conn    net.Conn
	client  *ssh.Client
	command *ssh.Session
	stdin   io.WriteCloser
	stdout  io.Reader
	stderr  *head
	stop    func() bool // detaches the connection from the context
	adv     *packp.AdvRefs
	packed  bool
}

// HostKeyError is the reason why a host's key was not accepted.
type HostKeyError struct{ err error }

// Error returns the reason.
func (e *HostKeyError) Error() string { return e.err.Error() }

// Open connects and starts the program.
func Open(ctx context.Context, program string, o Options) (_ *Session, err error) {
	config, err := o.Auth.ClientConfig()
	if err != nil {
		return nil, err
	}
	verify := config.HostKeyCallback
	if verify == nil {
		return nil, &HostKeyError{errors.New("no known host keys to verify the host's key against")}
	}
	config.HostKeyCallback = func(host string, addr net.Addr, key ssh.PublicKey) error {
		if err := verify(host, addr, key); err != nil {
			return &HostKeyError{err}
		}
		return nil
	}

	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", o.Host)
	if err != nil {
		return nil, err
	}
	s := &Session{program: program, conn: conn, stderr: &head{max: maxErrorBytes}}
	// Closing the connection ends all reads and writes that wait for the server.
	s.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if err != nil {
			s.stop()
			_ = conn.Close()
		}
	}()
	c, channels, requests, err := ssh.NewClientConn(conn, o.Host, config)
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
	s.stdout = &output{ctx: ctx, r: stdout}
	if o.Limit != nil {
		s.stdout = o.Limit(s.stdout)
	}
	if err := command.Start(program + " " + shellQuote(o.Path)); err != nil {
		return nil, err
	}
	return s, nil
}

// output reads what a program writes. A closed connection looks like the end of the
// output, so Read checks the context then.
type output struct {
	ctx context.Context
	r   io.Reader
}

func (o *output) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err != nil && o.ctx.Err() != nil {
		err = context.Cause(o.ctx)
	}
	return n, err
}

// AdvertisedReferencesContext returns the server's references. It ignores its context:
// the one that was passed to Open applies.
func (s *Session) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	if s.adv != nil {
		return s.adv, nil
	}
	adv := packp.NewAdvRefs()
	err := adv.Decode(s.stdout)
	switch {
	case s.program == ReceivePack && (err == nil || errors.Is(err, packp.ErrEmptyAdvRefs)):
		// An empty repository may be pushed to.
	case errors.Is(err, packp.ErrEmptyAdvRefs) || err == nil && adv.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	case isMalformed(err):
		return nil, err // the server's standard error does not explain this
	case err != nil:
		return nil, s.failed(err)
	}
	transport.FilterUnsupportedCapabilities(adv.Capabilities)
	s.adv = adv
	return adv, nil
}

// isMalformed reports whether the error is about a list of refs that cannot be parsed.
func isMalformed(err error) bool {
	_, ok := errors.AsType[*packp.ErrUnexpectedData](err)
	return ok
}

// UploadPack requests a pack and returns the answer, read up to the beginning of the
// pack.
func (s *Session) UploadPack(_ context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
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

// ReceivePack pushes and returns the server's report.
func (s *Session) ReceivePack(_ context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	s.packed = true
	if err := errors.Join(req.Encode(s.stdin), s.stdin.Close()); err != nil {
		return nil, s.failed(err)
	}
	if !req.Capabilities.Supports(capability.ReportStatus) {
		return nil, s.command.Wait()
	}
	in := s.stdout
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		in = sideband.NewDemuxer(sideband.Sideband64k, in)
	case req.Capabilities.Supports(capability.Sideband):
		in = sideband.NewDemuxer(sideband.Sideband, in)
	}
	report := packp.NewReportStatus()
	if err := report.Decode(in); err != nil {
		return nil, s.failed(err)
	}
	return report, report.Error()
}

// Close ends the conversation. If no pack was requested or pushed, it first sends the
// flush that the protocol asks for. It does not wait for a server that does not read it.
func (s *Session) Close() error {
	giveUp := time.AfterFunc(lastWords, func() { _ = s.conn.Close() })
	defer giveUp.Stop()
	if !s.packed {
		_, _ = s.stdin.Write(pktline.FlushPkt)
	}
	s.stop()
	return s.client.Close()
}

// lastWords is how long a server may take to write why it hung up.
const lastWords = 2 * time.Second

// failed adds what the server wrote to standard error, where Git and forges give the
// reason for a refusal.
func (s *Session) failed(err error) error {
	// A server that does not end in time is cut off.
	giveUp := time.AfterFunc(lastWords, func() { _ = s.conn.Close() })
	defer giveUp.Stop()
	// Standard output can end before standard error does, so wait for the command.
	_ = s.stdin.Close()
	_ = s.command.Wait()
	text := strings.TrimSpace(s.stderr.String())
	if text == "" {
		return err
	}
	for _, gone := range []string{"not appear to be a git repository", "not found", "no such repository", "does not exist", "could not be found"} {
		if strings.Contains(strings.ToLower(text), gone) {
			return fmt.Errorf("%w: %s", transport.ErrRepositoryNotFound, text)
		}
	}
	return plumbing.NewUnexpectedError(fmt.Errorf("the server wrote: %s", text))
}

// head is a writer that retains the beginning of what is written to it.
type head struct {
	max int

	mu  sync.Mutex // protects buf
	buf bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Write(p[:min(len(p), h.max-h.buf.Len())])
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.String()
}

// shellQuote quotes a path as one word for the shell that runs the program. Like Git, it
// quotes exclamation marks, for csh.
func shellQuote(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}
