package gitssh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	auth "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// The phases in which a server may stop answering.
const (
	noBanner    = "says nothing"
	noKeys      = "stops after its version"
	keysBegun   = "stops in the key exchange"
	noSession   = "opens no session"
	noProgram   = "starts no program"
	noRefs      = "lists no refs"
	halfRefs    = "stops in the list of refs"
	noPack      = "sends no pack"
	halfPack    = "stops in the pack"
	noRead      = "does not read"
	firstCommit = "1111111111111111111111111111111111111111"
)

// silent is a server that stops answering in one phase.
type silent struct {
	phase string
	host  ssh.Signer
	ended chan struct{}
}

// serve returns the server's address.
func (s *silent) serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	s.ended = make(chan struct{})
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer func() { _ = conn.Close() }()
				s.answer(conn)
				<-s.ended
			})
		}
	})
	t.Cleanup(func() { close(s.ended); _ = l.Close(); conns.Wait() })
	return l.Addr().String()
}

// stingy passes on a number of bytes and then stops.
type stingy struct {
	net.Conn
	left int
	end  <-chan struct{}
}

func (s *stingy) Write(p []byte) (int, error) {
	if len(p) > s.left {
		n, _ := s.Conn.Write(p[:s.left])
		s.left = 0
		<-s.end
		return n, io.ErrClosedPipe
	}
	s.left -= len(p)
	return s.Conn.Write(p)
}

func (s *silent) answer(conn net.Conn) {
	switch s.phase {
	case noBanner:
		return
	case noKeys:
		_, _ = io.WriteString(conn, "SSH-2.0-silent\r\n")
		return
	case keysBegun:
		conn = &stingy{Conn: conn, left: 400, end: s.ended}
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(s.host)
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if s.phase == noSession {
			continue
		}
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		for request := range requests {
			if s.phase == noProgram {
				continue
			}
			_ = request.Reply(true, nil)
			s.program(channel)
		}
	}
}

func (s *silent) program(out io.ReadWriter) {
	if s.phase == noRefs {
		return
	}
	refs := &bytes.Buffer{}
	adv := packp.NewAdvRefs()
	adv.References["refs/heads/main"] = plumbing.NewHash(firstCommit)
	for _, c := range []capability.Capability{capability.ReportStatus, capability.Shallow} {
		_ = adv.Capabilities.Set(c)
	}
	_ = adv.Encode(refs)
	if s.phase == halfRefs {
		refs.Truncate(refs.Len() / 2)
	}
	_, _ = out.Write(refs.Bytes())
	if s.phase == halfPack {
		_ = pktline.NewEncoder(out).EncodeString("NAK\n")
		_, _ = io.WriteString(out, "PACK\x00\x00\x00\x02\x00\x00\x00\x09half")
	}
}

func key(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// converse goes through all phases of a fetch or a push.
func converse(ctx context.Context, program, host string, method auth.AuthMethod) error {
	s, err := Open(ctx, program, Options{Host: host, Path: "/web.git", Auth: method})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	refs, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return err
	}
	if program == ReceivePack {
		req := packp.NewReferenceUpdateRequestFromCapabilities(refs.Capabilities)
		req.Commands = []*packp.Command{{Name: "refs/notes/fedsync", Old: plumbing.ZeroHash, New: plumbing.NewHash(firstCommit)}}
		// More than all windows and buffers on the way hold.
		req.Packfile = io.NopCloser(io.LimitReader(zeros{}, 64<<20))
		_, err = s.ReceivePack(ctx, req)
		return err
	}
	req := packp.NewUploadPackRequestFromCapabilities(refs.Capabilities)
	req.Wants = []plumbing.Hash{plumbing.NewHash(firstCommit)}
	answer, err := s.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer)
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestASilentServerEndsWithTheContextInEveryPhase(t *testing.T) {
	host := key(t)
	method := &auth.PublicKeys{User: "git", Signer: key(t)}
	method.HostKeyCallback = ssh.FixedHostKey(host.PublicKey())
	for program, phases := range map[string][]string{
		UploadPack:  {noBanner, noKeys, keysBegun, noSession, noProgram, noRefs, halfRefs, noPack, halfPack},
		ReceivePack: {noBanner, noKeys, keysBegun, noSession, noProgram, noRefs, halfRefs, noRead},
	} {
		for _, phase := range phases {
			t.Run(program+" "+phase, func(t *testing.T) {
				t.Parallel()
				address := (&silent{phase: phase, host: host}).serve(t)
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- converse(ctx, program, address, method) }()
				select {
				case err := <-ended:
					if err == nil || ctx.Err() == nil {
						t.Errorf("ended with %v, its context with %v: want an error when the context ends", err, ctx.Err())
					}
				case <-time.After(20 * time.Second):
					t.Fatal("not back 20 seconds after its context of half a second")
				}
			})
		}
	}
}

func TestClosingDoesNotWaitForAServerThatDoesNotRead(t *testing.T) {
	host := key(t)
	method := &auth.PublicKeys{User: "git", Signer: key(t)}
	method.HostKeyCallback = ssh.FixedHostKey(host.PublicKey())
	s, err := Open(t.Context(), UploadPack, Options{
		Host: (&silent{phase: noPack, host: host}).serve(t), Path: "/web.git", Auth: method,
	})
	if err != nil {
		t.Fatal(err)
	}
	// Fill the window, so that the flush at the end finds no room.
	filled := make(chan struct{})
	go func() { defer close(filled); _, _ = io.Copy(s.stdin, zeros{}) }()
	start := time.Now()
	_ = s.Close()
	if took := time.Since(start); took > 5*lastWords {
		t.Errorf("Close took %s, want about %s", took, lastWords)
	}
	<-filled
}

func TestAnotherHostKeyIsNamed(t *testing.T) {
	method := &auth.PublicKeys{User: "git", Signer: key(t)}
	method.HostKeyCallback = ssh.FixedHostKey(key(t).PublicKey())
	_, err := Open(t.Context(), UploadPack, Options{
		Host: (&silent{phase: noRefs, host: key(t)}).serve(t), Path: "/web.git", Auth: method,
	})
	if wrong := (*HostKeyError)(nil); !errors.As(err, &wrong) && !strings.Contains(err.Error(), "host key") {
		t.Errorf("Open = %v, want a HostKeyError", err)
	}
}
