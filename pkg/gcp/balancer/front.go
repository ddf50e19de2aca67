package balancer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// errNotPlaced means that the plan does not place an object in a cluster.
var errNotPlaced = errors.New("is not in the plan of the cluster")

// The annotations that are read from an Ingress.
const (
	AnnotationAddress     = "kubernetes.io/ingress.global-static-ip-name"
	annotationOwnAddress  = federation.AnnotationAddress // only for ours, next to that of Google's controller
	annotationAllowHTTP   = "kubernetes.io/ingress.allow-http"
	annotationCertificate = "ingress.gcp.kubernetes.io/pre-shared-cert"
	annotationRedirect    = federation.AnnotationRedirect
	annotationMaxRate     = federation.AnnotationMaxRate
)

// honouredAnnotations are the annotations of an Ingress that have an effect here.
var honouredAnnotations = []string{
	AnnotationAddress, annotationOwnAddress, annotationAllowHTTP, annotationCertificate, annotationRedirect, annotationMaxRate,
}

// front is the load balancer of one Ingress.
type front struct {
	ref       federation.ObjectRef
	app, file string
	ingress   *networkingv1.Ingress // as its clusters have it; nil if the plan has none
	clusters  []string              // where it is placed

	// idle is why it is not built or changed; empty if it is.
	idle string
	// refused is set if only the user can change that.
	refused bool

	routes  routes
	address gcp.ID
	certs   certificates
	http    bool
	https   bool
}

// active reports whether the load balancer is built.
func (f *front) active() bool { return f.idle == "" }

// waits reports whether it is not built for a reason that resolves itself.
func (f *front) waits() bool { return f.idle != "" && !f.refused }

// wait leaves the load balancer unchanged for now. The first reason counts.
func (f *front) wait(reason string) {
	if f.idle == "" {
		f.idle = reason
	}
}

// refuse leaves the load balancer unchanged until the user changes something, and
// reports it.
func (b *builder) refuse(f *front, id, cluster, message, remedy string) {
	f.refused = f.refused || f.idle == ""
	f.wait(message)
	b.warn(f, federation.SeverityError, id, cluster, message, remedy)
}

// warn reports something about a front.
func (b *builder) warn(f *front, severity federation.Severity, id, cluster, message, remedy string) {
	b.report(federation.Finding{
		ID: id, Severity: severity, Cluster: cluster, App: f.app, Object: f.ref, File: f.file,
		Message: untrusted.New(message), Remedy: untrusted.New(remedy),
	})
}

// readMarks finds the fronts: those in the plan, and those with resources that may
// still be wanted although the plan lacks them.
func (b *builder) readMarks() {
	found := map[federation.ObjectRef]*front{}
	for _, c := range b.clusters {
		for ref, p := range c.ingresses {
			b.place(found, c, ref, p)
		}
	}
	for _, r := range b.ours("") {
		if r.Mark.Ingress == "" {
			continue
		}
		ref, err := federation.ParseObjectRef(r.Mark.Ingress)
		if err != nil || found[ref] != nil {
			continue
		}
		if why := b.mayExist(ref); why != "" {
			found[ref] = &front{ref: ref, idle: why}
		}
	}
	b.fronts = slices.SortedFunc(maps.Values(found), func(x, y *front) int { return x.ref.Compare(y.ref) })
}

// place notes that a cluster runs an Ingress of a class of ours.
func (b *builder) place(found map[federation.ObjectRef]*front, c *clusterView, ref federation.ObjectRef, p placed) {
	ingress, err := b.ingress(c, ref)
	if err == nil && !ourClass(ingress) {
		return
	}
	f := found[ref]
	if f == nil {
		f = &front{ref: ref, app: p.app, file: p.object.File}
		found[ref] = f
	}
	f.clusters = append(f.clusters, c.name)
	switch {
	case err != nil:
		f.wait("cannot be read: " + err.Error())
	case f.ingress == nil:
		f.ingress = ingress
	}
}

// ourClass reports whether an Ingress is of a class that fedsync builds for.
func ourClass(i *networkingv1.Ingress) bool {
	field := ""
	if i.Spec.IngressClassName != nil {
		field = *i.Spec.IngressClassName
	}
	return federation.MayBalance(i.Annotations[federation.AnnotationClass], field)
}

// mayExist returns why an Ingress that no plan has may still be wanted; empty if it is
// gone.
func (b *builder) mayExist(ref federation.ObjectRef) string {
	if b.unclean != "" {
		return b.unclean
	}
	for _, c := range b.clusters {
		if w, ok := c.withheld[ref]; ok {
			return fmt.Sprintf("is withheld in cluster %s: %s", c.name, w.Reason)
		}
		if _, placed := c.ingresses[ref]; placed {
			continue // its class is no longer ours
		}
		if why := b.unpruned(c, ref); why != "" {
			return why
		}
	}
	return ""
}

// judgeFront reads an Ingress and decides whether a load balancer is built for it.
func (b *builder) judgeFront(f *front) {
	if !f.active() {
		return
	}
	for _, c := range b.clusters {
		switch {
		case c.brokenApp(f.app):
			f.wait(fmt.Sprintf("app %s cannot be rendered for cluster %s", f.app, c.name))
		case c.provisional:
			f.wait("the plan of cluster " + c.name + " is provisional")
		}
	}
	b.awaitClusters(f)
	b.compareClusters(f)
	b.judgeLosses(f)
	b.readRoutes(f)
	b.judgeProtocols(f)
	for key, p := range f.routes.ports {
		if b.ports[key] == nil {
			b.ports[key] = &servicePort{key: key, service: p.service, number: p.number}
		}
		b.ports[key].fronts = append(b.ports[key].fronts, f)
	}
}

// BeingRead reports whether the facts of a cluster may be known in a moment.
func BeingRead(f federation.ClusterFacts) bool {
	return f.State == federation.ClusterPending || f.State == federation.ClusterReady && !f.Seen
}

// awaitClusters delays a new load balancer until each of its clusters has been read or
// is known to be unreadable: one that is built for some clusters would have to change
// for each of the others. An existing load balancer does not wait.
func (b *builder) awaitClusters(f *front) {
	if len(b.frontResources(f, gcp.KindRule)) > 0 {
		return
	}
	for _, name := range f.clusters {
		if BeingRead(b.byName[name].facts) {
			f.wait("cluster " + name + " has not been read yet")
		}
	}
}

// compareClusters refuses an Ingress that differs between clusters: they share one load
// balancer.
func (b *builder) compareClusters(f *front) {
	first := shapeOf(f.ingress)
	for _, name := range f.clusters {
		ingress, err := b.ingress(b.byName[name], f.ref)
		if err != nil || shapeOf(ingress) == first {
			continue
		}
		b.refuse(f, federation.FindingBalancer, name,
			fmt.Sprintf("differs between clusters %s and %s: one load balancer serves all of them", f.clusters[0], name),
			"make spec and annotations of the Ingress equal in all overlays")
		return
	}
}

// shapeOf returns, as text, the part of an Ingress that its load balancer depends on.
func shapeOf(i *networkingv1.Ingress) string {
	spec := i.Spec
	spec.IngressClassName = nil
	annotations := map[string]string{}
	for _, key := range slices.Concat(honouredAnnotations, slices.Collect(maps.Keys(lossesOfIngress))) {
		if value, ok := i.Annotations[key]; ok {
			annotations[key] = value
		}
	}
	text, err := json.Marshal([]any{spec, annotations})
	if err != nil {
		panic(err) // it was decoded from JSON
	}
	return string(text)
}

// What would be lost, by the annotation that requests it from Google's controller.
var (
	lossesOfIngress = map[string]string{
		"networking.gke.io/v1beta1.FrontendConfig":      "its SSL policy and its redirects",
		"networking.gke.io/managed-certificates":        "its managed certificates",
		"kubernetes.io/ingress.regional-static-ip-name": "its regional address: this load balancer is global",
	}
	lossesOfService = map[string]string{
		"cloud.google.com/backend-config":           "what its BackendConfig asks for, such as IAP, Cloud Armor and CDN",
		"beta.cloud.google.com/backend-config":      "what its BackendConfig asks for, such as IAP, Cloud Armor and CDN",
		"cloud.google.com/app-protocols":            "its protocol to the pods, such as HTTPS and HTTP2",
		"service.alpha.kubernetes.io/app-protocols": "its protocol to the pods, such as HTTPS and HTTP2",
	}
)

// judgeLosses refuses annotations that Google's controller honours and this load
// balancer does not: a site that relies on one would be left unprotected.
func (b *builder) judgeLosses(f *front) {
	if f.ingress == nil {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(lossesOfIngress)) {
		if f.ingress.Annotations[key] != "" {
			b.refuse(f, federation.FindingBalancer, "", lossMessage("", key, lossesOfIngress[key]), lossRemedy(key))
		}
	}
}

func lossMessage(where, key, loss string) string {
	return fmt.Sprintf("the annotation %s%s is not honoured: %s would be lost, so no load balancer is built or changed", key, where, loss)
}

func lossRemedy(key string) string {
	return "remove the annotation " + key + ", or leave the Ingress to the clusters' own controllers (spec.gcp.loadBalancer)"
}

// judgeProtocols decides which ports the load balancer listens on.
func (b *builder) judgeProtocols(f *front) {
	if f.ingress == nil {
		return
	}
	f.http = f.ingress.Annotations[annotationAllowHTTP] != "false"
	b.readCertificates(f)
	f.https = len(f.certs.ids) > 0
	remedy := "add spec.tls or the annotation " + annotationCertificate
	if len(f.ingress.Spec.TLS) > 0 {
		remedy = "create the Secret that spec.tls names, the same in every cluster; see " + federation.FindingCertificate
	}
	if redirect := f.ingress.Annotations[annotationRedirect]; redirect == "true" && !f.https && f.active() {
		b.refuse(f, federation.FindingBalancer, "", "redirects HTTP to HTTPS, but has no certificate", remedy)
	}
	if !f.http && !f.https && f.active() {
		b.refuse(f, federation.FindingBalancer, "", "allows no HTTP and has no certificate for HTTPS: it would listen on no port",
			remedy+", or remove "+annotationAllowHTTP)
	}
}

// maxRate returns the annotated requests per second of one replica; 0 if there is no
// valid annotation.
func maxRate(annotations map[string]string) (rate float64, err error) {
	text := strings.TrimSpace(annotations[annotationMaxRate])
	if text == "" {
		return 0, nil
	}
	rate, err = strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(rate) || rate <= 0 || rate > maxGroupRate {
		return 0, fmt.Errorf("annotation %s: %q is not a valid number of requests per second", annotationMaxRate, text)
	}
	return rate, nil
}
