// Package balancer decides which Compute Engine resources the federated Ingresses need,
// and which existing ones are left unchanged. It is pure: [Build] reads the plan, the
// facts and the last observed state, and calls nothing else.
package balancer

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// Build returns the wanted Compute Engine resources for the federated Ingresses of the
// plan. It is pure: equal input gives equal output.
//
// The observed state matters in four ways. A cluster that cannot be read keeps its
// backends and endpoints. Endpoints leave, rates change and clusters drain gradually,
// from their present state. An Ingress that is refused, or cannot be read now, keeps its
// resources. An address that another owner uses is not taken.
func Build(in gcp.Input, seen gcp.Observed) gcp.Wanted {
	b := newBuilder(in, seen)
	if !in.Federation.Balances() {
		b.holdAll()
		return b.finish()
	}
	b.readClusters()
	b.readPlan()
	b.readMarks()
	for _, f := range b.fronts {
		b.judgeFront(f)
	}
	b.assignAddresses()
	b.judgePorts()
	b.wantPorts()
	for _, f := range b.fronts {
		if f.active() {
			b.wantFront(f)
		}
	}
	b.holdFronts()
	b.wantFirewall()
	b.holdAddresses()
	b.judgeHealth()
	return b.finish()
}

// builder holds the state of one call of Build.
type builder struct {
	in    gcp.Input
	seen  gcp.Observed
	owner gcp.Owner
	want  gcp.Wanted

	clusters []*clusterView              // in the order of the file, then those that left, by name
	byName   map[string]*clusterView     // the same clusters
	parsed   map[string]any              // content of the plan's objects, by digest
	fronts   []*front                    // sorted by Ingress
	ports    map[string]*servicePort     // by key: "default/nginx:80"
	owned    map[gcp.Kind][]gcp.Resource // observed resources of the owner, sorted; "" holds all kinds
	groups   map[groupOwner][]gcp.Resource
	unclean  string          // why an Ingress that the plan lacks may still exist
	reported map[string]bool // findings, by key and message
}

func newBuilder(in gcp.Input, seen gcp.Observed) *builder {
	owner := gcp.Owner{Federation: in.Federation.Name, Source: in.Source}
	b := &builder{
		in: in, seen: seen, owner: owner,
		want:     gcp.Wanted{Owner: owner, Resources: map[gcp.ID]gcp.Resource{}, Held: map[gcp.ID]string{}},
		byName:   map[string]*clusterView{},
		parsed:   map[string]any{},
		ports:    map[string]*servicePort{},
		reported: map[string]bool{},
		owned:    map[gcp.Kind][]gcp.Resource{},
		groups:   map[groupOwner][]gcp.Resource{},
	}
	b.index()
	return b
}

// finish sorts the result, and releases the holds on what is wanted.
func (b *builder) finish() gcp.Wanted {
	for id, r := range b.want.Resources {
		if r.Mark.Federation != "" {
			delete(b.want.Held, id)
		}
	}
	slices.SortFunc(b.want.Findings, federation.Finding.Compare)
	slices.SortFunc(b.want.Balancers, func(x, y gcp.Balancer) int { return x.Ingress.Compare(y.Ingress) })
	return b.want
}

// holdAll holds everything: the user chose another way to a load balancer.
func (b *builder) holdAll() {
	const reason = "fedsync does not manage load balancers: spec.gcp.loadBalancer is not NodePorts"
	left := map[string]bool{}
	for _, r := range b.ours("") {
		b.hold(r.ID, reason)
		if r.Mark.Ingress != "" {
			left[r.Mark.Ingress] = true
		}
	}
	for _, text := range slices.Sorted(maps.Keys(left)) {
		ref, err := federation.ParseObjectRef(text)
		if err != nil {
			continue
		}
		b.report(federation.Finding{
			ID: federation.FindingBalancer, Severity: federation.SeverityWarning, Object: ref,
			Message: untrusted.New("has a load balancer made by fedsync, which is left unchanged because spec.gcp.loadBalancer is " + string(b.in.Federation.GCP.LoadBalancer)),
			Remedy:  untrusted.Const("to remove it, set spec.gcp.loadBalancer: NodePorts in " + federation.FileName + " and delete the Ingress, then change the mode"),
		})
	}
}

// groupOwner is the cluster and Service port that a group belongs to.
type groupOwner struct{ cluster, service string }

// index finds the observed resources that bear the owner's mark.
func (b *builder) index() {
	for _, r := range b.seen.Resources {
		if b.owner.Owns(r.Mark) {
			b.owned[""] = append(b.owned[""], r)
		}
	}
	slices.SortFunc(b.owned[""], func(x, y gcp.Resource) int { return x.ID.Compare(y.ID) })
	for _, r := range b.owned[""] {
		b.owned[r.ID.Kind] = append(b.owned[r.ID.Kind], r)
		if r.ID.Kind == gcp.KindGroup {
			of := groupOwner{r.Mark.Cluster, r.Mark.Service}
			b.groups[of] = append(b.groups[of], r)
		}
	}
}

// ours returns the observed resources of one kind that bear the owner's mark, or those
// of all kinds if kind is empty, in the order of creation. The caller must not change
// the list.
func (b *builder) ours(kind gcp.Kind) []gcp.Resource { return b.owned[kind] }

// ownSpec returns the observed spec of one of the owner's resources; false if there is
// none.
func ownSpec[S gcp.Spec](b *builder, id gcp.ID) (S, bool) {
	r, ok := b.seen.Resources[id]
	spec, is := r.Spec.(S)
	return spec, ok && is && b.owner.Owns(r.Mark)
}

// add wants a resource.
func (b *builder) add(id gcp.ID, mark gcp.Mark, spec gcp.Spec) {
	if mark.Federation == "" {
		mark.Federation, mark.Source = b.owner.Federation, b.owner.Source
	}
	b.want.Resources[id] = gcp.Resource{ID: id, Mark: mark, Spec: spec}
}

// hold leaves an observed resource unchanged. The first reason counts.
func (b *builder) hold(id gcp.ID, reason string) {
	if b.want.Held[id] == "" {
		b.want.Held[id] = reason
	}
}

// report adds a finding unless it is already there.
func (b *builder) report(f federation.Finding) {
	key := f.Key() + "|" + f.Message.String()
	if b.reported[key] {
		return
	}
	b.reported[key] = true
	b.want.Findings = append(b.want.Findings, f)
}

// now returns the current time in a form that survives being written in a mark.
func (b *builder) now() time.Time { return b.in.Now.UTC().Truncate(time.Second) }

// listNames joins the first few names for a message.
func listNames(names []string) string {
	const most = 5
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and others"
	}
	return strings.Join(names, ", ")
}
