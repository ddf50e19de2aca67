package post

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// A past is a history of pushes, outcomes, outages and restarts, and the state that each
// commit must have at its end.
type past struct {
	t      *testing.T
	mu     sync.Mutex // held by the poster's goroutine while it reads this; see handOver
	random *rand.Rand
	forge  *forge
	down   bool
	lossy  bool // it accepts statuses, but the answers are lost
	kill   bool // it accepts the next status, but this process ends before the answer

	file    string
	poster  *Poster
	stop    func()
	commits []*tracked // in order of their pushes
	log     []string
}

// tracked is one commit, and its known history.
type tracked struct {
	sha      string
	written  bool // everything wanted for it is in the outbox
	want     status.State
	words    string
	leftAt   time.Time // when it was no longer wanted as a success after it had been; zero while it is
	overAt   time.Time // when another revision took its place
	forgiven bool      // a restart lost unwritten data, or the folder
}

func (p *past) logf(format string, args ...any) {
	p.log = append(p.log, fmt.Sprintf(format, args...))
}

func (p *past) start() {
	p.poster = New(p.forge, Options{
		Context: web, PublicURL: "https://fedsync.example", Outbox: p.file,
		Older: func(_ context.Context, sha string, n int) ([]string, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			var older []string
			for _, c := range p.commits {
				if c.sha == sha {
					break
				}
				older = append(older, c.sha)
			}
			slices.Reverse(older)
			return older[:min(n, len(older))], nil
		},
	})
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan struct{})
	running := p.poster
	go func() { defer close(done); running.Run(ctx) }()
	p.stop = func() { p.handOver(); cancel(); <-done }
}

// handOver makes changes here visible to the poster's goroutine, which runs only while
// this one waits: synctest orders the two only in the other direction.
func (p *past) handOver() {
	p.mu.Lock()
	defer p.mu.Unlock()
}

// answer returns the forge's answer to a post that it would accept.
func (p *past) answer(c status.Commit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := func() {
		c.Time = time.Now()
		p.forge.posted = append(p.forge.posted, c)
	}
	switch {
	case p.down:
		return errors.New("502 Bad Gateway")
	case p.kill:
		p.kill = false
		taken()
		go p.stop()
		return errors.New("the connection was closed")
	case p.lossy && p.random.IntN(2) == 0:
		taken()
		return errors.New("the answer did not come in time")
	}
	return nil
}

func (p *past) tip() *tracked {
	if len(p.commits) == 0 {
		return nil
	}
	return p.commits[len(p.commits)-1]
}

// begin passes the newest commit to the poster, as at a push and after a start.
func (p *past) begin() {
	if c := p.tip(); c != nil {
		p.poster.Begin(federation.Revision{Ref: "main", SHA: c.sha})
		p.want(c, status.Pending, "0/3 synced")
	}
}

func (p *past) want(c *tracked, s status.State, words string) {
	if c.want == status.Success && s != status.Success {
		c.leftAt = time.Now()
	} else if s == status.Success {
		c.leftAt = time.Time{}
	}
	c.want, c.words, c.written = s, words, false
	p.poster.Want(want(c.sha, s, words))
}

func (p *past) push() {
	if c := p.tip(); c != nil {
		c.overAt, c.written = time.Now(), false
	}
	p.commits = append(p.commits, &tracked{sha: fmt.Sprintf("%040x", len(p.commits)+1)})
}

// restart ends the process and starts another, perhaps after a push.
func (p *past) restart(pushed, abrupt, folderless bool) {
	if !abrupt {
		p.pass(0) // wait until the wishes are written, which takes milliseconds
	}
	p.logf("restart, pushed %t, abrupt %t, without the folder %t", pushed, abrupt, folderless)
	p.stop()
	for _, c := range p.commits {
		c.forgiven = c.forgiven || folderless || abrupt && !c.written
	}
	if folderless {
		_ = os.Remove(p.file)
	}
	if pushed {
		p.push()
	}
	p.start()
	if pushed && p.random.IntN(2) == 0 {
		p.pass(time.Duration(p.random.IntN(100)) * time.Second) // the repository cannot be read at once
		if len(p.commits) > 1 {
			p.commits[len(p.commits)-2].overAt = time.Now() // the replacement becomes known now
		}
	}
	p.begin()
}

func (p *past) pass(d time.Duration) {
	p.handOver()
	advance(p.t, d)
	for _, c := range p.commits {
		c.written = true
	}
}

// step takes one random step.
func (p *past) step(folder bool) {
	outcomes := []struct {
		state status.State
		words string
	}{{status.Success, "3/3 clusters"}, {status.Failure, "1/3 failed: c2"}, {status.Pending, "2/3 synced"}, {status.Failure, "2/3 failed: c1"}}
	switch n := p.random.IntN(12); n {
	case 0, 1, 2:
		p.logf("push")
		p.push()
		p.begin()
	case 3, 4, 5:
		if c := p.tip(); c != nil {
			o := outcomes[p.random.IntN(len(outcomes))]
			p.logf("%s %s", o.state, o.words)
			p.want(c, o.state, o.words)
		}
	case 6:
		p.down = !p.down
		p.logf("down: %t", p.down)
	case 7:
		p.lossy = !p.lossy
		p.logf("answers are lost: %t", p.lossy)
	case 8, 9:
		p.restart(p.random.IntN(2) == 0, p.random.IntN(4) == 0, !folder && p.random.IntN(2) == 0)
	case 10:
		p.logf("killed within the next post")
		p.kill = true
		p.pass(5 * time.Second)
		p.kill = false
		p.restart(p.random.IntN(2) == 0, false, false)
	case 11:
		p.logf("a long time")
		p.pass(time.Duration(p.random.IntN(3600)) * time.Second)
	}
	if p.random.IntN(3) > 0 {
		p.pass(time.Duration(p.random.IntN(20_000)) * time.Millisecond)
	}
}

// of returns the forge's statuses of a commit, oldest first.
func (p *past) of(sha string) []status.Commit {
	var found []status.Commit
	for _, c := range p.forge.posted {
		if c.SHA == sha {
			found = append(found, c)
		}
	}
	return found
}

// judge returns what is wrong with a commit at the end.
func (p *past) judge(c *tracked) string {
	posts := p.of(c.sha)
	finals := 0
	for i, post := range posts {
		if strings.HasPrefix(post.Description, superseded) {
			finals++
		}
		if i > 0 && post.Same(withoutTime(posts[i-1])) {
			return "one status twice in a row"
		}
		if post.TargetURL != "https://fedsync.example/revisions/"+c.sha {
			return "it links to " + post.TargetURL
		}
	}
	last := status.Commit{}
	if len(posts) > 0 {
		last = posts[len(posts)-1]
	}
	ended := strings.HasPrefix(last.Description, superseded)
	switch {
	case c == p.tip() && (last.State != c.want || last.Description != c.words):
		return fmt.Sprintf("want %s %q at last", c.want, c.words)
	case c == p.tip():
		return ""
	case c.forgiven && len(posts) == 0:
		return "" // it is no longer known
	case finals > 1:
		return "more than one last status"
	case c.forgiven && last.State == status.Pending:
		return "it stays pending"
	case !c.forgiven && !ended:
		return "no last status"
	case !c.forgiven && last.State != p.final(c, posts):
		return fmt.Sprintf("its last state should be %s", p.final(c, posts))
	}
	return ""
}

// final returns the state that a superseded commit ends in.
func (p *past) final(c *tracked, posts []status.Commit) status.State {
	before := status.Commit{}
	if len(posts) > 1 {
		before = posts[len(posts)-2]
	}
	flap := before.State == status.Success && !c.leftAt.IsZero() && c.overAt.Sub(c.leftAt) < hold
	if c.want == status.Success || flap {
		return status.Success
	}
	return status.Failure
}

func withoutTime(c status.Commit) status.Commit {
	c.Time = time.Time{}
	return c
}

// live simulates one past, and returns what is wrong at its end.
func live(t *testing.T, seed uint64, folder bool) (wrong []string) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{t: t, random: rand.New(rand.NewPCG(seed, 1)), forge: &forge{}, file: filepath.Join(t.TempDir(), "outbox")} //nolint:gosec // A seed repeats it.
		p.forge.answer = p.answer
		p.forge.listing = func() error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.down {
				return errors.New("502 Bad Gateway")
			}
			return nil
		}
		p.start()
		for range 12 + p.random.IntN(30) {
			p.step(folder)
		}
		p.logf("the end")
		p.down, p.lossy, p.kill = false, false, false
		p.pass(24 * time.Hour) // frequent changes are posted ever more rarely
		for i, c := range p.commits {
			if w := p.judge(c); w != "" {
				wrong = append(wrong, fmt.Sprintf("commit %d, wanted %s: %s; it has %v", i+1, c.want, w, p.of(c.sha)))
			}
		}
		if n := len(p.poster.entries); n > 1 {
			wrong = append(wrong, fmt.Sprintf("%d statuses are kept at the end, want the newest commit's alone", n))
		}
		if letters, err := (outbox{p.file}).read(); err != nil || len(letters) != len(p.poster.entries) {
			wrong = append(wrong, fmt.Sprintf("the outbox has %v, %v", letters, err))
		}
		if len(wrong) > 0 {
			wrong = append(wrong, strings.Join(p.log, "\n\t"))
		}
		p.stop()
	})
	return wrong
}

// Every commit that was ever wanted has the right last status exactly once, whatever
// happened to the forge, its answers, this process and its folder.
func TestEveryCommitHasItsLastStatusOnceAfterAnyHistory(t *testing.T) {
	count := uint64(60)
	if os.Getenv("FEDSYNC_TEST_LONG") != "" {
		count = 20_000
	}
	for seed := range count {
		if wrong := live(t, seed, seed%3 > 0); len(wrong) > 0 {
			t.Fatalf("seed %d: %s", seed, strings.Join(wrong, "\n"))
		}
	}
	t.Logf("%d histories", count)
}
