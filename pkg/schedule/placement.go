package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedsync/fedsync/pkg/federation"
)

// service is a Service with node ports over the clusters that run it.
type service struct {
	portService
	variants  map[*federation.Object]*portVariant
	withheld  map[int]*federation.Withheld // by cluster
	decisions []federation.PortDecision
}

// divided is a workload whose replicas are divided, over the clusters that run it.
type divided struct {
	app      string
	ref      federation.ObjectRef
	variants []*variant
	refusal  string // why it is written nowhere; empty where it is
	shares   []int  // by cluster, its place among the decision's shares; nil where nothing was decided
	decision int    // its place among the decisions
}

// variant is one rendering of a workload, and the clusters that run it.
type variant struct {
	object   *federation.Object
	wish     *wish
	clusters []int
}

// place says which cluster runs which object: what the app's selector lets through
// and the object's own does not keep away. It gathers what is to be decided over
// all clusters.
func (p *pass) place() {
	services, workloads := map[*federation.Object]*portVariant{}, map[*federation.Object]*variant{}
	serviceOf, workloadOf := map[federation.ObjectRef]*service{}, map[federation.ObjectRef]*divided{}
	told := map[*federation.Object]bool{}
	for i, c := range p.clusters {
		set := labels.Set(c.Labels)
		for _, app := range p.Federation.Apps {
			b := p.bundles[key{c.Name, app.Name}]
			if b == nil || b.Err != nil || !app.Selector.Matches(c.Cluster) {
				continue
			}
			b.placed = make([]*federation.Object, 0, len(b.Objects))
			for _, o := range b.Objects {
				r := p.read(o)
				switch {
				case r.err != nil:
					b.withheld = append(b.withheld, federation.Withheld{Object: o.Ref, File: o.File, Reason: r.err.Error()})
					if !told[o] {
						told[o] = true
						p.misread(app.Name, o, r)
					}
					continue
				case r.selector != nil && !r.selector.Matches(set):
					continue
				}
				b.placed = append(b.placed, o)
				if r.ports != nil {
					v := services[o]
					if v == nil {
						v = p.addService(serviceOf, app.Name, o, r)
						services[o] = v
					}
					v.Clusters = append(v.Clusters, i)
				}
				if r.workload != nil {
					v := workloads[o]
					if v == nil {
						v = p.addWorkload(workloadOf, app.Name, o, r)
						workloads[o] = v
					}
					v.clusters = append(v.clusters, i)
				}
				if r.scales != (federation.ObjectRef{}) {
					p.scaled[r.scales] = true
				}
			}
		}
	}
	slices.SortFunc(p.services, func(a, b *service) int { return a.Ref.Compare(b.Ref) })
	slices.SortFunc(p.workloads, func(a, b *divided) int { return a.ref.Compare(b.ref) })
}

func (p *pass) addService(known map[federation.ObjectRef]*service, app string, o *federation.Object, r *reading) *portVariant {
	s := known[o.Ref]
	if s == nil {
		s = &service{
			portService: portService{App: app, Ref: o.Ref, File: o.File},
			variants:    map[*federation.Object]*portVariant{},
			withheld:    map[int]*federation.Withheld{},
		}
		known[o.Ref] = s
		p.services = append(p.services, s)
	}
	p.ported[o] = s
	v := &portVariant{File: o.File, Ports: r.ports}
	s.variants[o] = v
	return v
}

func (p *pass) addWorkload(known map[federation.ObjectRef]*divided, app string, o *federation.Object, r *reading) *variant {
	w := known[o.Ref]
	if w == nil {
		w = &divided{app: app, ref: o.Ref}
		known[o.Ref] = w
		p.workloads = append(p.workloads, w)
	}
	p.divided[o] = w
	v := &variant{object: o, wish: r.workload}
	w.variants = append(w.variants, v)
	return v
}

// misread says that an annotation cannot be understood. A guess could put an
// object where it must not be, so it goes nowhere.
func (p *pass) misread(app string, o *federation.Object, r *reading) {
	p.findings = append(p.findings, federation.Finding{
		ID: "annotation", Severity: federation.SeverityError, App: app, Object: o.Ref, File: o.File,
		Message: fmt.Sprintf("annotation %s: %s", r.field, r.err),
		Remedy:  "correct the annotation; until then the object is left as it is in every cluster",
	})
}

// agree says whether all renderings of a workload wish the same, or how they
// differ.
func (w *divided) agree(clusters []member) (string, bool) {
	first := w.variants[0].wish
	same := func(v *variant) bool {
		return v.wish.total == first.total && v.wish.asWritten == first.asWritten
	}
	if !slices.ContainsFunc(w.variants, func(v *variant) bool { return !same(v) }) {
		return "", true
	}
	parts := make([]string, 0, len(w.variants))
	for _, v := range w.variants {
		names := make([]string, 0, len(v.clusters))
		for _, i := range v.clusters[:min(3, len(v.clusters))] {
			names = append(names, clusters[i].Name)
		}
		if more := len(v.clusters) - len(names); more > 0 {
			names = append(names, fmt.Sprintf("and %d more", more))
		}
		preferences := ""
		if v.wish.asWritten != first.asWritten {
			preferences = fmt.Sprintf(" with preferences %q", cmp.Or(v.wish.asWritten, "none"))
		}
		parts = append(parts, fmt.Sprintf("%d%s in %s", v.wish.total, preferences, strings.Join(names, ", ")))
	}
	return strings.Join(parts, "; "), false
}
