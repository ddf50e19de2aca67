package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Risk is something about a change that a person should know before it is merged.
type Risk struct {
	Kind RiskKind `json:"kind"`
	// Severity is E for what will not work, W for what takes something away, and I for
	// what is worth knowing.
	Severity federation.Severity  `json:"severity"`
	Object   federation.ObjectRef `json:"object,omitzero"`
	App      string               `json:"app,omitempty"`
	Clusters []string             `json:"clusters,omitempty"` // none: it concerns no one in particular
	Message  untrusted.Text       `json:"message"`
}

// RiskKind says what a risk is about.
type RiskKind string

// The kinds of risks, in the order in which they are told where all else is equal.
const (
	RiskConflict   RiskKind = "conflict"    // the change does not merge
	RiskImmutable  RiskKind = "immutable"   // a field that no API server lets change
	RiskPortClash  RiskKind = "port clash"  // somebody else has a node port
	RiskCapacity   RiskKind = "capacity"    // there is no room for all replicas
	RiskSelector   RiskKind = "selector"    // other pods are meant
	RiskPort       RiskKind = "node port"   // traffic arrives elsewhere
	RiskZero       RiskKind = "no replicas" // nothing runs any more
	RiskDelete     RiskKind = "delete"      // objects are deleted
	RiskHeld       RiskKind = "held"        // a deletion that a person must let pass
	RiskOrphan     RiskKind = "orphan"      // an object stays, and is nobody's
	RiskDefinition RiskKind = "definition"  // a kind goes, and all of its objects
	RiskAdoption   RiskKind = "adoption"    // an object of somebody else's is taken over
	RiskAddress    RiskKind = "address"     // the address of an Ingress may change
	RiskTLS        RiskKind = "certificate" // other certificates are served
	RiskCluster    RiskKind = "cluster"     // a cluster leaves, or is drained
	RiskEverywhere RiskKind = "everywhere"  // all clusters at once
	RiskMore       RiskKind = "more"        // what was left out
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

// risks looks through all that changes.
func risks(in Input, p *Plan) []Risk {
	all := []Risk{}
	for _, path := range p.Conflicts {
		all = append(all, Risk{
			Kind: RiskConflict, Severity: federation.SeverityError,
			Message: untrusted.Textf("%s was changed on the base too, and does not merge: the plan has it as the change does", path),
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

// objectRisks says what is dangerous about the change of one object.
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
			all = append(all, risk(RiskSelector, federation.SeverityWarning, "the Service selects other pods: %s", told(o, "spec.selector")))
		}
		if was(o, "spec.type", "LoadBalancer") || changed(o, "spec.loadBalancerIP") {
			all = append(all, risk(RiskAddress, federation.SeverityWarning, "its address may change: %s", told(o, "spec.type", "spec.loadBalancerIP")))
		}
	case o.Object.Group == "" && o.Object.Kind == "Secret":
		if changed(o, "data.tls\\.crt") || changed(o, "data.tls.crt") || changed(o, "stringData.tls.crt") {
			all = append(all, risk(RiskTLS, federation.SeverityWarning, "another certificate is served where it is used: its tls.crt changes"))
		}
	case o.Object.Kind == "Ingress":
		for _, key := range addressAnnotations {
			if changed(o, "metadata.annotations."+key) {
				all = append(all, risk(RiskAddress, federation.SeverityWarning, "its address may change: %s", told(o, "metadata.annotations."+key)))
			}
		}
		if changed(o, "spec.ingressClassName") {
			all = append(all, risk(RiskAddress, federation.SeverityWarning, "its address may change: %s", told(o, "spec.ingressClassName")))
		}
		if changed(o, "spec.tls") || changed(o, "metadata.annotations.ingress.gcp.kubernetes.io/pre-shared-cert") {
			all = append(all, risk(RiskTLS, federation.SeverityWarning, "other certificates are served: %s",
				told(o, "spec.tls", "metadata.annotations.ingress.gcp.kubernetes.io/pre-shared-cert")))
		}
	}
	if becomes(o, "spec.replicas", "0") {
		all = append(all, risk(RiskZero, federation.SeverityWarning, "nothing of it runs any more: %s", told(o, "spec.replicas")))
	}
	return all
}

// deletes reports whether an object is deleted anywhere.
func (p *Plan) deletes(ref federation.ObjectRef) bool {
	return slices.ContainsFunc(p.Objects, func(o ObjectChange) bool { return o.Action == Delete && o.Object == ref })
}

// addressAnnotations are those that give an Ingress its address or its controller.
var addressAnnotations = []string{
	"kubernetes.io/ingress.global-static-ip-name",
	"networking.gke.io/static-ip",
	"kubernetes.io/ingress.class",
}
