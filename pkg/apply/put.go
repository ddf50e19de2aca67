package apply

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

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

// put brings one object to the cluster and records what came of it.
func (p *pass) put(ctx context.Context, d *desired) {
	start := time.Now()
	app := p.appOf(d.app)
	p.mu.Lock()
	bad := p.badSpaces[d.ref.Namespace]
	p.mu.Unlock()
	if bad != nil {
		p.failQuietly(app, d, inNamespace(d, bad)) // the namespace has its finding
		return
	}
	mapping, err := p.find(ctx, d)
	if err != nil {
		p.failPut(ctx, app, d, "apply", err)
		return
	}
	known := p.begin(d, mapping)
	out, err := p.send(ctx, d, mapping, known)
	p.end(d, out, err)
	if err != nil {
		p.failPut(ctx, app, d, out.verb, err)
		return
	}
	if out.drift == "" {
		out.drift = known.drift
	}
	p.changed(d, out.action, out.drift, time.Since(start))
	if out.note != nil {
		p.mu.Lock()
		p.notes = append(p.notes, *out.note)
		p.mu.Unlock()
	}
}

func (p *pass) failPut(ctx context.Context, app *appPass, d *desired, verb string, err error) {
	e := newError(verb, d.object.Ref, d.object.File, err)
	switch e.Class { //nolint:exhaustive // the others say nothing of anything else
	case ClassUnreachable:
		p.noAnswer(ctx, err)
	case ClassPortTaken:
		p.nameHolder(ctx, e)
	case ClassNamespace:
		p.mu.Lock()
		p.spaces[d.ref.Namespace] = false
		p.mu.Unlock()
	}
	p.fail(app, d, e)
}

// inNamespace says of an object what is wrong with its namespace.
func inNamespace(d *desired, err error) *Error {
	e := *newError("apply", d.object.Ref, d.object.File, err)
	e.Verb, e.Object, e.File = "apply", d.object.Ref, d.object.File
	if e.Class == classUnknown {
		e.Class = ClassNamespace
	}
	return &e
}

// known is what is known of an object before the request.
type known struct {
	ours    bool      // it exists and is ours: apply without a look
	lets    bool      // it is ours, and the apply lets go of its replicas
	live    types.UID // of what exists
	uid     types.UID // of what we applied last
	version string
	drift   string
}

// begin marks the object as under way, so that events wait for the answer.
func (p *pass) begin(d *desired, mapping *meta.RESTMapping) known {
	p.mu.Lock()
	defer p.mu.Unlock()
	rec := p.objects[d.ref]
	if rec == nil {
		rec = &record{resource: mapping.Resource}
		p.objects[d.ref] = rec
	}
	rec.inFlight = true
	rec.settle(d.want())
	var k known
	if rec.base != nil {
		k.uid = rec.base.uid
	}
	if rec.drift != nil {
		k.drift = rec.drift.text
	}
	if v := rec.live; v != nil {
		_, own := p.Applier.apps[v.partOf]
		k.ours = v.owned && own
		k.lets = k.ours && d.leavesReplicas() && v.ownsReplicas()
		k.live, k.version = v.uid, v.version
	}
	return k
}

// end takes the answer for what is to be, and looks at the events that waited
// for it.
func (p *pass) end(d *desired, out outcome, err error) {
	var v view
	if err == nil {
		v = p.hasher.viewOf(out.answer)
	}
	p.mu.Lock()
	rec := p.objects[d.ref]
	rec.inFlight = false
	event := rec.queued
	rec.queued = nil
	switch {
	case err == nil:
		rec.base, rec.live, rec.want, rec.drift, rec.problem = &v, &v, d.want(), nil, nil
		p.spaces[d.ref.Namespace] = true
	case isUnreachable(err):
		rec.want = "" // it may have been done or not
	case rec.live == nil && rec.base == nil && event == nil:
		delete(p.objects, d.ref)
	}
	p.mu.Unlock()
	if event == nil {
		return
	}
	var seen view
	if !event.Deleted {
		seen = p.hasher.viewOf(event.Object)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.judge(d.ref, rec, *event, seen).Repair {
		p.drifted = true
	}
}

// send makes the requests. A known object of ours takes one; of any other it is
// first seen whose it is.
func (p *pass) send(ctx context.Context, d *desired, mapping *meta.RESTMapping, k known) (outcome, error) {
	if k.ours && !k.lets {
		out := outcome{verb: "apply", action: federation.ActionConfigured}
		// By its uid: one that somebody deletes and makes anew is not ours.
		answer, err := p.patch(ctx, d, mapping, k.live, "")
		if err == nil {
			if answer.GetResourceVersion() == k.version {
				out.action = federation.ActionUnchanged
			}
			out.answer, err = p.tidy(ctx, d, mapping, answer)
		}
		if !isAnother(err) {
			return out, err
		}
	}
	var out outcome
	var err error
	for range putTries {
		out, err = p.sendUnknown(ctx, d, mapping, k)
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
	s, ok := statusOf(err)
	if !ok || s.Reason != metav1.StatusReasonInvalid || s.Details == nil {
		return apierrors.IsConflict(err)
	}
	return slices.ContainsFunc(s.Details.Causes, func(c metav1.StatusCause) bool { return c.Field == "metadata.uid" })
}

// sendUnknown reads the object and does what it takes: create, apply or adopt.
func (p *pass) sendUnknown(ctx context.Context, d *desired, mapping *meta.RESTMapping, k known) (outcome, error) {
	live, err := p.get(ctx, mapping.Resource, d.ref)
	if apierrors.IsNotFound(err) {
		return p.create(ctx, d, mapping, k)
	}
	if err != nil {
		return outcome{verb: "read"}, err
	}
	out := outcome{verb: "apply", action: federation.ActionConfigured, answer: live}
	v := p.hasher.viewOf(live)
	ours, err := p.judgeOwner(ctx, d, live, v, k.uid)
	if err != nil {
		return out, err
	}
	if !ours {
		return p.adopt(ctx, d, mapping, live)
	}
	if k.drift != "" && v.partOf == "" {
		out.drift = "metadata.labels." + LabelPartOf + " removed by somebody"
	}
	if v.partOf == d.partOf && p.hasher.says(v, d.unstructured().Object) {
		out.action = federation.ActionUnchanged
		return out, nil
	}
	if live, err = p.letGo(ctx, d, mapping, live); err != nil {
		return out, err
	}
	answer, err := p.patch(ctx, d, mapping, live.GetUID(), "")
	if err != nil {
		return out, err
	}
	if answer.GetResourceVersion() == live.GetResourceVersion() {
		out.action = federation.ActionUnchanged
	}
	out.answer, err = p.tidy(ctx, d, mapping, answer)
	return out, err
}

// judgeOwner says whether a live object is ours, or an error where it is not to
// be touched at all. It is ours by our label or by our entry; with another set's
// label only if it is the very object that we applied before.
func (p *pass) judgeOwner(ctx context.Context, d *desired, live *unstructured.Unstructured, v view, uid types.UID) (bool, error) {
	p.mu.Lock()
	_, own := p.Applier.apps[v.partOf]
	p.mu.Unlock()
	if c := metav1.GetControllerOfNoCopy(live); c != nil {
		return false, &Error{
			Verb: "adopt", Object: d.object.Ref, File: d.object.File, Class: ClassOwned, RetryAfter: retryLate,
			Err:    fmt.Errorf("it exists, and %s %s controls it", c.Kind, c.Name),
			Remedy: "give it another name in Git, or delete what controls it",
		}
	}
	switch {
	case own, v.owned && uid != "" && uid == live.GetUID():
		return true, nil
	case v.partOf != "":
		parent := p.nameParent(ctx, v.partOf)
		if parent == "" && v.owned {
			return true, nil // it was ours, in an app that is no more
		}
		return false, &Error{
			Verb: "adopt", Object: d.object.Ref, File: d.object.File, Class: ClassOwned, RetryAfter: retryLate,
			Err:    fmt.Errorf("it belongs to another ApplySet, %s", cmp.Or(parent, v.partOf)),
			Remedy: fmt.Sprintf("take it out of that set: remove its label %s there", LabelPartOf),
		}
	}
	return v.owned, nil
}

// nameParent finds the parent of an ApplySet; empty where it is not to be found.
func (p *pass) nameParent(ctx context.Context, id string) string {
	for _, gvr := range []schema.GroupVersionResource{configMaps, secrets} {
		list, err := request(ctx, p.Applier, func(ctx context.Context) (*unstructured.UnstructuredList, error) {
			return p.Client.Resource(gvr).List(ctx, metav1.ListOptions{LabelSelector: LabelParentID + "=" + id, Limit: 1})
		})
		if err != nil {
			return id // it may be there
		}
		if len(list.Items) > 0 {
			return federation.RefOf(&list.Items[0]).String()
		}
	}
	return ""
}

// create makes an object that does not exist. Where nothing may be adopted it is
// posted, since an apply would merge with what somebody else makes meanwhile.
func (p *pass) create(ctx context.Context, d *desired, mapping *meta.RESTMapping, k known) (outcome, error) {
	out := outcome{verb: "create", action: federation.ActionCreated}
	if k.drift != "" {
		out.drift = "deleted"
	}
	if d.adoption == federation.AdoptNever {
		_, err := write(ctx, p.Applier, func(ctx context.Context) (*unstructured.Unstructured, error) {
			return p.Client.Resource(mapping.Resource).Namespace(d.ref.Namespace).Create(ctx, d.unstructured(),
				metav1.CreateOptions{FieldManager: FieldManager, FieldValidation: metav1.FieldValidationStrict})
		})
		if apierrors.IsAlreadyExists(err) {
			return out, alreadyExists(d)
		}
		if err != nil {
			return out, err
		}
	}
	answer, err := p.patch(ctx, d, mapping, "", "")
	if err != nil {
		return out, err
	}
	if d.adoption != federation.AdoptNever {
		if _, others, err := transfer(answer.GetManagedFields(), answer.GetAPIVersion()); err == nil && others {
			// Somebody made it between our look and our apply.
			answer, err = p.conform(ctx, d, mapping, answer)
			if err != nil {
				return out, err
			}
			out.action = federation.ActionAdopted
		}
	}
	out.answer, err = p.tidy(ctx, d, mapping, answer)
	return out, err
}

func alreadyExists(d *desired) *Error {
	return &Error{
		Verb: "create", Object: d.object.Ref, File: d.object.File, Class: ClassExists, RetryAfter: retryLate,
		Err:    fmt.Errorf("it exists already and is not ours; adoption is %s, so it is left alone", federation.AdoptNever),
		Remedy: "delete it in the cluster, or set adoption: Always for app " + d.app + " in " + federation.FileName,
	}
}

// patch applies the object. With a uid or a resourceVersion it does so only to
// that object, in that state.
func (p *pass) patch(ctx context.Context, d *desired, mapping *meta.RESTMapping, uid types.UID, version string) (*unstructured.Unstructured, error) {
	f, err := p.Forms.of(d)
	if err != nil {
		return nil, err
	}
	return p.patchData(ctx, d, mapping, f.about(uid, version))
}

func (p *pass) patchData(ctx context.Context, d *desired, mapping *meta.RESTMapping, data []byte) (*unstructured.Unstructured, error) {
	force := true
	return write(ctx, p.Applier, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return p.Client.Resource(mapping.Resource).Namespace(d.ref.Namespace).Patch(ctx, d.ref.Name, types.ApplyPatchType, data,
			metav1.PatchOptions{FieldManager: FieldManager, Force: &force, FieldValidation: metav1.FieldValidationStrict})
	})
}

// tidy takes out of the managed fields what would keep alive what we drop later:
// what the API server noted as before-first-apply after somebody cleared them,
// and what our own name owns by Update.
func (p *pass) tidy(ctx context.Context, d *desired, mapping *meta.RESTMapping, answer *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	for range putTries {
		entries, changed, err := disown(answer.GetManagedFields())
		if err != nil || !changed {
			return answer, nil //nolint:nilerr // an entry that cannot be read is not ours to tidy
		}
		tidied, err := p.setManagedFields(ctx, d, mapping, answer.GetResourceVersion(), entries)
		if !apierrors.IsConflict(err) {
			return tidied, err
		}
		now, err := p.get(ctx, mapping.Resource, d.ref)
		if err != nil {
			return nil, err
		}
		if len(changedFields(p.hasher.viewOf(answer), p.hasher.viewOf(now))) > 0 {
			return answer, nil // not only faster, but against us: its event tells
		}
		answer = now
	}
	return answer, nil
}
