package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule/ports"
)

// placement is an object in a cluster that is to run it.
type placement struct {
	object *federation.Object
	role   *role // nil if nothing in the object is decided across clusters
}

// decided reports whether something in the object is decided across clusters.
func (p placement) decided() bool {
	return p.role != nil && (p.role.service != nil || p.role.divided != nil || p.role.ingress != nil)
}

// role is which decisions the objects with one reading take part in.
type role struct {
	service  *service
	ports    *ports.Variant
	decision *portNumbers // on the ports; nil until it is needed
	divided  *divided
	wish     *variant
	ingress  *ingressWish // nil if fedsync creates no load balancers
}

// service is a Service with node ports, across the clusters that run it.
type service struct {
	ports.Service
	variants  []*ports.Variant
	withheld  map[int]*federation.Withheld // by cluster
	decisions []federation.PortDecision
}

// divided is a workload whose replicas are divided among the clusters that run it.
type divided struct {
	app      string
	ref      federation.ObjectRef
	variants []*variant
	refusal  string // why it is not written to any cluster; empty otherwise
	shares   []int  // by cluster, its index in the decision's shares; nil if nothing was decided
	decision int    // its index in the decisions
}

// variant is what Git states about a workload for some clusters.
type variant struct {
	wish     *wish
	file     string
	clusters []int
}

// place decides which cluster runs which object: the app's selector and the object's own
// selector must both match. It also collects what is to be decided across clusters.
func (p *pass) place() {
	cast := newCasting(p)
	for i, c := range p.clusters {
		set := labels.Set(c.Labels)
		for _, app := range p.Federation.Apps {
			k := key{c.Name, app.Name}
			b := p.bundles[k]
			if b == nil || b.Err != nil || !app.Selector.Matches(c.Cluster) {
				continue
			}
			read := p.library.read(k, b.Objects)
			p.read[k] = read
			b.placed = make([]placement, 0, len(b.Objects))
			for at, o := range b.Objects {
				r := read.readings[at]
				switch {
				case r == nothing:
					b.placed = append(b.placed, placement{object: o})
				case r.err != nil:
					b.withheld = append(b.withheld, federation.Withheld{Object: o.Ref, File: o.File, Reason: r.err.Error()})
					p.scale(i, r.scales)
					cast.misread(app.Name, r)
				case r.selector == nil || r.selector.Matches(set):
					b.placed = append(b.placed, placement{o, cast.in(i, app.Name, r)})
				}
			}
		}
	}
	slices.SortFunc(p.services, func(a, b *service) int { return a.Ref.Compare(b.Ref) })
	p.ingresses = cast.decisions()
	slices.SortFunc(p.workloads, func(a, b *divided) int { return a.ref.Compare(b.ref) })
}

// casting assigns a role to every reading.
type casting struct {
	*pass
	roles     map[*reading]*role
	services  map[federation.ObjectRef]*service
	workloads map[federation.ObjectRef]*divided
	ingresses map[federation.ObjectRef]*federation.IngressDecision
	reported  map[misreading]bool
}

// misreading is an object of an app that cannot be understood.
type misreading struct {
	app string
	*reading
}

func newCasting(p *pass) casting {
	return casting{
		pass:      p,
		roles:     map[*reading]*role{},
		services:  map[federation.ObjectRef]*service{},
		workloads: map[federation.ObjectRef]*divided{},
		ingresses: map[federation.ObjectRef]*federation.IngressDecision{},
		reported:  map[misreading]bool{},
	}
}

// in returns the role of objects with a reading, and records that a cluster runs one.
func (c casting) in(cluster int, app string, r *reading) *role {
	its := c.roles[r]
	if its == nil {
		its = c.cast(app, r)
		c.roles[r] = its
	}
	if its.ports != nil {
		its.ports.Clusters = append(its.ports.Clusters, cluster)
	}
	if its.wish != nil {
		its.wish.clusters = append(its.wish.clusters, cluster)
	}
	if its.ingress != nil {
		c.classify(cluster, app, r)
	}
	c.scale(cluster, r.scales)
	return its
}

func (c casting) cast(app string, r *reading) *role {
	its := &role{}
	if r.ports != nil {
		s := c.services[r.ref]
		if s == nil {
			s = &service{
				Service:  ports.Service{App: app, Ref: r.ref, File: r.file},
				withheld: map[int]*federation.Withheld{},
			}
			c.services[r.ref] = s
			c.pass.services = append(c.pass.services, s)
		}
		its.service, its.ports = s, &ports.Variant{File: r.file, Ports: r.ports}
		s.variants = append(s.variants, its.ports)
	}
	if r.workload != nil {
		w := c.workloads[r.ref]
		if w == nil {
			w = &divided{app: app, ref: r.ref}
			c.workloads[r.ref] = w
			c.pass.workloads = append(c.pass.workloads, w)
		}
		its.divided, its.wish = w, &variant{wish: r.workload, file: r.file}
		w.variants = append(w.variants, its.wish)
	}
	if c.Federation.Balances() {
		its.ingress = r.ingress
	}
	return its
}

// misread reports that an annotation cannot be understood. The object is not placed
// anywhere, since a guess could place it in the wrong cluster.
func (c casting) misread(app string, r *reading) {
	if c.reported[misreading{app, r}] {
		return
	}
	c.reported[misreading{app, r}] = true
	c.findings.Add(federation.Finding{
		ID: federation.FindingAnnotation, Severity: federation.SeverityError, App: app, Object: r.ref, File: r.file,
		Message: untrusted.Textf("%s: %s", r.field, r.err),
		Remedy:  untrusted.Const("correct it; until then the object stays unchanged in every cluster"),
	})
}

// agree reports whether all renderings of a workload state the same replicas and
// preferences. If they do not, it describes the differences.
func (w *divided) agree(clusters []member) (string, bool) {
	first := w.variants[0].wish
	same := func(v *variant) bool {
		return v.wish.stated == first.stated && v.wish.total == first.total && v.wish.asWritten == first.asWritten
	}
	if !slices.ContainsFunc(w.variants, func(v *variant) bool { return !same(v) }) {
		return "", true
	}
	parts := make([]string, 0, limit.Names+1)
	for i, v := range w.variants {
		if i == limit.Names {
			parts = append(parts, limit.More(len(w.variants)-i))
			break
		}
		names := make([]string, 0, len(v.clusters))
		for _, i := range v.clusters[:min(3, len(v.clusters))] {
			names = append(names, clusters[i].Name)
		}
		preferences := ""
		if v.wish.asWritten != first.asWritten {
			preferences = " with preferences " + limit.Quote(cmp.Or(v.wish.asWritten, "none"))
		}
		total := "none"
		if v.wish.stated {
			total = strconv.FormatInt(v.wish.total, 10)
		}
		parts = append(parts, fmt.Sprintf("%s%s in %s", total, preferences, untrusted.SomeOf(names, len(v.clusters))))
	}
	return strings.Join(parts, "; "), false
}
