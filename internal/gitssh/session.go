// Package gitssh speaks to git's programs on an SSH server.
//
// It takes the address, the credentials and the program, git-upload-pack or
// git-receive-pack, and gives a conversation in the pieces of go-git. Unlike
// go-git's own transport it reads nobody's ssh_config, and every phase ends with
// the context: a server may stop to answer while it is dialled, before it names
// its version, during the key exchange, or in the middle of a pack.
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

// maxErrorBytes is what is kept of a server's standard error.
const maxErrorBytes = 4096

// Options say where a repository is, and who asks.
type Options struct {
	Host string // with the port
	Path string // as the server is asked for it
	Auth gitssh.AuthMethod
	// Limit bounds what is read of the program's output; nil for no limit.
	Limit func(io.Reader) io.Reader
}

// Session is one conversation with one program. Its context is the one that it
// was opened with: when that ends, the connection is closed.
type Session struct {
	program string
	conn    net.Conn
	client  *ssh.Client
	command *ssh.Session
	stdin   io.WriteCloser
	stdout  io.Reader
	stderr  *tail
	stop    func() bool // stops the connection from being closed with the context
	adv     *packp.AdvRefs
	packed  bool
}

// HostKeyError says why a host's key was not accepted.
type HostKeyError struct{ err error }

// Error gives the reason.
func (e *HostKeyError) Error() string { return e.err.Error() }

// Open connects and starts the program.
func Open(ctx context.Context, program string, o Options) (_ *Session, err error) {
	config, err := o.Auth.ClientConfig()
	if err != nil {
		return nil, err
	}
	verify := config.HostKeyCallback
	if verify == nil {
		return nil, &HostKeyError{errors.New("there is nothing to verify the host's key by")}
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
	s := &Session{program: program, conn: conn, stderr: &tail{max: maxErrorBytes}}
	// What waits for the server, to read or to write, fails when the connection
	// is closed.
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

// output is what a program writes. That its connection was closed looks like its
// end, so the context is asked.
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

// AdvertisedReferencesContext gives what the server has. The context that the
// session was opened with is the one that counts.
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
		return nil, err // why the server complains then is nothing to go by
	case err != nil:
		return nil, s.failed(err)
	}
	transport.FilterUnsupportedCapabilities(adv.Capabilities)
	s.adv = adv
	return adv, nil
}

// isMalformed says whether there was a list of refs that cannot be read.
func isMalformed(err error) bool {
	_, ok := errors.AsType[*packp.ErrUnexpectedData](err)
	return ok
}

// UploadPack asks for a pack and gives the answer up to where the pack begins.
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

// ReceivePack pushes, and gives the server's report.
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

// Close ends the conversation: with a polite flush when nothing was asked for. A
// server that does not read it is not waited for.
func (s *Session) Close() error {
	giveUp := time.AfterFunc(lastWords, func() { _ = s.conn.Close() })
	defer giveUp.Stop()
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
func (s *Session) failed(err error) error {
	// Whatever does not come to an end is cut off.
	giveUp := time.AfterFunc(lastWords, func() { _ = s.conn.Close() })
	defer giveUp.Stop()
	// The end of standard output can come before that of standard error. A
	// server that is not at its end either is not waited for.
	_ = s.stdin.Close()
	_ = s.command.Wait()
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
