package keeper

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// troubleGrace is how long a failure is reported only as a warning: it may resolve
// itself.
const troubleGrace = 2 * time.Minute

// troubles returns what cannot be read or done on Compute Engine, and why.
func (k *Keeper) troubles(s decision) []federation.Finding {
	var all []federation.Finding
	if len(s.planned.Actions) > 0 && !k.mayWrite() {
		all = append(all, federation.Finding{
			ID: federation.FindingCloud, Severity: federation.SeverityNote,
			Message: untrusted.Textf("%d changes on Compute Engine wait: this instance does not hold the claim in most member clusters", len(s.planned.Actions)),
			Remedy:  untrusted.Const("none, if another instance runs or the clusters have just begun to answer"),
		})
	}
	for _, e := range s.seen.Errors {
		all = append(all, federation.Finding{
			ID: federation.FindingCloud, Severity: k.severity(e.Since, s.in.Now),
			Message: untrusted.Textf("%s cannot be read on Compute Engine: %v; nothing is removed because of it", e.What, e.Err),
			Remedy:  untrusted.New(remedyOf(e.Err)),
		})
	}
	if n, since, err := k.health.failures(); n > 0 && s.in.Now.Sub(since) >= troubleGrace {
		all = append(all, federation.Finding{
			ID: federation.FindingCloud, Severity: federation.SeverityWarning,
			Message: untrusted.Textf("the health of %d endpoint groups cannot be read: %v", n, err),
			Remedy:  untrusted.New(remedyOf(err)),
		})
	}
	all = append(all, siblings(s)...)
	if len(k.copies) > 0 {
		all = append(all, federation.Finding{
			ID: federation.FindingCloud, Severity: federation.SeverityNote,
			Message: untrusted.Textf("%s: the description is fedsync's, and the name is not: it is treated as a copy and left unchanged", gcp.IDList(k.copies)),
			Remedy:  untrusted.Const("if the copy is wanted, give it another description; otherwise delete it"),
		})
	}
	for _, f := range k.tries.failures() {
		if classOf(f.err).Transient() && f.times < 5 {
			continue
		}
		all = append(all, failureFinding(f, k.severity(f.first, s.in.Now)))
	}
	for _, r := range k.tries.fights(s.in.Now) {
		all = append(all, federation.Finding{
			ID: federation.FindingCloud, Severity: federation.SeverityError, Object: ingressOf(r.last.Want.Mark),
			Message: untrusted.Textf("%s was changed by another client %d times within %d minutes and restored each time; it is left unchanged until %s (last: %s)",
				r.last.ID, fightRepairs, int(fightWindow.Minutes()), r.until.UTC().Format("15:04 MST"), r.last.Reason),
			Remedy: untrusted.Const("find that client in the audit log of the project, and stop it; another push or a restart of fedsync tries again"),
		})
	}
	return all
}

// siblings reports load balancers of a federation with the same name from another
// repository, branch or path. They may be this federation's own, if it was moved.
func siblings(s decision) []federation.Finding {
	var found []gcp.ID
	for id, r := range s.seen.Resources {
		if id.Kind == gcp.KindRule && r.Mark.Federation == s.want.Owner.Federation && r.Mark.Source != s.want.Owner.Source {
			found = append(found, id)
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.SortFunc(found, gcp.ID.Compare)
	return []federation.Finding{{
		ID: federation.FindingCloud, Severity: federation.SeverityNote,
		Message: untrusted.Textf("%s: made for a federation of this name from another repository, branch or path, and left unchanged", gcp.IDList(found)),
		Remedy:  untrusted.Const("none, if it is still in use; if this federation was moved, point DNS at its new addresses, and then delete the former load balancers by hand"),
	}}
}

// unreadable holds since when something cannot be read, by ReadError.What.
type unreadable map[string]time.Time

// note records the errors of a read, and sets in each since when it occurs.
func (u unreadable) note(errs []gcp.ReadError, now time.Time) {
	failing := map[string]bool{}
	for i := range errs {
		e := &errs[i]
		failing[e.What] = true
		if _, known := u[e.What]; !known {
			u[e.What] = now
			if !e.Since.IsZero() {
				u[e.What] = e.Since
			}
		}
		e.Since = u[e.What]
	}
	maps.DeleteFunc(u, func(what string, _ time.Time) bool { return !failing[what] })
}

func (k *Keeper) severity(since, now time.Time) federation.Severity {
	if !since.IsZero() && now.Sub(since) < troubleGrace {
		return federation.SeverityWarning
	}
	return federation.SeverityError
}

func failureFinding(f failed, severity federation.Severity) federation.Finding {
	return federation.Finding{
		ID: federation.FindingCloud, Severity: severity, Object: ingressOf(f.action.Want.Mark), Cluster: f.action.Want.Mark.Cluster,
		Message: untrusted.Textf("cannot %s %s: %v", f.action.Verb, f.action.ID, f.err),
		Remedy:  untrusted.New(remedyOf(f.err)),
	}
}

// remedyOf returns what the user can do about an error of Compute Engine.
func remedyOf(err error) string {
	if _, ok := errors.AsType[*gcp.ConnectError](err); ok {
		return "give fedsync Application Default Credentials of an account with the roles in docs/google-cloud.md; it is tried again"
	}
	switch c := classOf(err); c {
	case gcp.ClassForbidden:
		return "check that the credentials belong to an account with the roles in docs/google-cloud.md"
	case gcp.ClassQuota:
		return "request more quota, or delete resources that are not needed"
	case gcp.ClassInvalid:
		return "correct the field or value in the message"
	case gcp.ClassRetry, gcp.ClassOrder, gcp.ClassChanged, gcp.ClassConflict:
	}
	return "none: it is tried again"
}

// ingressOf returns the Ingress that a mark names; zero for none.
func ingressOf(m gcp.Mark) federation.ObjectRef {
	if m.Ingress == "" || strings.TrimSpace(m.Ingress) == "" {
		return federation.ObjectRef{}
	}
	ref, err := federation.ParseObjectRef(m.Ingress)
	if err != nil {
		return federation.ObjectRef{}
	}
	return ref
}
