package daemon

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/status"
)

// proposeMany opens pull requests into main that each add one ConfigMap, with one push. It
// returns their heads by number.
func (p *pulled) proposeMany(n int) map[int64]string {
	p.t.Helper()
	var stream strings.Builder
	refs := []string{"push", "--quiet", p.forge.PushURL()}
	for i := range n {
		branch := fmt.Sprintf("change-%d", i)
		content := p.settings(branch, "proposed")
		fmt.Fprintf(&stream, "commit refs/heads/%s\ncommitter Test <test@example.com> 1700000000 +0000\ndata %d\n%s\nfrom refs/heads/main^0\nM 100644 inline apps/web/%s.yaml\ndata %d\n%s\n",
			branch, len(branch), branch, branch, len(content), content)
		refs = append(refs, "refs/heads/"+branch)
	}
	p.repo.PushTo("main")
	p.repo.Import(stream.String())
	p.repo.Git(refs...)

	heads := map[int64]string{}
	for _, ref := range refs[3:] {
		branch := strings.TrimPrefix(ref, "refs/heads/")
		heads[p.propose(branch)] = strings.TrimSpace(p.repo.Git("rev-parse", branch))
	}
	return heads
}

// planned waits until each of the heads has a plan that is a success. It polls the
// reviewer, and finally checks the forge.
func (p *pulled) planned(d *ran, heads map[int64]string, tip string) {
	p.t.Helper()
	within(p.t, 10*time.Minute, "all are planned", func() string {
		made := d.reviewer.Plans()
		waiting := 0
		for _, head := range heads {
			if m, ok := made[head]; !ok || m.Tip != tip {
				waiting++
			}
		}
		if waiting > 0 {
			return fmt.Sprintf("%d of %d wait", waiting, len(heads))
		}
		return ""
	})
}

// posted waits until each of the heads has its status and its comment on the forge.
func (p *pulled) posted(heads map[int64]string) {
	p.t.Helper()
	for number, head := range heads {
		p.status(head, "fedsync/"+p.name+"/plan", status.Success, "1 to create")
		p.comment(number, "1 to create")
	}
}

// pushLive pushes a value to main, and returns the time until the first cluster has it.
func (p *pulled) pushLive(value string) (sha string, took time.Duration) {
	p.t.Helper()
	p.repo.InWork("checkout", "--quiet", "main")
	p.repo.Write(map[string]string{"apps/web/config.yaml": p.settings("config", value)})
	p.repo.InWork("commit", "--quiet", "--all", "--message", value)
	began := time.Now()
	p.repo.InWork("push", "--quiet", p.forge.PushURL(), "main")
	for _, cluster := range p.sandbox.Clusters() {
		p.awaitValue(cluster, "config", value)
	}
	return p.repo.Head(), time.Since(began)
}

// pushes pushes to main several times, and returns the median of the times until all
// clusters have a push.
func (p *pulled) pushes(n int, name string, pause time.Duration) (sha string, middle time.Duration) {
	p.t.Helper()
	var times []time.Duration
	for i := range n {
		var took time.Duration
		sha, took = p.pushLive(fmt.Sprintf("%s %d", name, i))
		times = append(times, took)
		p.t.Logf("%s: push %d is in the clusters after %.2f s", name, i, took.Seconds())
		if i == n-1 {
			break
		}
		time.Sleep(pause) //nolint:forbidigo // the next push comes while plans after this one are being made
	}
	slices.Sort(times)
	return sha, times[len(times)/2]
}

// The short form has 20 pull requests and one push. The long form has 200, and compares
// several pushes with as many to a daemon that plans nothing.
func TestManyPullRequestsArePlannedAndSlowNothingDown(t *testing.T) {
	many, intervals, pushes := 20, 2, 1
	long := os.Getenv(longTests) != ""
	if long {
		many, intervals, pushes = 200, 10, 5
	}
	p := newPulled(t)
	tip := p.push("main", map[string]string{"fedsync.yaml": p.file("web"), "apps/web/config.yaml": p.settings("config", "one")})
	heads := p.proposeMany(many)
	p.step(fmt.Sprintf("%d pull requests are open", many))
	without := time.Duration(0)
	if long {
		tip, without = p.withoutPlans(pushes)
	}

	p.cfg.Interval, p.since = time.Second, time.Now()
	d := p.start()
	p.forge.AddWebhook(t, d.publicURL()+"/webhook/gitea", "hook-secret")
	p.planned(d, heads, tip)
	p.step("all are planned")
	p.posted(heads)
	p.step("all have a status and a comment")

	p.door.asked.take()
	tip, with := p.pushes(pushes, "while all are planned again", time.Second)
	t.Logf("a push is in the clusters after %.2f s while %d pull requests are planned, and after %.2f s without", with.Seconds(), many, without.Seconds())
	if long && with > 5*without+5*time.Second {
		t.Errorf("a push takes %s while pull requests are planned, and %s without", with, without)
	}
	p.oneMore()
	p.since = time.Now()
	if long {
		p.planned(d, heads, tip)
		p.step("all are planned again")
	}
	for _, request := range p.door.asked.take() {
		said := strings.HasPrefix(request, "PATCH ")
		for number, head := range heads {
			said = said || strings.HasPrefix(request, "POST ") && (strings.Contains(request, head) || strings.Contains(request, fmt.Sprintf("/issues/%d/", number)))
		}
		if said {
			t.Errorf("%s, although another base alone must not change a comment or a status", request)
		}
	}
	p.quiet(intervals)
}

// withoutPlans returns how long a push takes with a daemon that plans nothing.
func (p *pulled) withoutPlans(pushes int) (tip string, middle time.Duration) {
	p.t.Helper()
	cfg := *p.cfg
	cfg.PlanPullRequests = config.PlanNone
	d := p.startWith(&cfg)
	d.live(p.repo.Head())
	p.forge.AddWebhook(p.t, d.publicURL()+"/webhook/gitea", "hook-secret")
	p.pushLive("warm")
	tip, middle = p.pushes(pushes, "without plans", time.Second)
	d.stop()
	return tip, middle
}

// oneMore opens another pull request, and logs how long its plan takes.
func (p *pulled) oneMore() {
	p.t.Helper()
	p.repo.InWork("checkout", "--quiet", "-B", "more", "main")
	began := time.Now()
	head := p.push("more", map[string]string{"apps/web/more.yaml": p.settings("more", "1")})
	number := p.propose("more")
	opened := time.Now()
	p.status(head, "fedsync/"+p.name+"/plan", status.Success, "1 to create")
	p.t.Logf("the plan of one more is posted %.2f s after its push began, and %.2f s after it was opened", time.Since(began).Seconds(), time.Since(opened).Seconds())
	p.comment(number, "1 to create")
}

// quiet waits until the forge gets only the requests of each interval, and counts them.
func (p *pulled) quiet(intervals int) {
	p.t.Helper()
	p.door.asked.take()
	within(p.t, 2*time.Minute, "the forge is left alone", func() string {
		time.Sleep(2 * p.cfg.Interval) //nolint:forbidigo // time passes
		if asked := p.door.asked.take(); len(asked) > 3 {
			return fmt.Sprintf("it is asked %q", asked)
		}
		return ""
	})
	time.Sleep(time.Duration(intervals) * p.cfg.Interval) //nolint:forbidigo // time passes
	asked := p.door.asked.take()
	p.t.Logf("in %d intervals the forge's API gets %d requests: %q", intervals, len(asked), slices.Compact(slices.Clone(asked)))
	if len(asked) > intervals+2 {
		p.t.Errorf("%d requests in %d intervals where nothing changes", len(asked), intervals)
	}
}

// counter records the requests that pass through.
type counter struct {
	mu    sync.Mutex // protects asked
	asked []string
}

func (c *counter) note(r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, r.Method+" "+r.URL.RequestURI())
}

// take returns the requests since its last call.
func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.asked
	c.asked = nil
	return asked
}
