// Package diagnose names what is wrong with a federation, where, and the remedy.
//
// It takes what the other stages know (the Federation, the Plan, the Facts of
// the clusters, the Observations of our objects) and gives Findings. It is pure
// and cheap enough to run at every report. What a stage sees by itself, it says by
// itself: what the API server refused is apply's to tell, what an object's health
// and address are is status's. Here stands what takes two of them to see: an
// Ingress and its Service, one cluster and the next, what was and what is.
//
// A finding about a cluster is made from facts that are of now. While a cluster is
// out of sight, or may not be looked at, nothing is said of what runs there: a
// false alarm costs more than a late one.
package diagnose

import (
	"cmp"
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// How long something may be missing when nothing else is said.
const (
	// DefaultGrace is for what comes by itself within seconds: an endpoint, a
	// Secret, a Ready pod.
	DefaultGrace = time.Minute
	// DefaultDeadline is when missing endpoints are an error: as long as a commit
	// status may be pending.
	DefaultDeadline = 15 * time.Minute
	// progressDeadline is how long pods may take to be Ready before those that
	// they replace are said to be held.
	progressDeadline = 10 * time.Minute
)

// Input is all that a diagnosis depends on.
type Input struct {
	Federation *federation.Federation // nil while none could be read: nothing is found
	Plan       federation.Plan
	// Facts by cluster. Unlike in a schedule, a cluster that is missing here is
	// one that nothing is known of.
	Facts federation.Facts
	// Observations are our live objects, by cluster.
	Observations map[string][]federation.Observation

	Now      time.Time
	Grace    time.Duration // DefaultGrace when zero
	Deadline time.Duration // DefaultDeadline when zero
}

// Diagnoser looks again and again: it remembers since when something stands, which
// clusters it had in sight, and what the last call decoded. The zero Diagnoser is
// ready for use, by one goroutine at a time.
type Diagnoser struct {
	decoded  contents
	standing map[string]standing // by a finding's key
	// seen are the clusters that were in sight at the last diagnosis, and judged
	// those that were, or were known not to answer.
	seen, judged map[string]bool
}

// Diagnose gives the findings, sorted. What is found in a cluster that comes into
// sight, after a start or an absence, and is about an object older than the grace,
// is taken to have been so for as long: nobody was there to see it begin.
func (d *Diagnoser) Diagnose(in Input) []federation.Finding {
	if in.Federation == nil {
		return nil
	}
	in.Grace = cmp.Or(in.Grace, DefaultGrace)
	in.Deadline = cmp.Or(in.Deadline, DefaultDeadline)
	x := &diagnosis{Input: in, before: *d}
	x.members, d.decoded = members(in, x.before)
	x.ports, x.replicas = decisions(in.Plan)

	x.clusters()
	x.nodePorts()
	x.waitingPorts()
	x.ingresses()
	x.retired()
	x.balancers()
	x.uids()
	x.certificates()
	x.services()
	x.workloads()
	x.division()
	x.autoscalers()
	x.quotas()
	all := x.findings()
	d.remember(x)
	return all
}

// remember keeps what the next diagnosis asks of this one.
func (d *Diagnoser) remember(x *diagnosis) {
	d.standing, d.seen, d.judged = x.standing, map[string]bool{}, map[string]bool{}
	for _, m := range x.members {
		d.seen[m.name] = m.now && m.ordered
		d.judged[m.name] = m.now || troubled(m.facts.State)
	}
}

// diagnosis is one call of Diagnose on its way.
type diagnosis struct {
	Input
	before   Diagnoser // as the last diagnosis left it
	standing map[string]standing
	members  []*member                                    // that count, in the order of fedsync.yaml
	byName   map[string]*member                           // of them; nil until asked for
	behind   map[federation.ObjectRef]federation.Balancer // by Ingress; nil until asked for
	ports    map[federation.ObjectRef][]federation.PortDecision
	replicas map[federation.ObjectRef]federation.ReplicasDecision
	found    []found
}

// decisions gives the plan's decisions by object.
func decisions(plan federation.Plan) (map[federation.ObjectRef][]federation.PortDecision, map[federation.ObjectRef]federation.ReplicasDecision) {
	ports := make(map[federation.ObjectRef][]federation.PortDecision, len(plan.Ports))
	for _, p := range plan.Ports {
		ports[p.Service] = append(ports[p.Service], p)
	}
	replicas := make(map[federation.ObjectRef]federation.ReplicasDecision, len(plan.Replicas))
	for _, r := range plan.Replicas {
		replicas[r.Object] = r
	}
	return ports, replicas
}

// seen are the members whose facts are of now.
func (x *diagnosis) seen() []*member {
	return slices.DeleteFunc(slices.Clone(x.members), func(m *member) bool { return !m.now })
}

// seasoned says whether a fault has had the grace before it was seen: the cluster
// comes into sight only now, and the object was made at that time.
func (x *diagnosis) seasoned(m *member, created time.Time) bool {
	return m.fresh && x.old(created)
}

// old says whether something that was made at that time has had the grace; what is
// not there yet has not.
func (x *diagnosis) old(created time.Time) bool {
	return !created.IsZero() && x.Now.Sub(created) >= x.Grace
}
