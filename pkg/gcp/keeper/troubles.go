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

// A failure that may pass is told as a note at first, as an error when it lasts.
const troubleGrace = 2 * time.Minute

// troubles says what cannot be read or done on Compute Engine, and why.
func (k *Keeper) troubles(s sight) []federation.Finding {
	var all []federation.Finding
	if len(s.planned.Actions) > 0 && !k.mayWrite() {
		all = append(all, federation.Finding{
			ID: federation.FindingCloud, Severity: federation.SeverityNote,
			Message: untrusted.Textf("%d changes on Compute Engine wait: this instance does not hold the claim in most member clusters", len(s.planned.Actions)),
			Remedy:  untrusted.Const("none, where another instance runs or the clusters have just begun to answer"),
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
			Message: untrusted.Textf("the health of %d endpoint groups cannot be asked for: %v", n, err),
			Remedy:  untrusted.New(remedyOf(err)),
		})
	}
	all = append(all, siblings(s)...)
	if len(k.copies) > 0 {
		all = append(all, federation.Finding{
			ID: federation.FindingCloud, Severity: federation.SeverityNote,
			Message: untrusted.Textf("%s: the description is fedsync's, and the name is not: it is taken for a copy that somebody made, and left alone", gcp.IDList(k.copies)),
			Remedy:  untrusted.Const("none, if it is wanted; give it another description"),
		})
	}
	for _, f := range k.tries.failures() {
		if classOf(f.err).Passes() && f.times < 5 {
			continue
		}
		all = append(all, failureFinding(f, k.severity(f.first, s.in.Now)))
	}
	for _, r := range k.tries.fights(s.in.Now) {
		all = append(all, federation.Finding{
			ID: federation.FindingCloud, Severity: federation.SeverityError, Object: ingressOf(r.last.Want.Mark),
			Message: untrusted.Textf("%s was changed by somebody else %d times within %d minutes and put back each time; it is left alone until %s (last: %s)",
				r.last.ID, fightRepairs, int(fightWindow.Minutes()), r.until.UTC().Format("15:04 MST"), r.last.Reason),
			Remedy: untrusted.Const("find out who changes it in the audit log of the project, and stop that; another push or a restart of fedsync tries again"),
		})
	}
	return all
}

// siblings notes load balancers of a federation of the same name from another
// repository, branch or path: those of this one, if that is where it was.
func siblings(s sight) []federation.Finding {
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
		Message: untrusted.Textf("%s: made for a federation of this name from another repository, branch or path, and left as it is", gcp.IDList(found)),
		Remedy:  untrusted.Const("none, if that is still in use; if this federation was moved, move DNS to its new addresses, and then delete the former load balancers by hand"),
	}}
}

// silent says since when something cannot be read, by what it is.
type silent map[string]time.Time

// note takes the errors of a look, and gives each the time of the first of its kind.
func (u silent) note(errs []gcp.LookError, now time.Time) {
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

// remedyOf says what to do about an error of Compute Engine.
func remedyOf(err error) string {
	if _, ok := errors.AsType[*gcp.ConnectError](err); ok {
		return "give fedsync Application Default Credentials, of an account with the roles in docs/google-cloud.md; it is tried again"
	}
	switch c := classOf(err); c {
	case gcp.ClassForbidden:
		return "see that the credentials are those of an account with the roles in docs/google-cloud.md"
	case gcp.ClassQuota:
		return "ask for more quota, or remove what is not needed"
	case gcp.ClassInvalid:
		return "correct what the message names"
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
