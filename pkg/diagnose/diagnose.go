// Package diagnose names what is wrong with a federation, where, and the remedy.
//
// Its input is what the other stages know: the Federation, the Plan, the Facts of the
// clusters and the Observations of managed objects. Its output is Findings. It is pure,
// and cheap enough to run for every report. A stage reports itself what it sees alone:
// apply reports what the API server refused, and status reports the health and the
// address of an object. This package reports what takes two inputs to see: an Ingress and
// its Service, one cluster and another, the past and the present.
//
// Findings about a cluster come from current facts only. While a cluster cannot be read,
// nothing is reported about what runs there: a false alarm costs more than a late one.
package diagnose

import (
	"cmp"
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// How long something may be missing, by default.
const (
	// DefaultGrace is for what usually appears within seconds: an endpoint, a
	// Secret, a Ready pod.
	DefaultGrace = time.Minute
	// DefaultDeadline is when missing endpoints become an error: as long as a commit
	// status may be pending.
	DefaultDeadline = 15 * time.Minute
	// progressDeadline is how long pods may take to become Ready before it is reported
	// that the pods that they replace are held.
	progressDeadline = 10 * time.Minute
)

// Input is everything that a diagnosis depends on.
type Input struct {
	Federation *federation.Federation // nil while none could be read: nothing is found
	Plan       federation.Plan
	// Facts by cluster. Unlike in a schedule, nothing is known about a cluster that is
	// missing here.
	Facts federation.Facts
	// Observations are the managed live objects, by cluster.
	Observations map[string][]federation.Observation

	Now      time.Time
	Grace    time.Duration // DefaultGrace when zero
	Deadline time.Duration // DefaultDeadline when zero
}

// Diagnoser diagnoses a federation repeatedly. It remembers since when a finding exists,
// which clusters it could read, and what the last call decoded. The zero Diagnoser is
// ready for use, by one goroutine at a time.
type Diagnoser struct {
	decoded  contents
	standing map[string]standing // by a finding's key
	// seen are the clusters that could be read at the last diagnosis. judged are
	// these and the clusters that were known not to answer.
	seen, judged map[string]bool
}

// Diagnose returns the findings, sorted. If a cluster has just become readable, after a
// start or an absence, a finding about an object older than the grace counts as old, too:
// its beginning could not be observed.
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

// remember stores what the next diagnosis needs.
func (d *Diagnoser) remember(x *diagnosis) {
	d.standing, d.seen, d.judged = x.standing, map[string]bool{}, map[string]bool{}
	for _, m := range x.members {
		d.seen[m.name] = m.now && m.ordered
		d.judged[m.name] = m.now || troubled(m.facts.State)
	}
}

// diagnosis is the state of one call of Diagnose.
type diagnosis struct {
	Input
	before   Diagnoser // the state after the last diagnosis
	standing map[string]standing
	members  []*member                                    // the members that count, in the order of fedsync.yaml
	byName   map[string]*member                           // the same; nil until needed
	behind   map[federation.ObjectRef]federation.Balancer // by Ingress; nil until needed
	ports    map[federation.ObjectRef][]federation.PortDecision
	replicas map[federation.ObjectRef]federation.ReplicasDecision
	found    []found
}

// decisions returns the plan's decisions by object.
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

// seen returns the members whose facts are current.
func (x *diagnosis) seen() []*member {
	return slices.DeleteFunc(slices.Clone(x.members), func(m *member) bool { return !m.now })
}

// seasoned reports whether the grace of a fault had passed before it was observed: the
// cluster has just become readable, and the object, created at that time, is old enough.
func (x *diagnosis) seasoned(m *member, created time.Time) bool {
	return m.fresh && x.old(created)
}

// old reports whether the grace has passed for an object that was created at that time. It
// has not for one that does not exist yet.
func (x *diagnosis) old(created time.Time) bool {
	return !created.IsZero() && x.Now.Sub(created) >= x.Grace
}
