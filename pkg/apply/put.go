package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/request"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/federation"
)

// putTries bounds how often an object that others write too is read again.
const putTries = 4

// outcome is what came of bringing one object to the cluster.
type outcome struct {
	action federation.Action
	verb   string                     // what was tried last, for the error
	answer *unstructured.Unstructured // the object as it is now
	drift  string                     // what somebody else had done to it
	note   *federation.Finding
}

// known is what is known of an object before the request.
type known struct {
	*object.Desired
	resource schema.GroupVersionResource // in the version that Git has
	sets     map[string]bool             // the part-of labels of our apps

	ours    bool      // it exists and is ours: apply without a look
	lets    bool      // it is ours, and the apply lets go of its replicas
	live    types.UID // of what exists
	uid     types.UID // of what we applied last
	version string
	drift   string
}

// knownOf is what the table knows of a row; t.mu is held.
func (t *table) knownOf(r *row) known {
	k := known{Desired: r.want, resource: t.kind(r.ref.GroupKind()).mapping.Resource, sets: map[string]bool{}}
	k.resource.Version = r.want.Object.Version
	for set := range t.sets {
		k.sets[set] = true
	}
	if r.base != nil {
		k.uid = r.base.UID
	}
	if r.drift != nil {
		k.drift = r.drift.text
	}
	if v := r.live; v != nil {
		k.ours = v.Owned && k.sets[v.PartOf]
		k.lets = k.ours && k.LeavesReplicas() && v.Owns(object.ReplicasPath)
		k.live, k.version = v.UID, v.Version
	}
	return k
}

// put brings one object to the cluster and records what came of it. It reports
// whether it is as the agenda took for granted.
func (a *Applier) put(ctx context.Context, r *row, k known, f *flight) (done bool) {
	out, err := a.send(ctx, k)
	if err != nil {
		a.endFailed(ctx, r, f, k, out, err)
		return false
	}
	if out.drift == "" {
		out.drift = k.drift
	}
	return a.endApplied(r, f, k, out)
}

// endApplied takes the answer for what is to be, and looks at the event that waited
// for it.
func (a *Applier) endApplied(r *row, f *flight, k known, out outcome) (done bool) {
	v := a.table.reader.Live(out.answer)
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	r.flight = nil
	if f.incarnation != t.incarnation {
		a.replay(r)
		return false // it was about another cluster
	}
	if r.adopting != nil && out.note == nil && out.action != federation.ActionCreated {
		// It was adopted by a request whose answer was lost.
		out.note, out.action = r.adopting, federation.ActionAdopted
	}
	r.adopting = nil
	now := time.Now()
	done = r.last.err == nil && t.silent.err == nil && !t.kind(r.ref.GroupKind()).hung
	t.silent = try{}
	t.released(r)
	r.base, r.live, r.seen, r.made, r.drift, r.last = &v, &v, now, k.Wish(), nil, try{}
	r.resource = k.resource
	r.remade = out.action == federation.ActionCreated && out.drift != ""
	t.noteEnd(r, v)
	if s := t.spaces[r.ref.Namespace]; s != nil && !s.known {
		s.exists, s.last = true, try{}
		s.known = !t.listings.spaces.done
	}
	a.record(federation.Change{
		Cluster: a.Cluster, App: k.App, Object: k.Object.Ref, Action: out.action, Drift: untrusted.New(out.drift), Took: now.Sub(f.since),
	})
	if out.action != federation.ActionUnchanged {
		a.Log.Info("object applied", zap.String("app", k.App), zap.Stringer("object", k.Object.Ref),
			zap.String("action", string(out.action)), zap.String("drift", out.drift), zap.String("revision", t.plan.Revision.String()))
	}
	if out.note != nil {
		// A new slice: Standing has given the old one away.
		t.notes = slices.Concat(slices.DeleteFunc(slices.Clone(t.notes), func(f federation.Finding) bool { return f.Object == out.note.Object }), []federation.Finding{*out.note})
	}
	a.replay(r)
	return done && r.settled()
}

// endFailed records why an object could not be brought to the cluster.
func (a *Applier) endFailed(ctx context.Context, r *row, f *flight, k known, out outcome, err error) {
	e := refusal.New(out.verb, k.Object.Ref, k.Object.File, err)
	a.examine(ctx, e, err, f)
	if e.Class == refusal.ClassPortTaken {
		a.client.NameHolder(ctx, e)
	}
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	r.flight = nil
	if f.incarnation != t.incarnation {
		a.replay(r)
		return
	}
	r.adopting = cmp.Or(out.note, r.adopting)
	if e.Class == refusal.ClassDeleting && out.answer != nil {
		v := t.reader.Live(out.answer)
		r.live, r.seen = &v, time.Now()
		f.around = t.around(r)
	}
	if e.MayBeDone() {
		r.made = "" // it may have been done or not: an event or the next look tells
	}
	if r.want != nil {
		t.refused(r, f, e)
		if r.want.Wish() != k.Wish() {
			r.last = try{} // Git has changed its mind meanwhile
		}
	}
	a.replay(r)
	t.sweep(r)
}

// replay judges the event that came while a request was under way; t.mu is held.
func (a *Applier) replay(r *row) {
	event := r.queued
	r.queued = nil
	if event == nil {
		return
	}
	var seen object.Live
	if !event.Deleted {
		seen = a.table.reader.Live(event.Object)
	}
	if d := a.judge(r, *event, seen); d.Repair {
		a.Log.Info("drift found", zap.Stringer("object", d.Object), zap.String("drift", d.Text))
	}
}

// send makes the requests. A known object of ours takes one; of any other it is
// first seen whose it is.
func (a *Applier) send(ctx context.Context, k known) (outcome, error) {
	if k.ours && !k.lets {
		out := outcome{verb: "apply", action: federation.ActionConfigured}
		// By its uid: one that somebody deletes and recreates is not ours.
		answer, err := a.patch(ctx, k, k.live, "")
		if err != nil && !isAnother(err) {
			answer, err = a.restate(ctx, k, err, nil)
		}
		if err == nil {
			if answer.GetResourceVersion() == k.version {
				out.action = federation.ActionUnchanged
			}
			out.answer, err = a.tidy(ctx, k, answer)
		}
		if !isAnother(err) {
			return out, err
		}
	}
	var out outcome
	var err error
	for range putTries {
		out, err = a.sendUnknown(ctx, k)
		if !isAnother(err) {
			return out, err
		}
	}
	return out, fmt.Errorf("%w: %w", errEnough, err)
}

// isAnother says whether the object is not, or no longer, the one that the request
// was about. The API server calls another uid invalid, and a missing object or
// another resourceVersion a conflict.
func isAnother(err error) bool {
	s, ok := refusal.StatusOf(err)
	if !ok || s.Reason != metav1.StatusReasonInvalid || s.Details == nil {
		return apierrors.IsConflict(err)
	}
	return slices.ContainsFunc(s.Details.Causes, func(c metav1.StatusCause) bool { return c.Field == "metadata.uid" })
}

// sendUnknown reads the object and does what it takes: create, apply or adopt.
func (a *Applier) sendUnknown(ctx context.Context, k known) (outcome, error) {
	live, err := a.client.Get(ctx, k.resource, k.Ref)
	if apierrors.IsNotFound(err) {
		return a.create(ctx, k)
	}
	if err != nil {
		return outcome{verb: "read"}, err
	}
	out := outcome{verb: "apply", action: federation.ActionConfigured, answer: live}
	v := a.table.reader.Live(live)
	if v.Terminating {
		return out, beingDeleted(&v)
	}
	ours, err := a.judgeOwner(ctx, k, live, v)
	if err != nil {
		return out, err
	}
	if !ours {
		return a.adopt(ctx, k, live)
	}
	if k.drift != "" && v.PartOf == "" {
		out.drift = "metadata.labels." + inventory.LabelPartOf + " removed by somebody"
	}
	if v.PartOf == k.PartOf && a.table.reader.Says(v, k.Unstructured().Object) {
		out.action = federation.ActionUnchanged
		out.answer, err = a.tidy(ctx, k, live)
		return out, err
	}
	if live, err = a.letGo(ctx, k, live); err != nil {
		return out, err
	}
	answer, err := a.patch(ctx, k, live.GetUID(), "")
	if err != nil && !isAnother(err) {
		answer, err = a.restate(ctx, k, err, nil)
	}
	if err != nil {
		return out, err
	}
	if answer.GetResourceVersion() == live.GetResourceVersion() {
		out.action = federation.ActionUnchanged
	}
	out.answer, err = a.tidy(ctx, k, answer)
	return out, err
}

// judgeOwner says whether a live object is ours, or an error where it is not to
// be touched at all. It is ours by our label; without it, or with another set's, only if
// it is the very object that we applied before.
func (a *Applier) judgeOwner(ctx context.Context, k known, live *unstructured.Unstructured, v object.Live) (bool, error) {
	if c := metav1.GetControllerOfNoCopy(live); c != nil {
		return false, &refusal.Error{
			Verb: "adopt", Object: k.Object.Ref, File: k.Object.File, Class: refusal.ClassOwned,
			Err:    fmt.Errorf("it exists, and %s %s controls it", c.Kind, c.Name),
			Remedy: "give it another name in Git, or delete what controls it",
		}
	}
	switch {
	case k.sets[v.PartOf], v.Owned && k.uid != "" && k.uid == live.GetUID():
		return true, nil
	case v.PartOf != "":
		parent, former := a.nameParent(ctx, v.PartOf)
		if parent == "" && v.Owned {
			return true, nil // it was ours, in an app that is no more
		}
		if !v.Owned {
			former = ""
		}
		return false, &refusal.Error{
			Verb: "adopt", Object: k.Object.Ref, File: k.Object.File, Class: refusal.ClassOwned, Former: former,
			Err:    fmt.Errorf("it belongs to another ApplySet, %s", cmp.Or(parent, v.PartOf)),
			Remedy: fmt.Sprintf("take it out of that set: remove its label %s there", inventory.LabelPartOf),
		}
	}
	// With our entry, and without our label, its adoption is under way. Where nothing
	// is adopted, somebody has taken the label away.
	return v.Owned && k.Adoption == federation.AdoptNever, nil
}

// nameParent finds the parent of an ApplySet; empty where it is not to be found. Where it
// is the inventory of a name that the federation may have had before, that is former.
func (a *Applier) nameParent(ctx context.Context, id string) (parent, former string) {
	for _, gvr := range []schema.GroupVersionResource{object.ConfigMaps, object.Secrets} {
		o := metav1.ListOptions{LabelSelector: inventory.LabelParentID + "=" + id, Limit: 1}
		err := a.client.Each(ctx, a.Client.Resource(gvr), o, func(u *unstructured.Unstructured) (more bool) {
			parent = federation.RefOf(u).String()
			if name, source := inventory.FederationOf(u); name != "" && name != a.Federation && a.FollowsAs != nil && a.FollowsAs(name, source) {
				former = name
			}
			return false
		})
		switch {
		case err != nil:
			return id, "" // it may be there
		case parent != "":
			return parent, former
		}
	}
	return "", ""
}

// create makes an object that does not exist. Where nothing may be adopted it is
// posted, since an apply would merge with what somebody else makes meanwhile.
func (a *Applier) create(ctx context.Context, k known) (outcome, error) {
	out := outcome{verb: "create", action: federation.ActionCreated}
	if k.drift != "" {
		out.drift = "deleted"
	}
	if k.Adoption == federation.AdoptNever {
		_, err := request.Write(ctx, a.client, func(ctx context.Context) (*unstructured.Unstructured, error) {
			return a.Client.Resource(k.resource).Namespace(k.Ref.Namespace).Create(ctx, k.Unstructured(),
				metav1.CreateOptions{FieldManager: ownership.FieldManager, FieldValidation: metav1.FieldValidationStrict})
		})
		if apierrors.IsAlreadyExists(err) {
			return out, alreadyExists(k.Desired)
		}
		if err != nil {
			return out, err
		}
	}
	answer, err := a.patch(ctx, k, "", "")
	if err != nil {
		return out, err
	}
	if k.Adoption != federation.AdoptNever {
		if _, others, err := a.table.reader.People.Transfer(answer.GetManagedFields(), answer.GetAPIVersion(), k.Unstructured().Object); err == nil && others {
			// Somebody made it between our look and our apply.
			answer, err = a.conform(ctx, k, answer, answer.GetManagedFields())
			if err != nil {
				return out, err
			}
			out.action = federation.ActionAdopted
		}
	}
	out.answer, err = a.tidy(ctx, k, answer)
	return out, err
}

func alreadyExists(d *object.Desired) *refusal.Error {
	return &refusal.Error{
		Verb: "create", Object: d.Object.Ref, File: d.Object.File, Class: refusal.ClassExists,
		Err:    fmt.Errorf("it exists already and is not ours; adoption is %s, so it is left alone", federation.AdoptNever),
		Remedy: "delete it in the cluster, or set adoption: Always for app " + d.App + " in " + federation.FileName,
	}
}

// patch applies the object. With a uid or a resourceVersion it does so only to
// that object, in that state.
func (a *Applier) patch(ctx context.Context, k known, uid types.UID, version string) (*unstructured.Unstructured, error) {
	f, err := a.Forms.Of(k.Desired)
	if err != nil {
		return nil, err
	}
	return a.patchData(ctx, k, f.About(uid, version))
}

func (a *Applier) patchData(ctx context.Context, k known, data []byte) (*unstructured.Unstructured, error) {
	force := true
	return request.Write(ctx, a.client, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return a.Client.Resource(k.resource).Namespace(k.Ref.Namespace).Patch(ctx, k.Ref.Name, types.ApplyPatchType, data,
			metav1.PatchOptions{FieldManager: ownership.FieldManager, Force: &force, FieldValidation: metav1.FieldValidationStrict})
	})
}

// tidy takes out of the managed fields what would keep alive what we drop later:
// what the API server noted as before-first-apply after somebody cleared them,
// and what our own name owns by Update.
func (a *Applier) tidy(ctx context.Context, k known, answer *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	for range putTries {
		entries, changed, err := ownership.Disown(answer.GetManagedFields())
		if err != nil || !changed {
			return answer, nil //nolint:nilerr // an entry that cannot be read is not ours to tidy
		}
		tidied, err := a.setManagedFields(ctx, k, answer.GetResourceVersion(), entries)
		if !apierrors.IsConflict(err) {
			return tidied, err
		}
		now, err := a.client.Get(ctx, k.resource, k.Ref)
		if err != nil {
			return nil, err
		}
		if hasher := a.table.reader.Hasher; len(ownership.Compare(hasher.View(answer, a.table.reader.People), hasher.View(now, a.table.reader.People), nil).Paths) > 0 {
			return answer, nil // not only faster, but against us: its event tells
		}
		answer = now
	}
	return answer, nil
}

// beingDeleted is why an object that Git wants cannot be applied now.
func beingDeleted(v *object.Live) *refusal.Error {
	return &refusal.Error{Class: refusal.ClassDeleting, Err: errors.New(v.DeletionText())}
}
