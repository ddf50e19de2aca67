package write

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/federation"
)

// putTries bounds how often an object that other clients write too is read again.
const putTries = 4

// Outcome is the result of applying one object.
type Outcome struct {
	Action federation.Action
	Verb   string                     // what was last tried, for the error
	Answer *unstructured.Unstructured // the object as it is now
	Drift  string                     // what another client had changed
	Note   *federation.Finding
}

// Known is what is known about an object before the request.
type Known struct {
	*object.Desired
	Resource schema.GroupVersionResource // in the version that Git has
	Sets     map[string]bool             // the part-of labels of our apps

	Ours             bool      // it exists and is ours: apply without reading it
	ReleasesReplicas bool      // it is ours, and the apply gives up its replicas
	Live             types.UID // of what exists
	Base             types.UID // of what we applied last
	Version          string
	Drift            string
}

// Put creates, applies or adopts one object. A known object of ours takes one request;
// any other is first read to find its owner.
func (wr *Writer) Put(ctx context.Context, k Known) (Outcome, error) {
	if k.Ours && !k.ReleasesReplicas {
		out := Outcome{Verb: "apply", Action: federation.ActionConfigured}
		// With its uid: an object that another client deletes and recreates is not
		// ours.
		answer, err := wr.patch(ctx, k, k.Live, "")
		if err != nil && !isAnother(err) {
			answer, err = wr.restate(ctx, k, err, nil)
		}
		if err == nil {
			if answer.GetResourceVersion() == k.Version {
				out.Action = federation.ActionUnchanged
			}
			out.Answer, err = wr.tidy(ctx, k, answer)
		}
		if !isAnother(err) {
			return out, err
		}
	}
	var out Outcome
	var err error
	for range putTries {
		out, err = wr.sendUnknown(ctx, k)
		if !isAnother(err) {
			return out, err
		}
	}
	return out, fmt.Errorf("%w: %w", errEnough, err)
}

// isAnother reports whether the object is not, or no longer, the one that the request
// was about. The API server answers another uid as invalid, and a missing object or
// another resourceVersion as a conflict.
func isAnother(err error) bool {
	s, ok := refusal.StatusOf(err)
	if !ok || s.Reason != metav1.StatusReasonInvalid || s.Details == nil {
		return apierrors.IsConflict(err)
	}
	return slices.ContainsFunc(s.Details.Causes, func(c metav1.StatusCause) bool { return c.Field == "metadata.uid" })
}

// sendUnknown reads the object, and then creates, applies or adopts it.
func (wr *Writer) sendUnknown(ctx context.Context, k Known) (Outcome, error) {
	live, err := wr.Get(ctx, k.Resource, k.Ref)
	if apierrors.IsNotFound(err) {
		return wr.create(ctx, k)
	}
	if err != nil {
		return Outcome{Verb: "read"}, err
	}
	out := Outcome{Verb: "apply", Action: federation.ActionConfigured, Answer: live}
	v := wr.Reader.Live(live)
	if v.Terminating {
		return out, beingDeleted(&v)
	}
	ours, err := wr.JudgeOwner(ctx, k, live, v)
	if err != nil {
		return out, err
	}
	if !ours {
		return wr.adopt(ctx, k, live)
	}
	if k.Drift != "" && v.PartOf == "" {
		out.Drift = "metadata.labels." + inventory.LabelPartOf + " removed by somebody"
	}
	if v.PartOf == k.PartOf && wr.Reader.Matches(v, k.Unstructured().Object) {
		out.Action = federation.ActionUnchanged
		out.Answer, err = wr.tidy(ctx, k, live)
		return out, err
	}
	if live, err = wr.releaseReplicas(ctx, k, live); err != nil {
		return out, err
	}
	answer, err := wr.patch(ctx, k, live.GetUID(), "")
	if err != nil && !isAnother(err) {
		answer, err = wr.restate(ctx, k, err, nil)
	}
	if err != nil {
		return out, err
	}
	if answer.GetResourceVersion() == live.GetResourceVersion() {
		out.Action = federation.ActionUnchanged
	}
	out.Answer, err = wr.tidy(ctx, k, answer)
	return out, err
}

// create creates an object. Where nothing may be adopted it is posted, since an apply
// would merge with an object that another client creates at the same time.
func (wr *Writer) create(ctx context.Context, k Known) (Outcome, error) {
	out := Outcome{Verb: "create", Action: federation.ActionCreated}
	if k.Drift != "" {
		out.Drift = "deleted"
	}
	if k.Adoption == federation.AdoptNever {
		_, err := request.Write(ctx, wr.Client, func(ctx context.Context) (*unstructured.Unstructured, error) {
			return wr.Dynamic.Resource(k.Resource).Namespace(k.Ref.Namespace).Create(ctx, k.Unstructured(),
				metav1.CreateOptions{FieldManager: ownership.FieldManager, FieldValidation: metav1.FieldValidationStrict})
		})
		if apierrors.IsAlreadyExists(err) {
			return out, AlreadyExists(k.Desired)
		}
		if err != nil {
			return out, err
		}
	}
	answer, err := wr.patch(ctx, k, "", "")
	if err != nil {
		return out, err
	}
	if k.Adoption != federation.AdoptNever {
		if _, others, err := wr.Reader.People.Transfer(answer.GetManagedFields(), answer.GetAPIVersion(), k.Unstructured().Object); err == nil && others {
			// Another client created it between our read and our apply.
			answer, err = wr.conform(ctx, k, answer, answer.GetManagedFields())
			if err != nil {
				return out, err
			}
			out.Action = federation.ActionAdopted
		}
	}
	out.Answer, err = wr.tidy(ctx, k, answer)
	return out, err
}

// AlreadyExists returns why an object is left unchanged where nothing may be adopted.
func AlreadyExists(d *object.Desired) *refusal.Error {
	return &refusal.Error{
		Verb: "create", Object: d.Object.Ref, File: d.Object.File, Class: refusal.ClassExists,
		Err:    fmt.Errorf("it already exists and is not managed by fedsync; adoption is %s, so it is not changed", federation.AdoptNever),
		Remedy: "delete it in the cluster, or set adoption: Always for app " + d.App + " in " + federation.FileName,
	}
}

// patch applies the object. With a uid or a resourceVersion it applies only to that
// object or that state.
func (wr *Writer) patch(ctx context.Context, k Known, uid types.UID, version string) (*unstructured.Unstructured, error) {
	f, err := wr.Forms.Of(k.Desired)
	if err != nil {
		return nil, err
	}
	return wr.patchData(ctx, k, f.About(uid, version))
}

func (wr *Writer) patchData(ctx context.Context, k Known, data []byte) (*unstructured.Unstructured, error) {
	force := true
	return request.Write(ctx, wr.Client, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return wr.Dynamic.Resource(k.Resource).Namespace(k.Ref.Namespace).Patch(ctx, k.Ref.Name, types.ApplyPatchType, data,
			metav1.PatchOptions{FieldManager: ownership.FieldManager, Force: &force, FieldValidation: metav1.FieldValidationStrict})
	})
}

// tidy removes managed fields that would keep alive what we drop later: those that the
// API server noted as before-first-apply after another client cleared them, and those
// that our own name owns by Update.
func (wr *Writer) tidy(ctx context.Context, k Known, answer *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	for range putTries {
		entries, changed, err := ownership.Disown(answer.GetManagedFields())
		if err != nil || !changed {
			return answer, nil //nolint:nilerr // an entry that cannot be read is not ours to tidy
		}
		tidied, err := wr.setManagedFields(ctx, k, answer.GetResourceVersion(), entries)
		if !apierrors.IsConflict(err) {
			return tidied, err
		}
		now, err := wr.Get(ctx, k.Resource, k.Ref)
		if err != nil {
			return nil, err
		}
		if hasher := wr.Reader.Hasher; len(ownership.Compare(hasher.View(answer, wr.Reader.People), hasher.View(now, wr.Reader.People), nil).Paths) > 0 {
			return answer, nil // it changed our fields too: its event follows
		}
		answer = now
	}
	return answer, nil
}

// beingDeleted returns why an object that Git wants cannot be applied now.
func beingDeleted(v *object.Live) *refusal.Error {
	return &refusal.Error{Class: refusal.ClassDeleting, Err: errors.New(v.DeletionText())}
}

// DryRun returns the result that an apply of the object would have.
func (wr *Writer) DryRun(ctx context.Context, d *object.Desired, resource schema.GroupVersionResource) (*unstructured.Unstructured, error) {
	f, err := wr.Forms.Of(d)
	if err != nil {
		return nil, err
	}
	data := f.About("", "")
	force := true
	return request.Do(ctx, wr.Client, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return wr.Dynamic.Resource(resource).Namespace(d.Ref.Namespace).Patch(ctx, d.Ref.Name, types.ApplyPatchType, data,
			metav1.PatchOptions{FieldManager: ownership.FieldManager, Force: &force, FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll}})
	})
}
