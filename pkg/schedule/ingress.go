package schedule

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/pkg/federation"
)

// ingressWish is what Git states about the class of an Ingress whose load balancer
// fedsync may create.
type ingressWish struct {
	annotation, field string
	move              bool // it may leave Google's controller
}

// newIngressWish reads an Ingress. It returns nil if another controller serves it.
func newIngressWish(c content) *ingressWish {
	var spec struct {
		ClassName string `json:"ingressClassName"`
	}
	if len(c.Spec) > 0 && json.Unmarshal(c.Spec, &spec) != nil {
		return nil // the API server reports the mistake
	}
	w := &ingressWish{
		annotation: c.Metadata.Annotations[federation.AnnotationClass],
		field:      spec.ClassName,
		move:       c.Metadata.Annotations[federation.AnnotationMove] == federation.MoveAllowed,
	}
	if !federation.MayBalance(w.annotation, w.field) {
		return nil
	}
	return w
}

func (w *ingressWish) class() string { return cmp.Or(w.annotation, w.field) }

// has reports whether the class is already set, and in the right place.
func (w *ingressWish) has(class string) bool {
	if class == federation.ClassGlobal {
		return w.annotation == "" && w.field == class
	}
	return w.class() == class
}

// classIn decides the class of an Ingress in a cluster. An Ingress that Google's
// controller serves stays with it, since leaving deletes its load balancer immediately.
// It leaves only when a user allows it and the cluster takes traffic from fedsync's.
//
// An Ingress that has left does not go back. The controller's annotations stay on the
// object for a while, but the live class shows that they are obsolete.
func (p *pass) classIn(i int, ref federation.ObjectRef, w *ingressWish) federation.IngressClass {
	c := &p.clusters[i]
	live, exists := c.facts.Ingress(namespaceOf(ref), ref.Name)
	googles := exists && live.Google && (live.ClassName == "" || live.ClassName == federation.ClassGoogle)
	decision := federation.IngressClass{Cluster: c.Name, Git: w.class(), Class: federation.ClassGlobal}
	switch {
	case !c.facts.Seen || !c.facts.IngressesKnown:
		decision.Basis, decision.Class = federation.ClassUnknown, ""
	case !googles:
		decision.Basis = federation.ClassOurs
	case !w.move:
		decision.Basis, decision.Class = federation.ClassStays, live.ClassName
	case !p.serving(ref, c.Name):
		decision.Basis, decision.Class = federation.ClassWaits, live.ClassName
	default:
		decision.Basis = federation.ClassMoves
	}
	return decision
}

// serving reports whether the cluster takes traffic from fedsync's own load balancer
// for the Ingress.
func (p *pass) serving(ref federation.ObjectRef, cluster string) bool {
	return p.balancers().states[ingressOf{namespaceOf(ref), ref.Name}][cluster] == federation.TrafficServing
}

// namespaceOf returns the namespace that the API server would use: the default
// namespace if the reference has none.
func namespaceOf(ref federation.ObjectRef) string {
	return cmp.Or(ref.Namespace, metav1.NamespaceDefault)
}

// classify adds the class of an Ingress in a cluster to the decision on it.
func (c casting) classify(cluster int, app string, r *reading) {
	d := c.ingresses[r.ref]
	if d == nil {
		d = &federation.IngressDecision{App: app, Ingress: r.ref, File: r.file}
		c.ingresses[r.ref] = d
	}
	class := c.classIn(cluster, r.ref, r.ingress)
	d.Clusters = append(d.Clusters, class)
	if class.Basis != federation.ClassUnknown {
		c.classes[ingressIn{cluster, namespaceOf(r.ref), r.ref.Name}] = class.Class
	}
}

// ingressIn is an Ingress in a cluster.
type ingressIn struct {
	cluster         int
	namespace, name string
}

// decisions returns the decisions on all Ingresses, sorted.
func (c casting) decisions() []federation.IngressDecision {
	var all []federation.IngressDecision
	for _, ref := range slices.SortedFunc(maps.Keys(c.ingresses), federation.ObjectRef.Compare) {
		all = append(all, *c.ingresses[ref])
	}
	return all
}

// writeIngress writes the decided class into an Ingress. While it is not known whether
// Google's controller serves the Ingress, it stays unchanged.
func (p *pass) writeIngress(i int, placed placement) (*federation.Object, *federation.Withheld) {
	o, wish := placed.object, placed.role.ingress
	d := p.classIn(i, o.Ref, wish)
	switch {
	case d.Basis == federation.ClassUnknown:
		return nil, p.unknownIngress(i, o)
	case wish.has(d.Class):
		return o, nil
	}
	return p.written.get(writing{o, "class " + d.Class}, func() *federation.Object {
		return rewriteWhole(o, func(object map[string]any) { setClass(object, d.Class) })
	}), nil
}

// unknownIngress withholds an Ingress and states why.
func (p *pass) unknownIngress(i int, o *federation.Object) *federation.Withheld {
	c := &p.clusters[i]
	w := &federation.Withheld{Object: o.Ref, File: o.File}
	if slices.ContainsFunc(c.facts.Blind, func(b federation.Blind) bool { return b.Resource == resourceIngresses && b.Refused() }) {
		w.Reason = "fedsync may not list Ingresses in the cluster: if Google's controller serves this one, writing it would take its load balancer down"
		return w
	}
	w.Reason, w.Waits = "waits until it is known whether Google's controller serves it", []string{c.Name}
	return w
}

const resourceIngresses = "ingresses.networking.k8s.io"

// setClass sets the class of an Ingress: Google's in the annotation, fedsync's own in
// the field, and the empty class in neither.
func setClass(object map[string]any, class string) {
	metadata := section(object, "metadata")
	annotations := section(metadata, "annotations")
	delete(section(object, "spec"), "ingressClassName")
	delete(annotations, federation.AnnotationClass)
	switch class {
	case federation.ClassGlobal:
		section(object, "spec")["ingressClassName"] = class
	case federation.ClassGoogle:
		annotations[federation.AnnotationClass] = class
	}
	if len(annotations) == 0 {
		delete(metadata, "annotations")
	}
}

// addresses returns the address that each Ingress in a cluster is to show. See
// federation.ClusterPlan.
func (p *pass) addresses(i int) map[federation.ObjectRef]string {
	facts := &p.clusters[i].facts
	switch {
	case !facts.IngressesKnown:
		return nil
	case !p.Federation.Balances():
		return nil // existing load balancers stay, and so do their addresses
	case !p.Facts.BalancersKnown:
		return nil
	}
	shown := map[federation.ObjectRef]string{}
	for at := range p.Facts.Balancers {
		b := &p.Facts.Balancers[at]
		live, exists := facts.Ingress(namespaceOf(b.Ingress), b.Ingress.Name)
		ref := b.Ingress
		ref.Namespace = namespaceOf(ref)
		switch {
		case !p.balances(i, ref, live):
		case b.Address != "":
			shown[ref] = b.Address
		case exists && isShown(live) && len(live.Addresses) == 1:
			shown[ref] = live.Addresses[0] // it was known, and may only be unreadable now
		}
	}
	return shown
}

// isShown reports whether the Ingress is managed and fedsync wrote its address.
func isShown(in federation.Ingress) bool {
	return in.Ours && in.StatusBy.String() == federation.AddressManager
}

// balances reports whether the Ingress has fedsync's class in the cluster: by this plan
// or, if the Ingress is not in it, by its live class.
func (p *pass) balances(i int, ref federation.ObjectRef, live federation.Ingress) bool {
	if class, planned := p.classes[ingressIn{i, namespaceOf(ref), ref.Name}]; planned {
		return class == federation.ClassGlobal
	}
	return live.Ours && live.ClassName == federation.ClassGlobal
}
