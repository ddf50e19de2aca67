package apply

import (
	"errors"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/apply/refusal"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
)

// view is what is kept of one state of a live object: its identity, who it
// belongs to, and what is ours in it. Never the object.
type view struct {
	ownership.View
	uid     types.UID
	version string // the resourceVersion
	partOf  string // the value of the label applyset.kubernetes.io/part-of

	controlled  bool // a controller made it
	terminating bool
	deletedAt   time.Time     // when the deletion was asked for
	finalizers  []string      // what a deletion waits for
	established bool          // of a CustomResourceDefinition: its kind is served
	ports       []servicePort // of a Service
	end         jobEnd        // of a Job
}

// mark is comparable, and changes with what we judge of an object: not with its
// status, nor with fields that others own.
type mark struct {
	uid         types.UID
	partOf      string
	ours        ownership.Mark
	terminating bool
}

func (v *view) mark() mark {
	return mark{uid: v.uid, partOf: v.partOf, ours: v.Mark(), terminating: v.terminating}
}

// viewOf returns what is kept of a live object. It takes no lock: the hasher and the
// people never change.
func (t *table) viewOf(u *unstructured.Unstructured) view {
	v := view{
		View:       t.hasher.View(u, t.people),
		uid:        u.GetUID(),
		version:    u.GetResourceVersion(),
		partOf:     u.GetLabels()[inventory.LabelPartOf],
		controlled: metav1.GetControllerOfNoCopy(u) != nil,
	}
	if at := u.GetDeletionTimestamp(); at != nil {
		v.terminating, v.deletedAt, v.finalizers = true, at.Time, u.GetFinalizers()
	}
	switch u.GroupVersionKind().GroupKind() {
	case serviceKind:
		v.ports = servicePorts(u)
	case definitionKind:
		v.established = isEstablished(u)
	case jobKind:
		v.end = endOfJob(u)
	}
	return v
}

// says reports whether an apply of the rendering would change nothing. It takes no
// lock either.
func (t *table) says(v view, rendered map[string]any) bool {
	return !v.terminating && t.hasher.Matches(v.View, rendered)
}

// newer reports whether resourceVersion a came after b. Versions that are no numbers
// cannot be compared, and count as newer: better looked at twice.
func newer(a, b string) bool {
	if b == "" {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	if err != nil {
		return a != b
	}
	return order > 0
}

// beingDeleted is why an object that Git wants cannot be applied now.
func beingDeleted(v *view) *refusal.Error {
	return &refusal.Error{Class: refusal.ClassDeleting, Err: errors.New(deletionText(v))}
}

// deletionText says what a deletion waits for.
func deletionText(v *view) string {
	if len(v.finalizers) == 0 {
		return "it is being deleted"
	}
	return "it is being deleted, and waits for the finalizer " + finalizerText(v)
}

// finalizerText names the finalizers, which are the cluster's words.
func finalizerText(v *view) string { return untrusted.Line(strings.Join(v.finalizers, ", ")) }
