package keeper

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// From an empty project to healthy endpoints in all clusters: every resource is
// written one time, within twice the time of the operations on the longest path.
func TestTheWalkFromNothingToHealthy(t *testing.T) {
	for _, clusters := range []int{1, 3, 13} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, clusters)
			defer l.close()
			l.qps = 100 // the call limit is not measured here
			began := time.Now()
			l.start()
			took := l.healthy()
			l.settle()
			// The firewall rule, a backend service, URL map, proxy, forwarding rule.
			path := []string{
				"firewalls.insert", "backendServices.insert", "urlMaps.insert", "targetHttpProxies.insert", "globalForwardingRules.insert",
			}
			var longest time.Duration
			for _, method := range path {
				longest += operationTimes(method)
			}
			if took > 2*longest {
				t.Errorf("%d clusters: healthy after %s; want at most twice %s\n%s", clusters, took, longest, l.status())
			}
			mutations := 0
			for path, changes := range l.server.History() {
				name := path[strings.LastIndexByte(path, '/')+1:]
				switch group := strings.Contains(path, "/networkEndpointGroups/"); {
				case group && (len(changes) != 2 || !strings.HasSuffix(changes[1].Method, "attachNetworkEndpoints")),
					!group && (len(changes) != 1 || !strings.HasSuffix(changes[0].Method, ".insert")):
					t.Errorf("%d clusters: %s was written %d times: %v", clusters, name, len(changes), changes)
				}
				mutations += len(changes)
			}
			t.Logf("%d clusters: healthy after %s (longest path %s), %d mutations, %d calls", clusters, took, longest, mutations, l.wire.calls())
			t.Logf("%s after the start; calls: %v", time.Since(began).Round(time.Second), l.callCounts())
		})
	}
}

// The first read waits for clusters that are being read, but not for one that never
// answers.
func TestTheFirstLookWaitsForClustersThatAreBeingRead(t *testing.T) {
	for name, answers := range map[string]bool{"they answer soon": true, "one never does": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, 2)
				defer l.close()
				facts := l.Facts["c2"]
				l.Facts["c2"] = federation.ClusterFacts{State: federation.ClusterPending}
				l.start()
				time.Sleep(500 * time.Millisecond)
				if _, wire := l.current(); wire.calls() != 0 {
					t.Errorf("%d calls before the clusters were read", wire.calls())
				}
				if answers {
					l.Facts["c2"] = facts
					l.want()
				}
				time.Sleep(2 * time.Second)
				if _, wire := l.current(); wire.calls() == 0 {
					t.Error("nothing was read")
				}
			})
		})
	}
}
