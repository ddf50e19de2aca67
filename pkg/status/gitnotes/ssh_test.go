package gitnotes

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	sshauth "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/post"
)

func publicKey(t *testing.T, keyFile, knownHosts string) func() (transport.AuthMethod, error) {
	t.Helper()
	return func() (transport.AuthMethod, error) {
		key, err := os.ReadFile(keyFile)
		if err != nil {
			return nil, err
		}
		auth, err := sshauth.NewPublicKeys("git", key, "")
		if err != nil {
			return nil, err
		}
		known, err := sshauth.NewKnownHostsDb(knownHosts)
		if err != nil {
			return nil, err
		}
		auth.HostKeyCallback = known.HostKeyCallback()
		return auth, nil
	}
}

func TestNotesWorkOverSSH(t *testing.T) {
	repo := sourcetest.New(t)
	sha := repo.Push("first", map[string]string{"a": "1"})
	server := sourcetest.ServeSSH(t, repo)
	provider := func() *Provider {
		p, err := New(Config{URL: server.CloneURL(), Auth: publicKey(t, server.KeyFile, server.KnownHosts)})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one, other := provider(), provider()
	for _, c := range []status.Commit{
		wanted(sha, status.Pending, "0/3 synced"), wanted(sha, status.Success, "3/3 clusters"),
	} {
		if err := one.Post(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		got, err := other.List(t.Context(), sha, c.Context)
		if err != nil || len(got) != 1 || got[0].State != c.State || got[0].Description != c.Description {
			t.Errorf("List = %v, %v, want what was posted", got, err)
		}
		one, other = other, one // the other's push made each copy stale
	}

	refused, err := New(Config{URL: server.CloneURL(), Auth: publicKey(t, server.OtherKey, server.KnownHosts)})
	if err != nil {
		t.Fatal(err)
	}
	if err := refused.Post(t.Context(), wanted(sha, status.Failure, "1/3 failed")); !errors.Is(err, status.ErrUnauthorized) {
		t.Errorf("Post with an unauthorized key = %v, want %v", err, status.ErrUnauthorized)
	}
}

func TestASilentSSHServerDoesNotDelayTheEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	server := sourcetest.ServeSSH(t, sourcetest.New(t))
	p, err := New(Config{URL: "ssh://git@" + l.Addr().String() + "/web.git", Auth: publicKey(t, server.KeyFile, server.KnownHosts)})
	if err != nil {
		t.Fatal(err)
	}
	c := wanted("1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", status.Success, "3/3 clusters")
	for name, call := range map[string]func(context.Context) error{
		"Post": func(ctx context.Context) error { return p.Post(ctx, c) },
		"List": func(ctx context.Context) error { _, err := p.List(ctx, c.SHA, c.Context); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		start := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- call(ctx) }()
		select {
		case err := <-ended:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s = %v, want the context's error", name, err)
			}
			t.Logf("%s ended after %s", name, time.Since(start))
		case <-time.After(10 * time.Second):
			t.Errorf("%s does not end with its context", name)
		}
		cancel()
	}

	// End to end: a poster ends although its server is silent.
	poster := post.New(p, post.Options{})
	poster.Want(c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); poster.Run(ctx) }()
	for range 3 { // those of Post, List and the poster, which get no answer
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the poster waits for a silent server at its end")
	}
}
