package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Risk is something that users should know about a change before it is merged.
type Risk struct {
	Kind RiskKind `json:"kind"`
	// Severity is E if the change will not work, W if it removes something, and I if the
	// risk is only worth knowing.
	Severity federation.Severity  `json:"severity"`
	Object   federation.ObjectRef `json:"object,omitzero"`
	App      string               `json:"app,omitempty"`
	Clusters []string             `json:"clusters,omitempty"` // empty if it concerns no particular cluster
	Message  untrusted.Text       `json:"message"`
}

// RiskKind is what a risk is about.
type RiskKind string

// The kinds of risks. Otherwise equal risks are reported in the order of riskOrder.
const (
	RiskConflict   RiskKind = "conflict"    // the change does not merge
	RiskImmutable  RiskKind = "immutable"   // an immutable field changes
	RiskPortClash  RiskKind = "port clash"  // another Service has a node port
	RiskCapacity   RiskKind = "capacity"    // there is no room for all replicas
	RiskSelector   RiskKind = "selector"    // other pods are selected
	RiskPort       RiskKind = "node port"   // traffic moves to another port
	RiskZero       RiskKind = "no replicas" // no replicas remain
	RiskDelete     RiskKind = "delete"      // objects are deleted
	RiskHeld       RiskKind = "held"        // a deletion that a user must allow
	RiskOrphan     RiskKind = "orphan"      // an object stays and is no longer maintained
	RiskDefinition RiskKind = "definition"  // a kind is deleted, with all its objects
	RiskAdoption   RiskKind = "adoption"    // an existing object is taken over
	RiskAddress    RiskKind = "address"     // the address of an Ingress may change
	RiskTLS        RiskKind = "certificate" // other certificates are served
	RiskCluster    RiskKind = "cluster"     // a cluster leaves, or is drained
	RiskEverywhere RiskKind = "everywhere"  // all clusters change at the same time
	RiskMore       RiskKind = "more"        // how many risks are omitted
)

var riskOrder = []RiskKind{
	RiskConflict, RiskImmutable, RiskPortClash, RiskCapacity, RiskSelector, RiskPort, RiskZero, RiskDefinition,
	RiskDelete, RiskHeld, RiskOrphan, RiskCluster, RiskAdoption, RiskAddress, RiskTLS, RiskEverywhere,
}

func (r Risk) compare(o Risk) int {
	rank := func(s federation.Severity) int { return strings.Index("EWI", string(s)) }
	return cmp.Or(
		rank(r.Severity)-rank(o.Severity),
		slices.Index(riskOrder, r.Kind)-slices.Index(riskOrder, o.Kind),
		strings.Compare(r.App, o.App),
		r.Object.Compare(o.Object),
		r.Message.Compare(o.Message),
	)
}

// risks returns the risks of everything that changes.
func risks(in Input, p *Plan) []Risk {
	all := []Risk{}
	for _, path := range p.Conflicts {
		all = append(all, Risk{
			Kind: RiskConflict, Severity: federation.SeverityError,
			Message: untrusted.Textf("%s was also changed on the base, and does not merge: the plan uses the version of the change", path),
		})
	}
	for _, o := range p.Objects {
		all = append(all, objectRisks(o)...)
	}
	all = append(all, deletionRisks(p.Objects)...)
	for _, c := range p.Ports {
		all = append(all, portRisks(c, p.deletes(c.Service))...)
	}
	for _, r := range p.Replicas {
		all = append(all, replicasRisks(in, r)...)
	}
	all = append(all, clusterRisks(in)...)
	all = append(all, adoptions(in)...)
	all = append(all, cloudRisks(p.Cloud)...)
	all = append(all, everywhere(p)...)
	slices.SortStableFunc(all, Risk.compare)
	if more := len(all) - limit.Findings; more > 0 {
		all = append(all[:limit.Findings], Risk{Kind: RiskMore, Severity: federation.SeverityNote, Message: untrusted.New(limit.More(more))})
	}
	return all
}

// objectRisks returns the risks of the change of one object.
func objectRisks(o ObjectChange) []Risk {
	risk := func(kind RiskKind, severity federation.Severity, format string, args ...any) Risk {
		return Risk{Kind: kind, Severity: severity, Object: o.Object, App: o.App, Clusters: o.Clusters, Message: untrusted.Textf(format, args...)}
	}
	if o.Action != Change {
		return nil
	}
	var all []Risk
	if paths := immutable(o); len(paths) > 0 {
		all = append(all, risk(RiskImmutable, federation.SeverityError,
			"%s cannot be changed: the API server will refuse it; give the object another name, or delete it first", untrusted.Some(paths, 5)))
	}
	switch {
	case o.Object.Group == "" && o.Object.Kind == "Service":
		if changed(o, "spec.selector") {
			all = append(all, risk(RiskSelector, federation.SeverityWarning, "the Service selects other pods: %s", describe(o, "spec.selector")))
		}
		if was(o, "spec.type", "LoadBalancer") || changed(o, "spec.loadBalancerIP") {
			all = append(all, risk(RiskAddress, federation.SeverityWarning, "its address may change: %s", describe(o, "spec.type", "spec.loadBalancerIP")))
		}
	case o.Object.Group == "" && o.Object.Kind == "Secret":
		if changed(o, "data.tls\\.crt") || changed(o, "data.tls.crt") || changed(o, "stringData.tls.crt") {
			all = append(all, risk(RiskTLS, federation.SeverityWarning, "other certificates are served: its tls.crt changes"))
		}
	case o.Object.Kind == "Ingress":
		for _, key := range addressAnnotations {
			if changed(o, "metadata.annotations."+key) {
				all = append(all, risk(RiskAddress, federation.SeverityWarning, "its address may change: %s", describe(o, "metadata.annotations."+key)))
			}
		}
		if changed(o, "spec.ingressClassName") {
			all = append(all, risk(RiskAddress, federation.SeverityWarning, "its address may change: %s", describe(o, "spec.ingressClassName")))
		}
		if changed(o, "spec.tls") || changed(o, "metadata.annotations.ingress.gcp.kubernetes.io/pre-shared-cert") {
			all = append(all, risk(RiskTLS, federation.SeverityWarning, "other certificates are served: %s",
				describe(o, "spec.tls", "metadata.annotations.ingress.gcp.kubernetes.io/pre-shared-cert")))
		}
	}
	if becomes(o, "spec.replicas", "0") {
		all = append(all, risk(RiskZero, federation.SeverityWarning, "it no longer runs: %s", describe(o, "spec.replicas")))
	}
	return all
}

// deletes reports whether an object is deleted anywhere.
func (p *Plan) deletes(ref federation.ObjectRef) bool {
	return slices.ContainsFunc(p.Objects, func(o ObjectChange) bool { return o.Action == Delete && o.Object == ref })
}

// addressAnnotations are the annotations that set the address or the controller of an Ingress.
var addressAnnotations = []string{
	"kubernetes.io/ingress.global-static-ip-name",
	"networking.gke.io/static-ip",
	"kubernetes.io/ingress.class",
}
