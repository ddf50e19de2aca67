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

// controller is who serves an Ingress in one cluster.
type controller struct {
	class string // its name; empty for none
	// google reports that it is GLBC, by the class or by what GLBC wrote on the object.
	google bool
	// other reports that it is not GLBC. If neither is true, it is not known: GLBC serves
	// an Ingress without a class in clusters in which it runs.
	other bool
	// ours reports that fedsync's own load balancer serves it, or is to.
	ours bool
	// byField reports that spec.ingressClassName names GLBC's class. GLBC reads only the
	// annotation.
	byField bool
}

// controller returns who serves an Ingress. Git takes precedence over the live state,
// which may be of the previous revision. What the controller wrote on the object takes
// precedence over both.
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

// isGoogles reports whether Ingresses of the class can share an address.
func isGoogles(class string) bool { return class == classGCE || class == classMultiCluster }

// traces reads what GLBC wrote in the cluster: the URL maps of managed Ingresses, and
// whether GLBC runs there.
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
