package plan

import (
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// deletionRisks returns the risks of objects that are no longer in Git: one risk for each app,
// and a separate one for each object whose deletion removes more than the object.
func deletionRisks(changes []ObjectChange) []Risk {
	type fate struct {
		app   string
		prune federation.PruneVerdict
	}
	var all []Risk
	var fates []fate
	gone := map[fate][]federation.ObjectRef{}
	clusters := map[fate][]string{}
	for _, o := range changes {
		if o.Action != Delete {
			continue
		}
		if r, ok := special(o); ok {
			all = append(all, r)
			continue
		}
		f := fate{o.App, o.Prune}
		if len(gone[f]) == 0 {
			fates = append(fates, f)
		}
		if n := len(gone[f]); n == 0 || gone[f][n-1] != o.Object {
			gone[f] = append(gone[f], o.Object)
		}
		clusters[f] = union(clusters[f], o.Clusters)
	}
	for _, f := range fates {
		r := Risk{Severity: federation.SeverityWarning, App: f.app, Clusters: clusters[f]}
		names := untrusted.Some(gone[f], 5)
		switch f.prune {
		case federation.PruneHeld:
			r.Kind, r.Message = RiskHeld, untrusted.Textf("the deletion of %s will be held until a user allows it", names)
		case federation.PruneOff:
			r.Kind, r.Message = RiskOrphan, untrusted.Textf("app %s does not prune: %s will stay and no longer be maintained", f.app, names)
		case federation.PruneWaiting:
			r.Kind, r.Message = RiskDelete, untrusted.Textf("%s will be deleted as soon as it is known what runs everywhere", names)
		case federation.PruneAllowed:
			r.Kind, r.Message = RiskDelete, untrusted.New(names+" will be deleted")
		}
		all = append(all, r)
	}
	return all
}

// special returns the risk of an object whose deletion has a special effect.
func special(o ObjectChange) (Risk, bool) {
	r := Risk{Severity: federation.SeverityWarning, Object: o.Object, App: o.App, Clusters: o.Clusters}
	goes := o.Prune == federation.PruneAllowed || o.Prune == federation.PruneWaiting
	switch {
	case o.Object.Group == "" && o.Object.Kind == "Namespace":
		r.Kind, r.Severity, r.Message = RiskOrphan, federation.SeverityNote, untrusted.Const("a Namespace is never deleted: it stays, with everything in it")
	case !goes:
		return Risk{}, false
	case o.Object.Group == "apiextensions.k8s.io" && o.Object.Kind == "CustomResourceDefinition":
		r.Kind, r.Message = RiskDefinition, untrusted.Const("the kind that it defines is deleted with it, as soon as fedsync manages all of its objects")
	case o.Object.Kind == "Ingress":
		r.Kind, r.Message = RiskAddress, untrusted.Const("the Ingress will be deleted: its address will no longer answer")
	default:
		return Risk{}, false
	}
	return r, true
}

// union returns names with those of more appended that it does not have.
func union(names, more []string) []string {
	known := make(map[string]bool, len(names))
	for _, n := range names {
		known[n] = true
	}
	for _, n := range more {
		if !known[n] {
			names = append(names, n)
		}
	}
	return names
}
