package keeper

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/internal/sleep"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

// Two controllers that maintain one firewall rule, each with the tag of its own cluster,
// make the clusters flap between healthy and unhealthy. With an additional rule by fedsync
// nothing flaps, even if they continue.
func TestTwoWritersOfOneRuleFlapUnlessManaged(t *testing.T) {
	flips := map[federation.FirewallPolicy]int{}
	for _, policy := range []federation.FirewallPolicy{federation.FirewallOff, federation.FirewallManaged} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, 2, quickOperations, func(o *gcetest.Options) { o.ProbeInterval = time.Second })
			defer l.close()
			l.Federation.GCP.Firewall = policy
			h := handwork{l, l.hand}
			const name = "k8s-fw-l7--shared"
			h.done(h.api.Firewalls.Insert(labProject, &compute.Firewall{
				Name: name, Network: theirs + "networks/default", SourceRanges: balancer.ProbeRanges,
				Allowed: tcp("30000-32767"), TargetTags: []string{"gke-c1-node", "gke-c2-node"},
			}).Do())
			l.start()
			l.healthy()
			l.settle()
			for i, tag := range []string{"gke-c1-node", "gke-c2-node"} {
				go func() {
					for _ = sleep.For(l.ctx, time.Duration(i)*5*time.Second); l.ctx.Err() == nil; _ = sleep.For(l.ctx, 10*time.Second) {
						if now, err := h.api.Firewalls.Get(labProject, name).Do(); err == nil && (len(now.TargetTags) > 1 || now.TargetTags[0] != tag) {
							_, _ = h.api.Firewalls.Patch(labProject, name, &compute.Firewall{TargetTags: []string{tag}}).Do()
						}
					}
				}()
			}
			began := time.Now()
			last := l.healthByCluster()
			for time.Since(began) < time.Minute {
				time.Sleep(200 * time.Millisecond)
				now := l.healthByCluster()
				for cluster, healthy := range now {
					if healthy != last[cluster] {
						flips[policy]++
					}
				}
				last = now
			}
			writes := l.changes(began)
			t.Logf("firewall %s: the rule of two writers was written %d times in 60 s, and clusters changed between healthy and not %d times", policy, len(writes), flips[policy])
			if policy == federation.FirewallManaged {
				for path, changes := range l.server.History() {
					if lastPart(path) != name && len(changes) > 2 {
						t.Errorf("%s was written %d times", path, len(changes))
					}
				}
			}
			l.cancel()
			synctest.Wait()
		})
	}
	if flips[federation.FirewallOff] < 10 || flips[federation.FirewallManaged] != 0 {
		t.Errorf("%d flips without a rule of fedsync's, %d with it; want many and none", flips[federation.FirewallOff], flips[federation.FirewallManaged])
	}
}

// healthByCluster reports by the stand-in's probes which clusters are healthy.
func (l *lab) healthByCluster() map[string]bool {
	healthy := map[string]bool{}
	s := l.server.Snapshot()
	for _, group := range s.EndpointGroups {
		cluster := gcp.ReadMark(group.Description).Cluster
		list, err := l.hand.NetworkEndpointGroups.ListNetworkEndpoints(labProject, lastPart(group.Zone), group.Name,
			&compute.NetworkEndpointGroupsListEndpointsRequest{HealthStatus: "SHOW"}).Do()
		if err != nil {
			continue
		}
		for _, e := range list.Items {
			for _, status := range e.Healths {
				healthy[cluster] = healthy[cluster] || status.HealthState == "HEALTHY"
			}
		}
		if _, known := healthy[cluster]; !known {
			healthy[cluster] = false
		}
	}
	return healthy
}
