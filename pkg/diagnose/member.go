package diagnose

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

// member is one cluster that counts: what it should run, and what it is seen to
// run.
type member struct {
	name, context string
	targeted      bool // some app goes there
	balances      bool // fedsync itself makes the load balancers
	elsewhere     bool // its nodes are no machines of Compute Engine
	facts         federation.ClusterFacts
	now           bool // its facts are those of now
	fresh         bool // and were not at the last diagnosis
	ordered       bool // there is a plan for it

	planned   []*planned                        // everything
	byRef     map[federation.ObjectRef]*planned // the same; made when it is first asked for
	ingresses []*planned
	services  map[federation.ObjectRef]*planned
	googles   map[federation.ObjectRef]bool // Ingresses that Google serves; made when it is first asked for
	pods      map[string][]*planned         // what makes pods, by namespace
	// partial says that the plan does not hold all that Git says: an app could not
	// be rendered, or something is withheld.
	partial  bool
	withheld map[federation.ObjectRef]bool

	observations []federation.Observation
	live         map[federation.ObjectRef]*federation.Observation
	google       bool                            // Google's ingress controller was seen here
	urlMaps      map[federation.ObjectRef]string // that it made of Ingresses of ours
}

// planned is an object that a cluster should run, and what it says.
type planned struct {
	*federation.Object
	content
	app string
}

// members gives the clusters that count, in the order of fedsync.yaml, and what
// was decoded of their plans.
func members(in Input, before Diagnoser) ([]*member, contents) {
	plans := make(map[string]federation.ClusterPlan, len(in.Plan.Clusters))
	for _, p := range in.Plan.Clusters {
		plans[p.Cluster] = p
	}
	decoded := make(contents, len(before.decoded))
	var all []*member
	for _, c := range in.Federation.Clusters {
		if c.Lost {
			continue // a person took it out of the count
		}
		m := &member{
			name: c.Name, context: cmp.Or(c.Context, c.Name), targeted: in.Federation.Targets(c),
			balances: in.Federation.Balances(), elsewhere: c.Zone != "",
			pods:         map[string][]*planned{},
			withheld:     map[federation.ObjectRef]bool{},
			observations: in.Observations[c.Name],
		}
		m.facts = in.Facts.Clusters[c.Name]
		m.now = m.facts.State == federation.ClusterReady && m.facts.Synced
		m.fresh = m.now && !before.seen[c.Name]
		plan, ordered := plans[c.Name]
		m.ordered = ordered
		m.plan(plan, decoded, before.decoded)
		m.see()
		m.traces()
		all = append(all, m)
	}
	return all, decoded
}

// plan takes in what the cluster should run.
func (m *member) plan(plan federation.ClusterPlan, decoded, before contents) {
	var count, services int
	for _, app := range plan.Apps {
		m.partial = m.partial || app.Broken || len(app.Withheld) > 0
		for _, w := range app.Withheld {
			m.withheld[w.Object] = true
		}
		for _, o := range app.Objects {
			count++
			if isService(o.Ref) {
				services++
			}
		}
	}
	m.planned = make([]*planned, 0, count)
	m.services = make(map[federation.ObjectRef]*planned, services)
	all := make([]planned, 0, count) // one allocation for all of them
	for _, app := range plan.Apps {
		if app.Broken {
			continue
		}
		for _, o := range app.Objects {
			all = append(all, planned{Object: o, content: decoded.of(o, before), app: app.App})
			m.take(&all[len(all)-1])
		}
	}
}

func (m *member) take(p *planned) {
	m.planned = append(m.planned, p)
	switch {
	case p.ingress != nil:
		m.ingresses = append(m.ingresses, p)
	case p.service != nil:
		m.services[p.Ref] = p
	case p.pods != nil:
		m.pods[p.Ref.Namespace] = append(m.pods[p.Ref.Namespace], p)
	}
}

// see takes in what is seen of our objects.
func (m *member) see() {
	m.live = make(map[federation.ObjectRef]*federation.Observation, len(m.observations))
	m.urlMaps = make(map[federation.ObjectRef]string, len(m.ingresses))
	for i := range m.observations {
		m.live[m.observations[i].Object] = &m.observations[i]
	}
}

// observation is what is seen of an object of ours; the zero Observation where it
// is not seen.
func (m *member) observation(ref federation.ObjectRef) federation.Observation {
	if o := m.live[ref]; o != nil {
		return *o
	}
	return federation.Observation{}
}

// plans says whether the cluster is to run the object.
func (m *member) plans(object federation.ObjectRef) bool {
	return m.plannedAs(object) != nil
}

// plannedAs is an object of the plan; nil where there is none. Most diagnoses find
// nothing and never ask.
func (m *member) plannedAs(object federation.ObjectRef) *planned {
	if p, ok := m.services[object]; ok {
		return p
	}
	if m.byRef == nil {
		m.byRef = make(map[federation.ObjectRef]*planned, len(m.planned))
		for _, p := range m.planned {
			m.byRef[p.Ref] = p
		}
	}
	return m.byRef[object]
}

// liveService gives what the facts say of a Service, ours or not.
func (m *member) liveService(ref federation.ObjectRef) (federation.Service, bool) {
	i, ok := slices.BinarySearchFunc(m.facts.Services, ref, func(s federation.Service, ref federation.ObjectRef) int {
		return cmp.Or(strings.Compare(s.Namespace, ref.Namespace), strings.Compare(s.Name, ref.Name))
	})
	if !ok {
		return federation.Service{}, false
	}
	return m.facts.Services[i], true
}

// blind says whether a resource may not be watched in the cluster.
func (m *member) blind(resource string) bool {
	return slices.ContainsFunc(m.facts.Blind, func(b federation.Blind) bool { return b.Resource == resource })
}

// selected gives what makes pods that the selector takes.
func (m *member) selected(namespace string, selector map[string]string) []*planned {
	var all []*planned
	for _, p := range m.pods[namespace] {
		if takes(selector, p.pods.labels) {
			all = append(all, p)
		}
	}
	return all
}

// takes says whether a Service's selector takes pods with the labels.
func takes(selector, labels map[string]string) bool {
	for key, value := range selector {
		if has, ok := labels[key]; !ok || has != value {
			return false
		}
	}
	return true
}
