package apply

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestThreeHundredObjectsAreAppliedInSeconds(t *testing.T) {
	f := newFixture(t)
	manifests := func(value string) []string {
		var out []string
		for i := range 300 {
			out = append(out, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: NAMESPACE}\ndata: {v: '%s'}", i, value))
		}
		return out
	}
	took := func(what string, apps ...federation.AppPlan) time.Duration {
		start := time.Now()
		r := f.Apply(federation.ClusterPlan{Cluster: f.cluster, Apps: apps})
		d := time.Since(start)
		if !r.Complete {
			t.Fatalf("%s is not complete: %v", what, r.Findings)
		}
		t.Logf("%s: %s, %d requests", what, d.Round(time.Millisecond), len(f.counter.requests()))
		return d
	}
	app := f.app("web", manifests("1")...)
	f.plan = federation.ClusterPlan{Apps: []federation.AppPlan{app}}
	f.learnKinds()
	f.watch()
	if d := took("first apply of 300 objects", app); d > 30*time.Second {
		t.Errorf("the first apply of 300 objects took %s", d)
	}
	f.counter.reset()
	took("again", app)
	f.wantRequests()
	changed := f.app("web", strings.Replace(strings.Join(manifests("1"), "\n---\n"), "v: '1'", "v: '2'", 3))
	took("a push that changes 3 of 300", changed)
	took("a push that changes all", f.app("web", manifests("3")...))
	f.start("one")
	f.learnKinds()
	f.watch()
	f.counter.reset()
	took("a restart", f.app("web", manifests("3")...))
	f.wantRequests()
	small := newFixture(t)
	small.mustSync(small.app("web", nginx))
	text := strings.NewReplacer("8080", "8081", "team: web", "team: shop").Replace(nginx)
	app = small.app("web", text)
	start := time.Now()
	small.Apply(federation.ClusterPlan{Cluster: f.cluster, Apps: []federation.AppPlan{app}})
	t.Logf("a push that changes Service, ReplicaSet and Ingress: %s, %q", time.Since(start).Round(time.Millisecond), small.counter.requests()[3:])
}
