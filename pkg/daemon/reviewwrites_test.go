package daemon

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/status"
)

// serverWrites counts the requests to an API server that may have written something, by
// verb, resource and whether they were dry runs. The counts are the server's own metrics.
type serverWrites map[string]int

var requestTotal = regexp.MustCompile(`^apiserver_request_total\{(.*)\} ([0-9.e+]+)$`)

// writes reads the metrics of the only cluster.
func (p *pulled) writes() serverWrites {
	p.t.Helper()
	cluster := p.sandbox.Clusters()[0]
	text, err := p.sandbox.Client(p.t, cluster).CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(p.t.Context())
	if err != nil {
		p.t.Fatalf("read the metrics of %s: %v", cluster, err)
	}
	all := serverWrites{}
	for line := range strings.Lines(string(text)) {
		found := requestTotal.FindStringSubmatch(strings.TrimSpace(line))
		if found == nil {
			continue
		}
		its := labels(found[1])
		switch its["verb"] {
		case "GET", "LIST", "WATCH", "WATCHLIST", "CONNECT", "HEAD":
			continue
		}
		n, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		name := its["verb"] + " " + its["resource"]
		if its["subresource"] != "" {
			name += "/" + its["subresource"]
		}
		if its["dry_run"] != "" {
			name += " dry run " + its["dry_run"]
		}
		all[name] += int(n)
	}
	return all
}

// labels returns the labels of a metric.
func labels(text string) map[string]string {
	all := map[string]string{}
	for _, pair := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		all[pair[1]] = pair[2]
	}
	return all
}

// since returns the requests since an earlier count.
func (w serverWrites) since(before serverWrites) serverWrites {
	more := serverWrites{}
	for name, n := range w {
		if n > before[name] {
			more[name] = n - before[name]
		}
	}
	return more
}

// others matches the writes that a cluster makes without any daemon: by its controllers, its
// nodes and its own components.
var others = regexp.MustCompile(`^\w+ (leases|events|nodes|nodes/status|apiservices|apiservices/status|flowschemas/status|prioritylevelconfigurations/status|tokenreviews|serviceaccounts/token)$`)

// real returns the requests that are neither dry runs, nor access reviews, nor made by the
// cluster itself.
func (w serverWrites) real() serverWrites {
	all := serverWrites{}
	for name, n := range w {
		if !strings.Contains(name, " dry run All") && !strings.Contains(name, "accessreviews") && !strings.Contains(name, "rulesreviews") && !others.MatchString(name) {
			all[name] = n
		}
	}
	return all
}

// A plan writes nothing to a cluster, according to the API server's own metrics.
func TestAPlanMakesOnlyDryRuns(t *testing.T) {
	t.Parallel() // it waits more than it works

	p := newPulledOn(t, lab.Own(t, 1)) // it has no other clients
	first := p.push("main", map[string]string{"fedsync.yaml": p.file("web"), "apps/web/config.yaml": p.settings("config", "one")})
	d := p.start()
	d.live(first)
	p.forge.AddWebhook(t, d.publicURL()+"/webhook/gitea", "hook-secret")
	planned := func(branch string, files map[string]string, state status.State, words ...string) {
		t.Helper()
		p.repo.InWork("checkout", "--quiet", "-B", branch, "main")
		sha := p.push(branch, files)
		p.propose(branch)
		p.status(sha, "fedsync/"+p.name+"/plan", state, words...)
	}

	before := p.writes()
	planned("more", map[string]string{
		"apps/web/all.yaml":    p.service() + "---\n" + p.replicaSet(1) + "---\n" + p.ingress(),
		"apps/web/config.yaml": p.settings("config", "two"),
	}, status.Success, "3 to create", "1 to change")
	planned("bad", map[string]string{"apps/web/bad.yaml": strings.Replace(p.settings("bad", "1"), "name: bad", "name: B_", 1)}, status.Failure)
	made := p.writes().since(before)
	t.Logf("while two pull requests were planned: %v", made)
	if real := made.real(); len(real) > 0 {
		t.Errorf("a plan wrote: %v", real)
	}
	for _, resource := range []string{"services", "replicasets", "ingresses", "configmaps"} {
		if made["APPLY "+resource+" dry run All"] == 0 {
			t.Errorf("there was no dry run of %s: %v", resource, made)
		}
	}

	before = p.writes()
	p.repo.InWork("checkout", "--quiet", "main")
	d.live(p.push("main", map[string]string{"apps/web/config.yaml": p.settings("config", "three")}))
	if real := p.writes().since(before).real(); real["APPLY configmaps"] == 0 {
		t.Errorf("the counts do not show a push: %v", real)
	}
}
