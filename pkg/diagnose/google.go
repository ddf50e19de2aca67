package diagnose

import (
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

// What Google's ingress controller, GLBC, reads and writes.
const (
	annotationClass  = "kubernetes.io/ingress.class"
	annotationPrefix = "ingress.kubernetes.io/"
	annotationURLMap = annotationPrefix + "url-map"
	annotationNEG    = "cloud.google.com/neg"

	classGCE          = "gce"
	classMultiCluster = "gce-multi-cluster"
)

// controller is who takes care of an Ingress in one cluster.
type controller struct {
	class string // as it is named; empty for none
	// google says that it is GLBC, by name or by what it left on the object.
	google bool
	// other says that it is not. Where neither holds, nobody can tell: an Ingress
	// without a class is GLBC's in a cluster that has it.
	other bool
	// ours says that fedsync's own load balancer serves it, or is to.
	ours bool
	// byField says that spec.ingressClassName names GLBC's class, which reads only
	// the annotation.
	byField bool
}

// controller tells who takes care of an Ingress. What Git says counts before what
// was seen, which may be of the revision before; what the controller wrote onto
// the object counts before both.
func (m *member) controller(i *planned) controller {
	c := controller{class: i.ingress.annotation}
	if c.class == "" {
		c.class = i.ingress.field
		c.byField = c.class != ""
	}
	if c.class == "" {
		c.class = m.observation(i.Ref).ClassName
	}
	if m.balances && federation.MayBalance(i.ingress.annotation, i.ingress.field) {
		return controller{class: c.class, ours: true}
	}
	switch {
	case m.urlMaps[i.Ref] != "" && (c.class == "" || isGoogles(c.class)):
		c.google = true
	case c.class == "":
		c.google = m.google
	default:
		c.google = isGoogles(c.class) && !c.byField
		c.other = !c.google
	}
	c.byField = c.byField && isGoogles(c.class)
	return c
}

// isGoogles says whether the class is one whose Ingresses can share an address.
func isGoogles(class string) bool { return class == classGCE || class == classMultiCluster }

// traces reads what GLBC left behind in the cluster: the url maps of our Ingresses,
// and that it is there at all.
func (m *member) traces() {
	m.google = m.facts.IngressUID.Exists
	add := func(ref federation.ObjectRef, urlMap string, ours bool) {
		if urlMap == "" {
			return
		}
		m.google = true
		if ours {
			m.urlMaps[ref] = urlMap[strings.LastIndexByte(urlMap, '/')+1:] // it may be a URL
		}
	}
	for _, i := range m.facts.Ingresses {
		add(federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: i.Namespace, Name: i.Name}, i.URLMap, i.Ours)
	}
	for ref, o := range m.live {
		if ref.IsIngress() {
			add(ref, o.Annotations[annotationURLMap], true)
		}
	}
}
