package keeper

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

// TestHistoriesOfKeepers plays random histories of a keeper on the stand-in: clusters
// join, drain, die and return, nodes come and go, users edit, pushes change what is wanted,
// reads fail, answers get lost, operations are slow, and the keeper is killed. The
// invariants are checked every second. The end state must be the one that another keeper
// creates from the same input in an empty project.
//
// To play only a seed that failed:
//
//	go test ./pkg/gcp/keeper -run TestHistoriesOfKeepers -keeperseed=N -keepers=1
func TestHistoriesOfKeepers(t *testing.T) {
	runs := *keeperRuns
	if longForm() {
		runs = max(runs, 1000)
	}
	t.Run("seeds", func(t *testing.T) {
		for i := range runs {
			seed := *keeperSeed + uint64(i) //nolint:gosec // a count
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { playKeeperHistory(t, seed) })
			})
		}
	})
}

// keeperHistory is one history, and what happened in it.
type keeperHistory struct {
	*lab
	rng    *rand.Rand
	dead   map[string]bool // clusters
	nodeNo int
	portNo int
	edited map[string]int
	faults []*gcetest.FaultHandle
	live   map[string]int // endpoints by cluster, when there last were any
	gap    time.Time      // since when there are none
	log    []string
	broken string // the first broken invariant
}

func playKeeperHistory(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 10)) //nolint:gosec // a test that can be repeated
	h := &keeperHistory{
		lab: newLab(t, 2+rng.IntN(2), func(o *gcetest.Options) {
			if rng.IntN(2) == 0 {
				quickOperations(o)
			}
		}),
		rng: rng, dead: map[string]bool{}, edited: map[string]int{}, nodeNo: 10,
	}
	defer h.close()
	h.start()
	h.pass(rng.IntN(40))
	for range 12 {
		h.note(h.step())
		h.want()
		h.pass(rng.IntN(45))
	}
	h.end()
	if h.broken != "" {
		t.Errorf("%s", h.broken)
	}
	if t.Failed() {
		t.Logf("%s\n%s", strings.Join(h.log, "\n"), h.status())
	}
}

func (h *keeperHistory) note(what string) {
	h.log = append(h.log, time.Now().Format("15:04:05 ")+what)
}

// pass waits some seconds, and checks after each.
func (h *keeperHistory) pass(seconds int) {
	for range seconds {
		time.Sleep(time.Second)
		if why := h.check(); why != "" && h.broken == "" {
			h.broken = why
			h.note("BROKEN: " + why)
		}
	}
}

// end ends all disturbances, and compares the end states.
func (h *keeperHistory) end() {
	for _, f := range h.faults {
		f.Remove()
	}
	for name := range h.dead {
		h.revive(name)
	}
	for i := range h.Federation.Clusters {
		h.Federation.Clusters[i].Drain = false
	}
	h.note("nothing hinders any more")
	h.want()
	h.settle()
	h.pass(60)
	h.settle()
	got := h.lab.end()
	fresh := &lab{Scene: h.Scene, t: h.t, nodes: h.nodes, log: h.lab.log, quiet: h.quiet, ctx: h.ctx, cancel: func() {}, stop: func() {}}
	fresh.server = gcetest.New(gcetest.Options{Projects: []string{labProject}, Dial: h.nodes.dial})
	defer fresh.close()
	fresh.server.AddNetwork(labProject, "default")
	fresh.may.Store(true)
	fresh.sync()
	fresh.start()
	fresh.settle()
	if want := fresh.end(); got != want {
		h.t.Errorf("another end than from nothing: %s", firstDifference(got, want))
	}
}

// check returns the broken invariant; empty if there is none.
func (h *keeperHistory) check() string {
	s := h.server.Snapshot()
	for _, f := range s.Firewalls {
		if len(f.TargetTags) == 0 {
			return "the firewall rule " + f.Name + " has no target tags"
		}
	}
	live := map[string]int{} // endpoints with capacity, by cluster
	for _, service := range s.BackendServices {
		for _, b := range service.Backends {
			endpoints, there := s.Endpoints[b.Group]
			if !there {
				return "the backend service has the group " + lastPart(b.Group) + ", which does not exist"
			}
			for _, e := range endpoints {
				if cluster := h.clusterAt(e.IpAddress); b.CapacityScaler > 0 && !h.dead[cluster] && e.Port != 22 {
					live[cluster]++
				}
			}
		}
	}
	up := len(s.ForwardingRules) > 0 && len(s.HTTPProxies) > 0 && len(s.URLMaps) > 0
	if up && len(live) > 0 {
		h.live, h.gap = live, time.Time{}
		return ""
	}
	// One of the clusters that served last must still be well. The keeper may need some
	// time to notice that another one died, and to undo a drain.
	for cluster := range h.live {
		if h.dead[cluster] || !h.ready(cluster) {
			continue
		}
		if h.gap.IsZero() {
			h.gap = time.Now()
		}
		if time.Since(h.gap) > mostGap {
			return "no live endpoint behind the address for " + mostGap.String() + ", though " + cluster + " served and is well"
		}
		return ""
	}
	return ""
}

// mostGap is how long no cluster may serve after the one that should serve has died while
// another was being drained.
const mostGap = 45 * time.Second

// ready reports whether a cluster has a node that serves.
func (h *keeperHistory) ready(cluster string) bool {
	return slices.ContainsFunc(h.Facts[cluster].Nodes, func(n federation.Node) bool { return n.Ready })
}

func (h *keeperHistory) clusterAt(address string) string {
	for name, f := range h.Facts {
		if slices.ContainsFunc(f.Nodes, func(n federation.Node) bool { return n.Address == address }) {
			return name
		}
	}
	return ""
}

// step causes an event, and describes it.
func (h *keeperHistory) step() string {
	cluster := h.Federation.Clusters[h.rng.IntN(len(h.Federation.Clusters))].Name
	switch h.rng.IntN(14) {
	case 0:
		if len(h.Federation.Clusters) < 4 {
			name := fmt.Sprintf("c%d", len(h.Federation.Clusters)+1)
			h.Join(name)
			return name + " joins"
		}
		fallthrough
	case 1, 2:
		c := h.Cluster(cluster)
		c.Drain = !c.Drain
		return fmt.Sprintf("%s drain: %v", cluster, c.Drain)
	case 3, 4:
		if h.dead[cluster] {
			h.revive(cluster)
			return cluster + " comes back"
		}
		h.die(cluster)
		return cluster + " dies"
	case 5:
		h.nodeNo++
		h.AddNode(cluster, "r-"+cluster+[]string{"-a", "-b"}[h.rng.IntN(2)], h.nodeNo)
		return cluster + " has a node more"
	case 6:
		return h.loseNode(cluster)
	case 7, 8:
		return h.editByHand()
	case 9:
		return h.push()
	case 10, 11, 12:
		return h.fault()
	default:
		h.restart()
		return "the keeper is killed and started"
	}
}

func (h *keeperHistory) die(cluster string) {
	h.dead[cluster] = true
	for _, n := range h.Facts[cluster].Nodes {
		h.nodes.set(n.Address, true)
	}
	h.Change(cluster, func(f *federation.ClusterFacts) { f.State, f.Synced, f.Outage = federation.ClusterOffline, false, true })
}

func (h *keeperHistory) revive(cluster string) {
	delete(h.dead, cluster)
	for _, n := range h.Facts[cluster].Nodes {
		h.nodes.set(n.Address, false)
	}
	h.Change(cluster, func(f *federation.ClusterFacts) { f.State, f.Synced, f.Outage = federation.ClusterReady, true, false })
}

// loseNode removes a node, with its machine or without, or makes it NotReady.
func (h *keeperHistory) loseNode(cluster string) string {
	nodes := h.Facts[cluster].Nodes
	if len(nodes) < 3 || h.dead[cluster] {
		return "nothing"
	}
	i := h.rng.IntN(len(nodes))
	n := nodes[i]
	if h.rng.IntN(2) == 0 {
		h.Change(cluster, func(f *federation.ClusterFacts) { f.Nodes[i].Excluded = true })
		return n.Name + " is excluded"
	}
	h.Change(cluster, func(f *federation.ClusterFacts) { f.Nodes = slices.Delete(f.Nodes, i, i+1) })
	if m, ok := h.Machines[n.ProviderID]; ok {
		delete(h.Machines, n.ProviderID)
		h.server.RemoveInstance(m.Project, m.Zone, m.Name)
	}
	return n.Name + " is gone"
}

// harmless are hand edits that take no traffic away.
var harmless = []string{
	"firewall: one port more", "firewall: source tags", "check: interval", "check: thresholds", "service: timeout", "service: draining",
	"group: an endpoint at another port",
}

func (h *keeperHistory) editByHand() string {
	name := harmless[h.rng.IntN(len(harmless))]
	s := h.server.Snapshot()
	// A third edit would be a fight, and a resource cannot be edited while it changes.
	if h.edited[name] == 2 || len(h.live) == 0 || !h.keeper.State().Settled || len(s.Firewalls) == 0 {
		return "nothing"
	}
	if strings.HasPrefix(name, "group") && !strings.Contains(h.endpointsText("c1"), ",") {
		return "nothing"
	}
	for _, f := range h.faults {
		f.Remove() // faults are only for the keeper
	}
	h.edited[name]++
	handEdits[name](handwork{h.lab, h.hand})
	return "by hand: " + name
}

// endpointsText lists the endpoints of the largest group of a cluster.
func (h *keeperHistory) endpointsText(cluster string) string {
	s, most := h.server.Snapshot(), ""
	for _, group := range s.EndpointGroups {
		var all []string
		for _, e := range s.Endpoints[group.SelfLink] {
			all = append(all, e.IpAddress)
		}
		if text := strings.Join(all, ","); gcp.ReadMark(group.Description).Cluster == cluster && len(text) > len(most) {
			most = text
		}
	}
	return most
}

func (h *keeperHistory) push() string {
	if h.rng.IntN(2) == 0 {
		h.portNo++
		port := fmt.Sprintf("nodePort: %d", 30080+h.portNo)
		h.Edit("Service/nginx", fmt.Sprintf("nodePort: %d", 30080+h.portNo-1), port)
		return "push: " + port
	}
	h.Edit("Ingress/nginx", "spec:", fmt.Sprintf("spec: # %d", h.rng.IntN(1000)))
	timeouts := []string{"timeoutSeconds: 2", "timeoutSeconds: 3"}
	if strings.Contains(h.Objects["ReplicaSet/nginx"], timeouts[1]) {
		slices.Reverse(timeouts)
	}
	h.Edit("ReplicaSet/nginx", timeouts[0], timeouts[1])
	return "push: " + timeouts[1]
}

func (h *keeperHistory) fault() string {
	f := gcetest.Fault{Method: ".*", Times: 1 + h.rng.IntN(5), Nth: 1 + h.rng.IntN(8)}
	what := ""
	switch h.rng.IntN(5) {
	case 0:
		lists := []string{"networkEndpointGroups", "backendServices", "urlMaps", "firewalls", "globalForwardingRules", "instances"}
		f.Method = lists[h.rng.IntN(len(lists))] + `\..*[lL]ist.*`
		f.Action, f.Times, what = gcetest.Answer{Status: 403, Reason: "forbidden"}, 3+h.rng.IntN(5), "forbidden: "+f.Method
	case 1:
		f.Action, what = gcetest.LoseAnswer{}, "answers get lost"
	case 2:
		f.Action, what = gcetest.Answer{Status: 503, Reason: "backendError"}, "unavailable"
	case 3:
		f.Method = `.*\.(insert|patch|delete|attach.*|detach.*)`
		f.Action, what = gcetest.SlowOperation(time.Duration(h.rng.IntN(60))*time.Second), "slow operations"
	default:
		f.Method = `.*\.(insert|patch|delete|attach.*|detach.*)`
		f.Action, what = gcetest.FailOperation{Code: "INTERNAL_ERROR", Message: "try again"}, "operations fail"
	}
	h.faults = append(h.faults, h.server.Fault(f))
	return fmt.Sprintf("%s (%d from %d)", what, f.Times, f.Nth)
}
