package schedule

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/pkg/federation"
)

// ingressWish is what Git says of the class of an Ingress whose load balancer
// fedsync may make.
type ingressWish struct {
	annotation, field string
	move              bool // it may leave Google's controller
}

// newIngressWish reads an Ingress; nil for one that is another controller's.
func newIngressWish(c content) *ingressWish {
	var spec struct {
		ClassName string `json:"ingressClassName"`
	}
	if len(c.Spec) > 0 && json.Unmarshal(c.Spec, &spec) != nil {
		return nil // the API server says what is wrong
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

// has reports whether the class already stands where it belongs.
func (w *ingressWish) has(class string) bool {
	if class == federation.ClassGlobal {
		return w.annotation == "" && w.field == class
	}
	return w.class() == class
}

// classIn decides the class of an Ingress in a cluster. One that Google's controller
// serves there stays with it: its load balancer would be gone at once. It leaves only
// when a person allows it and traffic is served behind fedsync's.
//
// After it has left, it does not go back: the controller's annotations stay on the
// object for a while, and the live class tells that they are old.
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

// serving reports whether the cluster takes traffic behind fedsync's own load
// balancer of the Ingress.
func (p *pass) serving(ref federation.ObjectRef, cluster string) bool {
	return p.balancers().states[ingressOf{namespaceOf(ref), ref.Name}][cluster] == federation.TrafficServing
}

// namespaceOf returns the namespace as the API server has it, to which none is the
// default one.
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

// decisions returns those on all Ingresses, sorted.
func (c casting) decisions() []federation.IngressDecision {
	var all []federation.IngressDecision
	for _, ref := range slices.SortedFunc(maps.Keys(c.ingresses), federation.ObjectRef.Compare) {
		all = append(all, *c.ingresses[ref])
	}
	return all
}

// writeIngress puts the class that was decided into an Ingress. One of which it is
// not known whether Google's controller serves it is left as it is.
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

// unknownIngress says why an Ingress is not written.
func (p *pass) unknownIngress(i int, o *federation.Object) *federation.Withheld {
	c := &p.clusters[i]
	w := &federation.Withheld{Object: o.Ref, File: o.File}
	if slices.ContainsFunc(c.facts.Blind, func(b federation.Blind) bool { return b.Resource == resourceIngresses && b.Refused() }) {
		w.Reason = "Ingresses may not be listed in the cluster: if Google's controller serves this one, writing it would take its load balancer down"
		return w
	}
	w.Reason, w.Waits = "waits until it is known whether Google's controller serves it", []string{c.Name}
	return w
}

const resourceIngresses = "ingresses.networking.k8s.io"

// setClass gives an Ingress a class: Google's stands in the annotation, fedsync's own
// in the field, and the empty one in neither.
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

// addresses returns the address that each Ingress in a cluster is to show; see
// federation.ClusterPlan.
func (p *pass) addresses(i int) map[federation.ObjectRef]string {
	facts := &p.clusters[i].facts
	switch {
	case !facts.IngressesKnown:
		return nil
	case !p.Federation.Balances():
		return nil // a load balancer that was made stays, and so does its address
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
			shown[ref] = live.Addresses[0] // it was known, and may only be out of sight
		}
	}
	return shown
}

// isShown reports whether fedsync has written the address of an Ingress of ours.
func isShown(in federation.Ingress) bool {
	return in.Ours && in.StatusBy.String() == federation.AddressManager
}

// balances reports whether the cluster runs the Ingress with fedsync's class: by this
// plan or, where it says nothing of the Ingress, as it is live.
func (p *pass) balances(i int, ref federation.ObjectRef, live federation.Ingress) bool {
	if class, planned := p.classes[ingressIn{i, namespaceOf(ref), ref.Name}]; planned {
		return class == federation.ClassGlobal
	}
	return live.Ours && live.ClassName == federation.ClassGlobal
}
