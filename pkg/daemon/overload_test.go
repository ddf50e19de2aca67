package daemon

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/lab/faults"
	"github.com/fedsync/fedsync/pkg/status"
)

const (
	// longTests is the environment variable that selects the long form of tests.
	longTests = "FEDSYNC_TEST_LONG"
	// atMost is how many requests a minute, in addition to the probes, an API server may
	// get if it refuses everything.
	atMost = 30
)

// However an API server refuses everything, it gets few requests, and is used again as soon
// as it answers. The short form counts one minute, the long form two.
func TestAnAPIServerThatRefusesEverythingIsLeftInPeace(t *testing.T) {
	t.Parallel() // it waits more than it works
	objects, minutes, warmUp := 40, 1, 30*time.Second
	if os.Getenv(longTests) != "" {
		objects, minutes, warmUp = 300, 2, time.Minute
	}
	refusing, watching := faultyWorld(t), faultyWorld(t)
	var daemons []*ran
	var shas []string
	begin := func(w *world) {
		d := w.start()
		d.live(w.repo.Push("first", map[string]string{
			"fedsync.yaml":       w.file("web"),
			"apps/web/many.yaml": w.many(objects, "1"),
			"apps/web/web.yaml":  w.replicaSet(1),
		}))
		daemons = append(daemons, d)
	}
	begin(refusing)
	begin(watching)

	// Three clusters refuse everything, and three others every watch.
	for i, refuse := range []func(*lab.Proxy) *lab.Rule{
		func(p *lab.Proxy) *lab.Rule { return p.RefuseAll(http.StatusInternalServerError) },
		func(p *lab.Proxy) *lab.Rule { return p.RefuseAll(http.StatusForbidden) },
		func(p *lab.Proxy) *lab.Rule { return p.Throttle(1) },
	} {
		refuse(refusing.proxy(i))
		refusing.proxy(i).Disconnect()
	}
	tooLarge := faults.Status(http.StatusGatewayTimeout)
	tooLarge.Query, tooLarge.Reason, tooLarge.Message = "watch=true", "Timeout", "Too large resource version: 99999999, current: 1"
	watching.proxy(0).ExpireWatches()
	watching.proxy(1).ExpireRunningWatches()
	watching.proxy(2).Add(tooLarge)
	for i := range 3 {
		watching.proxy(i).Disconnect()
	}
	for _, w := range []*world{refusing, watching} {
		shas = append(shas, w.repo.Push("second", map[string]string{"apps/web/many.yaml": w.many(objects, "2")}))
	}

	from := time.Now().Add(warmUp)
	to := from.Add(time.Duration(minutes) * time.Minute)
	<-time.After(time.Until(to))
	for _, w := range []*world{refusing, watching} {
		for i := range 3 {
			requests := w.proxy(i).Requests().Besides("/readyz").Between(from, to)
			counts := requests.Minutes(from, to)
			t.Logf("%s, %v: %v requests a minute, %v", w.proxy(i).Cluster(), answers(requests), counts, requests.Count())
			for _, n := range counts {
				if n > atMost {
					t.Errorf("%d requests in a minute, want at most %d", n, atMost)
				}
			}
		}
	}
	refusing.front.RemoveAll()
	watching.front.RemoveAll()
	ended := time.Now()
	for i, d := range daemons {
		within(t, liftedWithin, "all is well again", func() string {
			if missing := is(shas[i], status.Success)(d.reports.Newest()); missing != "" {
				return missing + "\n" + describe(d.reports.Newest())
			}
			return ""
		})
		t.Logf("daemon %d has done all %s after the end", i, time.Since(ended))
	}
}

// A short overload is not reported as missing permission, and the report clears when it is
// over.
func TestAnOverloadedAPIServerIsNotCalledForbidding(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := faultyWorld(t)
	proxy := w.proxy(0)
	d := w.start()
	d.live(w.repo.Push("first", map[string]string{
		"fedsync.yaml":      w.file("web"),
		"apps/web/a.yaml":   w.settings("a", "1"),
		"apps/web/web.yaml": w.replicaSet(1),
	}))
	rule := proxy.Throttle(1)
	proxy.Disconnect()
	second := w.repo.Push("second", map[string]string{"apps/web/a.yaml": w.settings("a", "2")})
	length := 10 * time.Second
	if os.Getenv(longTests) != "" {
		length = 30 * time.Second
	}
	d.during(length, "while it has too much to do", func(r *status.Report) string {
		for _, f := range r.Findings {
			text := strings.ToLower(fmt.Sprint(f.Message, f.Remedy))
			if f.ID == "D07" || strings.Contains(text, "forbidden") || strings.Contains(text, "allow ") || strings.Contains(text, "grant") {
				return "it speaks of permissions"
			}
		}
		return ""
	})
	d.await("it says so", hasFinding(proxy.Cluster(), "the API server is overloaded"))
	rule.Remove()
	ended := time.Now()
	d.live(second)
	t.Logf("all was well %s after the end", time.Since(ended))
	d.during(time.Second, "nothing of it is left", func(r *status.Report) string {
		if len(r.Findings) > 0 {
			return "there is something"
		}
		return ""
	})
}

// The report quotes the error of a list or a watch of one kind, whatever it is, and names
// what waits for it.
func TestAWatchThatFailsIsSaidWithItsError(t *testing.T) {
	t.Parallel() // it waits more than it works
	for _, c := range []struct {
		what string
		path func(*world) string
	}{
		{"the Services of a cluster", func(*world) string { return "^/api/v1/services$" }},
		{"the inventories", func(*world) string { return "^/api/v1/namespaces/fedsync-system/configmaps" }},
		{"the claim", func(*world) string { return "^/apis/coordination.k8s.io/v1/namespaces/fedsync-system/leases" }},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := faultyWorld(t)
			proxy := w.proxy(0)
			down := faults.Status(http.StatusInternalServerError)
			down.Method, down.Path, down.Message = "GET", c.path(w), "etcdserver: request timed out"
			rule := proxy.Add(down)
			d := w.start()
			sha := w.repo.Push("first", map[string]string{
				"fedsync.yaml":          w.file("web"),
				"apps/web/web.yaml":     w.replicaSet(1),
				"apps/web/service.yaml": w.service(),
			})
			d.await("its error is said", allOf(hasFinding(proxy.Cluster(), "etcdserver: request timed out"), func(r *status.Report) string {
				if r.State == status.Success {
					return "it is a success"
				}
				for _, name := range w.sandbox.Clusters()[1:] {
					if !clusterOf(r, name).Current {
						return name + " is not current"
					}
				}
				return ""
			}))
			rule.Remove()
			d.live(sha)
			if missing := lacks("etcdserver")(d.reports.Newest()); missing != "" {
				t.Error(missing)
			}
		})
	}
}

// Events of an object that cannot be repaired do not make retries more frequent.
func TestEventsOfAnObjectThatCannotBeRepairedCostNoRequests(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := faultyWorld(t)
	proxy := w.proxy(0)
	d := w.start()
	sha := w.repo.Push("first", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/a.yaml": w.settings("a", "1")})
	d.live(sha)
	rule := proxy.Add(w.writesTo("a", denial()))
	w.update(proxy.Cluster(), "ConfigMap", "a", setValue("drift"))
	rule.Await(1)
	before, began := writesOf(proxy, "configmaps", "a"), time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range 60 {
		<-tick.C
		w.update(proxy.Cluster(), "ConfigMap", "a", func(u *unstructured.Unstructured) {
			u.SetAnnotations(map[string]string{"example.com/n": fmt.Sprint(i)})
		})
	}
	took := time.Since(began)
	tries := writesOf(proxy, "configmaps", "a") - before
	t.Logf("%d tries during 60 events in %s", tries, took)
	if most := 4 + int(took/(4*time.Second)); tries > most {
		t.Errorf("%d tries during 60 events in %s, want at most %d", tries, took, most)
	}
	rule.Remove()
	within(t, liftedWithin, "it is repaired", func() string {
		if got := w.value(proxy.Cluster(), "a"); got != "1" {
			return "it is " + got
		}
		return ""
	})
	d.live(sha)
}

// answers counts requests by the status of the answer.
func answers(requests faults.Requests) map[int]int {
	counts := map[int]int{}
	for _, r := range requests {
		counts[r.Status]++
	}
	return counts
}
