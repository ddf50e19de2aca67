package diagnose

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

// member is one cluster that counts: what it should run, and what it runs.
type member struct {
	name, context string
	targeted      bool // an app is deployed to it
	balances      bool // fedsync itself creates the load balancers
	elsewhere     bool // its nodes are not machines of Compute Engine
	facts         federation.ClusterFacts
	now           bool // its facts are current
	fresh         bool // its facts are current, and were not at the last diagnosis
	ordered       bool // it has a plan

	planned   []*planned                        // everything
	byRef     map[federation.ObjectRef]*planned // the same; nil until needed
	ingresses []*planned
	services  map[federation.ObjectRef]*planned
	googles   map[federation.ObjectRef]bool // Ingresses that Google serves; nil until needed
	pods      map[string][]*planned         // objects that create pods, by namespace
	// partial reports that the plan does not have everything that is in Git: an app
	// could not be rendered, or an object is withheld.
	partial  bool
	withheld map[federation.ObjectRef]bool

	observations []federation.Observation
	live         map[federation.ObjectRef]*federation.Observation
	google       bool                            // there are traces of Google's ingress controller
	urlMaps      map[federation.ObjectRef]string // that it created for managed Ingresses
}

// planned is an object that a cluster should run, and its content.
type planned struct {
	*federation.Object
	content
	app string
}

// members returns the clusters that count, in the order of fedsync.yaml, and what was
// decoded from their plans.
func members(in Input, before Diagnoser) ([]*member, contents) {
	plans := make(map[string]federation.ClusterPlan, len(in.Plan.Clusters))
	for _, p := range in.Plan.Clusters {
		plans[p.Cluster] = p
	}
	decoded := make(contents, len(before.decoded))
	var all []*member
	for _, c := range in.Federation.Clusters {
		if c.Lost {
			continue // a user declared it lost
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

// plan records what the cluster should run.
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

// see records the observations of managed objects.
func (m *member) see() {
	m.live = make(map[federation.ObjectRef]*federation.Observation, len(m.observations))
	m.urlMaps = make(map[federation.ObjectRef]string, len(m.ingresses))
	for i := range m.observations {
		m.live[m.observations[i].Object] = &m.observations[i]
	}
}

// observation returns the observation of a managed object; the zero Observation if there
// is none.
func (m *member) observation(ref federation.ObjectRef) federation.Observation {
	if o := m.live[ref]; o != nil {
		return *o
	}
	return federation.Observation{}
}

// plans reports whether the cluster is to run the object.
func (m *member) plans(object federation.ObjectRef) bool {
	return m.plannedAs(object) != nil
}

// plannedAs returns an object of the plan; nil if there is none. The index is built on
// demand, since most diagnoses find nothing and never need it.
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

// liveService returns the facts of a Service, managed or not.
func (m *member) liveService(ref federation.ObjectRef) (federation.Service, bool) {
	i, ok := slices.BinarySearchFunc(m.facts.Services, ref, func(s federation.Service, ref federation.ObjectRef) int {
		return cmp.Or(strings.Compare(s.Namespace, ref.Namespace), strings.Compare(s.Name, ref.Name))
	})
	if !ok {
		return federation.Service{}, false
	}
	return m.facts.Services[i], true
}

// blind reports whether a resource cannot be watched in the cluster.
func (m *member) blind(resource string) bool {
	return slices.ContainsFunc(m.facts.Blind, func(b federation.Blind) bool { return b.Resource == resource })
}

// selected returns the objects that create pods that the selector matches.
func (m *member) selected(namespace string, selector map[string]string) []*planned {
	var all []*planned
	for _, p := range m.pods[namespace] {
		if takes(selector, p.pods.labels) {
			all = append(all, p)
		}
	}
	return all
}

// takes reports whether a Service's selector matches the labels.
func takes(selector, labels map[string]string) bool {
	for key, value := range selector {
		if has, ok := labels[key]; !ok || has != value {
			return false
		}
	}
	return true
}
