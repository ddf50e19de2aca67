package daemon

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// started pushes a first revision and starts a daemon.
func (p *pulled) started() *ran {
	p.t.Helper()
	first := p.push("main", map[string]string{"fedsync.yaml": p.file("web"), "apps/web/config.yaml": p.settings("config", "one")})
	d := p.start()
	d.live(first)
	return d
}

// ours waits until exactly one comment of a pull request is the plan's, in addition to some
// other comments, and returns its number.
func (p *pulled) ours(number int64, others int, words ...string) (id int64) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("one comment on #%d is the plan's", number), func() string {
		var all []struct {
			ID   int64  `json:"id"`
			Body string `json:"body"`
		}
		p.call(http.MethodGet, fmt.Sprintf("/issues/%d/comments", number), nil, &all)
		found := 0
		for _, c := range all {
			if strings.HasPrefix(c.Body, "<!-- fedsync:plan:") && !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(c.Body, word) }) {
				id, found = c.ID, found+1
			}
		}
		if found != 1 || len(all) != others+1 {
			return fmt.Sprintf("%d are, of %d: %+v", found, len(all), all)
		}
		return ""
	})
	return id
}

func TestADaemonKilledWhileItPlansSaysNothingTwice(t *testing.T) {
	kills := 3
	if os.Getenv(longTests) != "" {
		kills = 30
	}
	p := newPulled(t)
	p.cfg.Instance, p.cfg.WebhookSecretFile = "", "" // the name of a killed process is free again
	p.cfg.Interval = time.Second
	p.push("main", map[string]string{"fedsync.yaml": p.file("web"), "apps/web/config.yaml": p.settings("config", "one")})
	heads := p.proposeMany(5)
	for range kills {
		child := startChild(t, p.cfg)
		p.awaitAsked("/issues/", "/statuses/") // it has begun to post
		<-time.After(rand.N(300 * time.Millisecond))
		child.Kill()
	}
	p.start()
	p.posted(heads)
	for _, head := range heads {
		all := p.forge.Statuses(t, head)
		if n := len(all); n > kills+2 || all[0].State != string(status.Success) {
			t.Errorf("%.7s has %d statuses after %d kills, the newest %+v", head, n, kills, all[0])
		}
	}
}

// awaitAsked waits until the forge's API got a request below one of the paths since the last
// call.
func (p *pulled) awaitAsked(paths ...string) {
	p.t.Helper()
	p.door.asked.take()
	eventually(p.t, fmt.Sprintf("the forge is asked for %q", paths), func() string {
		asked := p.door.asked.take()
		for _, path := range paths {
			if slices.ContainsFunc(asked, func(request string) bool { return strings.Contains(request, path) }) {
				return ""
			}
		}
		return fmt.Sprintf("it was asked %q", asked)
	})
}

func TestAForgeThatHangsWhilePlansAreMadeHoldsUpNothingElse(t *testing.T) {
	p := newPulled(t)
	p.cfg.Interval = time.Second
	d := p.started()
	_, without := p.pushLive("before")
	statuses := p.door.hang("/statuses")
	defer statuses()
	heads := p.proposeMany(3)
	eventually(t, "a request hangs", func() string {
		if p.door.hanging.Load() == 0 {
			return "none does"
		}
		return ""
	})
	p.planned(d, heads, p.repo.Head())
	rest := p.door.hang("/")
	defer rest()
	tip, with := p.pushLive("while it hangs")
	d.live(tip)
	t.Logf("a push is in the clusters after %.2f s, and after %.2f s while the forge hangs", without.Seconds(), with.Seconds())
	if with > 5*without+5*time.Second {
		t.Errorf("a push takes %s while the forge hangs, and %s without", with, without)
	}
	for _, head := range heads {
		if all := p.forge.Statuses(t, head); len(all) > 0 && all[0].State == string(status.Success) {
			t.Fatalf("the forge got a status while it hangs: %+v", all)
		}
	}
	rest()
	statuses()
	p.since = time.Now()
	p.posted(heads)
	p.step("the forge answers again, and has the plans")
}

func TestOnlyTheInstanceThatHasTheClaimSpeaksOfPullRequests(t *testing.T) {
	p := newPulled(t)
	p.cfg.Interval, p.cfg.WebhookSecretFile = time.Second, ""
	older := p.started()
	newer := *p.cfg
	newer.Instance = "second"
	its := newDoor(t, p.forge.URL)
	newer.ForgeURL = its.server.URL
	p.startWith(&newer).live(p.repo.Head())
	older.await("the older says that it is fenced", hasFinding("E fenced"))
	p.door.asked.take()

	heads := p.proposeMany(3)
	p.posted(heads)
	wrote := func(asked []string) []string {
		return slices.DeleteFunc(asked, func(request string) bool { return strings.HasPrefix(request, "GET ") })
	}
	if asked := wrote(p.door.asked.take()); len(asked) > 0 {
		t.Errorf("the instance without the claim asked %q", asked)
	}
	if asked := wrote(its.asked.take()); len(asked) < 2*len(heads) {
		t.Errorf("the instance with the claim asked %q, want a status and a comment for each of %d", asked, len(heads))
	}
}

func TestACommentThatSomebodyEditsOrDeletesIsMadeAgain(t *testing.T) {
	t.Parallel() // it waits more than it works
	p := newPulled(t)
	p.cfg.Interval, p.cfg.WebhookSecretFile = time.Second, ""
	p.started()
	var number int64
	for n := range p.proposeMany(1) {
		number = n
	}
	path := fmt.Sprintf("/issues/%d/comments", number)
	say := func(text string) {
		t.Helper()
		p.call(http.MethodPost, path, map[string]any{"body": text}, nil)
	}
	id := p.ours(number, 0, "1 to create")
	p.call(http.MethodPatch, fmt.Sprintf("/issues/comments/%d", id), map[string]any{"body": "<!-- fedsync:plan: -->\nall is well"}, nil)
	say("I made this better.")
	id = p.ours(number, 2, "1 to create") // the edited comment no longer has fedsync's marker, and is left alone
	p.step("one that was edited is made again")
	p.call(http.MethodDelete, fmt.Sprintf("/issues/comments/%d", id), nil, nil)
	say("I deleted this.")
	p.ours(number, 3, "1 to create")
	p.step("one that was deleted is made again")
	p.quiet(3)
}
