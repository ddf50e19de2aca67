package object

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
)

// Live is what is remembered of one state of a live object: its identity, its owner,
// and which of its fields are ours. It never contains the object.
type Live struct {
	ownership.View
	UID     types.UID
	Version string // the resourceVersion
	PartOf  string // the value of the label applyset.kubernetes.io/part-of

	Controlled  bool // it has a controller
	Terminating bool
	DeletedAt   time.Time // when the deletion was requested
	Finalizers  []string  // what a deletion waits for
	Established bool      // of a CustomResourceDefinition: its kind is served
	Ports       []Port    // of a Service
	End         End       // of a Job
}

// Mark is comparable. It changes with what decisions about an object depend on, but not
// with its status or with fields that other managers own.
type Mark struct {
	uid         types.UID
	partOf      string
	ours        ownership.Mark
	terminating bool
}

// Mark returns the mark of the object's state.
func (v *Live) Mark() Mark {
	return Mark{uid: v.UID, partOf: v.PartOf, ours: v.View.Mark(), terminating: v.Terminating}
}

// Reader reads live objects. Its results are comparable only with each other.
type Reader struct {
	Hasher ownership.Hasher
	People ownership.People
}

// NewReader returns a reader that counts these managers as users' tools, in addition to
// the usual ones; see [ownership.NewPeople].
func NewReader(adoptFrom []string) Reader {
	return Reader{Hasher: ownership.NewHasher(), People: ownership.NewPeople(adoptFrom)}
}

// Live returns what is remembered of a live object.
func (r Reader) Live(u *unstructured.Unstructured) Live {
	v := Live{
		View:       r.Hasher.View(u, r.People),
		UID:        u.GetUID(),
		Version:    u.GetResourceVersion(),
		PartOf:     u.GetLabels()[inventory.LabelPartOf],
		Controlled: metav1.GetControllerOfNoCopy(u) != nil,
	}
	if at := u.GetDeletionTimestamp(); at != nil {
		v.Terminating, v.DeletedAt, v.Finalizers = true, at.Time, u.GetFinalizers()
	}
	switch u.GroupVersionKind().GroupKind() {
	case ServiceKind:
		v.Ports = Ports(u)
	case DefinitionKind:
		v.Established = isEstablished(u)
	case JobKind:
		v.End = EndOf(u)
	}
	return v
}

// Matches reports whether an apply of the rendering would change nothing.
func (r Reader) Matches(v Live, rendered map[string]any) bool {
	return !v.Terminating && r.Hasher.Matches(v.View, rendered)
}

// IsNewer reports whether resourceVersion a came after b. Versions that are not numbers
// cannot be compared and count as newer: better an object is checked twice.
func IsNewer(a, b string) bool {
	if b == "" {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	if err != nil {
		return a != b
	}
	return order > 0
}

// DeletionText describes what a deletion waits for.
func (v *Live) DeletionText() string {
	if len(v.Finalizers) == 0 {
		return "it is being deleted"
	}
	return "it is being deleted, and waits for the finalizer " + v.FinalizerText()
}

// FinalizerText returns the names of the finalizers, which are untrusted text.
func (v *Live) FinalizerText() string { return untrusted.Line(strings.Join(v.Finalizers, ", ")) }
