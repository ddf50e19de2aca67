package daemon

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/lab/faults"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// The tests of failover share one sandbox, one after the other. So does the test that
// counts every request, because no other test uses that sandbox.
func TestReplicasMoveWhenAClusterIsLost(t *testing.T) {
	s := lab.Own(t, 3)
	t.Run("it hangs, and its share goes back", func(t *testing.T) {
		relocation(t, s, s.Pause, s.Resume, true)
	})
	t.Run("it refuses, and its pods ran on", func(t *testing.T) {
		relocation(t, s, s.Kill, s.Start, false)
	})
	t.Run("two of three freeze until a person confirms", func(t *testing.T) {
		frozenFederation(t, s)
	})
	t.Run("one lost probe or two move nothing", func(t *testing.T) {
		fewLostProbes(t, s)
	})
	t.Run("at rest nothing is asked but whether clusters are ready", func(t *testing.T) {
		atRest(t, s)
	})
	t.Run("with failover Off nothing moves by itself", func(t *testing.T) {
		failoverByHand(t, s)
	})
}

// shared is a ReplicaSet whose replicas are the total of all clusters.
func (w *world) shared(total int, rebalance bool) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web
  namespace: %s
  annotations:
    federation.kubernetes.io/replica-set-preferences: '{"rebalance": %t, "clusters": {"*": {"weight": 1}}}'
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "example.com/web:1"}]
`, w.namespace, rebalance, total)
}

// replicas returns spec.replicas of web in each of the clusters.
func (w *world) replicas(clusters ...string) []int64 {
	w.t.Helper()
	counts := make([]int64, len(clusters))
	for i, cluster := range clusters {
		counts[i] = -1
		if u := w.get(cluster, "ReplicaSet", "web"); u != nil {
			counts[i], _, _ = unstructured.NestedInt64(u.Object, "spec", "replicas")
		}
	}
	return counts
}

func (w *world) awaitReplicas(clusters []string, want ...int64) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("web has %v replicas in %v", want, clusters), func() string {
		if got := w.replicas(clusters...); !slices.Equal(got, want) {
			return fmt.Sprintf("it has %v", got)
		}
		return ""
	})
}

func failoverWorld(t *testing.T, s *lab.Sandbox) *world {
	w := newWorld(t, s)
	// These are the defaults, so that the times are those of a user.
	w.cfg.ProbeInterval, w.cfg.ProbeTimeout = 2*time.Second, 2*time.Second
	w.cfg.RequestTimeout = 5 * time.Second
	return w
}

// relocation loses one cluster of three and gets it back.
func relocation(t *testing.T, s *lab.Sandbox, away, back func(testing.TB, string), rebalance bool) {
	w := failoverWorld(t, s)
	all := s.Clusters()
	lost, others := all[1], []string{all[0], all[2]}
	d := w.start()
	sha := w.repo.Push("web", map[string]string{
		"fedsync.yaml":      w.file("web"),
		"apps/web/web.yaml": w.shared(6, rebalance),
	})
	d.live(sha)
	w.awaitReplicas(all, 2, 2, 2)

	away(t, lost)
	started := time.Now()
	isBack := false
	defer func() {
		if !isBack {
			back(t, lost) // for the clean-up
		}
	}()
	w.awaitReplicas(others, 3, 3)
	t.Logf("moved %s after the outage began", time.Since(started))
	d.await("the commit waits for "+lost, func(r *status.Report) string {
		if r.State != status.Pending || !strings.Contains(r.Description.String(), lost) {
			return "it does not"
		}
		return ""
	})

	// A restart during the outage lowers no number and moves nothing again.
	d.stop()
	before := w.versionsIn(others)
	d = w.start()
	d.await(lost+" is known to be Offline", func(r *status.Report) string {
		if c := clusterOf(r, lost); c.State != federation.ClusterOffline {
			return "it is " + string(c.State)
		}
		for _, name := range others {
			if c := clusterOf(r, name); !c.Current {
				return name + " is not current"
			}
		}
		return ""
	})
	if after := w.versionsIn(others); !maps.Equal(after, before) {
		t.Errorf("the restart wrote: %v, was %v", after, before)
	}

	back(t, lost)
	isBack = true
	returned := time.Now()
	d.live(sha)
	want := []int64{2, 2, 2}
	w.awaitReplicas(all, want...)
	t.Logf("settled %s after its return", time.Since(returned))
}

// versionsIn returns the resourceVersions of web in some clusters.
func (w *world) versionsIn(clusters []string) map[string]string {
	w.t.Helper()
	versions := map[string]string{}
	for _, cluster := range clusters {
		u := w.get(cluster, "ReplicaSet", "web")
		versions[cluster] = fmt.Sprint(u.GetGeneration())
	}
	return versions
}

func frozenFederation(t *testing.T, s *lab.Sandbox) {
	w := failoverWorld(t, s).behindProxies()
	all := s.Clusters()
	left, lost := all[0], all[1:]
	d := w.start()
	d.live(w.repo.Push("web", map[string]string{
		"fedsync.yaml":      w.file("web"),
		"apps/web/web.yaml": w.shared(6, true),
	}))
	w.awaitReplicas(all, 2, 2, 2)
	w.front.ClearRequests()

	for _, name := range lost {
		s.Pause(t, name)
		defer s.Resume(t, name) // harmless if it runs
	}
	d.await("the federation is frozen", hasFinding("frozen", lost[0], lost[1], "confirmLost"))
	d.await("both are Offline", func(r *status.Report) string {
		for _, name := range lost {
			if c := clusterOf(r, name); c.State != federation.ClusterOffline {
				return name + " is " + string(c.State)
			}
		}
		return ""
	})
	d.during(3*time.Second, "it stays so", hasFinding("frozen", lost[0], lost[1]))
	if got := w.replicas(left); got[0] != 2 {
		t.Errorf("%s has %d replicas while frozen, want the 2 it had", left, got[0])
	}
	if writes := w.front.Proxy(left).Requests().Writes(); len(writes) > 0 {
		t.Errorf("requests that write to %s while frozen: %v, want none", left, writes)
	}

	w.repo.Push("confirm", map[string]string{
		"fedsync.yaml": w.file("web") + fmt.Sprintf("  failover: {confirmLost: [%s]}\n", strings.Join(lost, ", ")),
	})
	w.awaitReplicas([]string{left}, 6)

	for _, name := range lost {
		s.Resume(t, name)
	}
	d.live(w.repo.Push("they are back", map[string]string{"fedsync.yaml": w.file("web")}))
	w.awaitReplicas(all, 2, 2, 2)
}

// fewLostProbes makes an API server lose one probe and then two, which is not yet an
// outage.
func fewLostProbes(t *testing.T, s *lab.Sandbox) {
	w := failoverWorld(t, s).behindProxies()
	all := s.Clusters()
	d := w.start()
	sha := w.repo.Push("web", map[string]string{
		"fedsync.yaml":      w.file("web"),
		"apps/web/web.yaml": w.shared(6, true),
	})
	d.live(sha)
	w.awaitReplicas(all, 2, 2, 2)
	before := w.versions()
	for probes := 1; probes <= 2; probes++ {
		w.front.ClearRequests()
		proxy := w.front.Proxy(all[probes])
		rule := proxy.Add(faults.Rule{Path: "^/readyz$", Action: faults.Hang, Count: probes})
		rule.Await(probes)
		// Anything to write would be written by then.
		eventually(t, "three more probes are answered", func() string {
			answered := proxy.Requests().Where(func(r faults.Request) bool { return r.Path == "/readyz" && r.Status == http.StatusOK })
			if len(answered) < 3 {
				return fmt.Sprintf("%d are", len(answered))
			}
			return ""
		})
		rule.Remove()
		d.live(sha)
		if writes := w.front.Requests().Writes(); len(writes) > 0 {
			t.Errorf("requests that write after %d lost probes: %v, want none", probes, writes)
		}
	}
	if diff := cmp.Diff(before, w.versions()); diff != "" {
		t.Errorf("resourceVersions after lost probes (-want +got):\n%s", diff)
	}
}

// atRest counts the requests while nothing changes. A watch is renewed at most every five
// minutes, so the short form sees no renewal.
func atRest(t *testing.T, s *lab.Sandbox) {
	span := 15 * time.Second
	if os.Getenv(longTests) != "" {
		span = 11 * time.Minute
	}
	w := failoverWorld(t, s).behindProxies()
	d := w.start()
	sha := w.repo.Push("web", map[string]string{
		"fedsync.yaml":      w.file("web"),
		"apps/web/web.yaml": w.service() + "---\n" + w.replicaSet(1) + "---\n" + w.ingress(),
	})
	d.live(sha)
	d.during(5*time.Second, "what the start set off is over", is(sha, status.Success))
	watches := len(w.front.Requests().Verbs("watch"))
	w.front.ClearRequests()
	<-time.After(span)
	requests := w.front.Requests().Besides("/readyz")
	renewed := requests.Verbs("watch")
	if most := watches * int(span/(5*time.Minute)); len(renewed) > most {
		t.Errorf("%d of %d watches were renewed in %s, want at most %d", len(renewed), watches, span, most)
	}
	if len(requests) > len(renewed) {
		t.Errorf("requests at rest: %v, want only /readyz", requests.Count())
	}
}

func failoverByHand(t *testing.T, s *lab.Sandbox) {
	w := failoverWorld(t, s)
	all := s.Clusters()
	lost, others := all[1], []string{all[0], all[2]}
	d := w.start()
	off := w.file("web") + "  failover: {mode: \"Off\"}\n"
	d.live(w.repo.Push("web", map[string]string{
		"fedsync.yaml":      off,
		"apps/web/web.yaml": w.shared(6, true),
	}))
	s.Kill(t, lost)
	defer s.Start(t, lost)
	d.await("it says what would move", hasFinding("failover-off", lost, "2 replicas of 1 workload"))
	if got := w.replicas(others...); !slices.Equal(got, []int64{2, 2}) {
		t.Errorf("the other clusters have %v replicas, want 2 and 2", got)
	}
	w.repo.Push("automatic", map[string]string{"fedsync.yaml": w.file("web")})
	w.awaitReplicas(others, 3, 3)
}
