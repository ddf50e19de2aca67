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

// Live is what is kept of one state of a live object: its identity, who it
// belongs to, and what is ours in it. Never the object.
type Live struct {
	ownership.View
	UID     types.UID
	Version string // the resourceVersion
	PartOf  string // the value of the label applyset.kubernetes.io/part-of

	Controlled  bool // a controller made it
	Terminating bool
	DeletedAt   time.Time // when the deletion was asked for
	Finalizers  []string  // what a deletion waits for
	Established bool      // of a CustomResourceDefinition: its kind is served
	Ports       []Port    // of a Service
	End         End       // of a Job
}

// Mark is comparable, and changes with what we judge of an object: not with its
// status, nor with fields that others own.
type Mark struct {
	uid         types.UID
	partOf      string
	ours        ownership.Mark
	terminating bool
}

// Mark returns what of the state is judged.
func (v *Live) Mark() Mark {
	return Mark{uid: v.UID, partOf: v.PartOf, ours: v.View.Mark(), terminating: v.Terminating}
}

// Reader reads live objects. Its results can be compared with its own alone.
type Reader struct {
	Hasher ownership.Hasher
	People ownership.People
}

// NewReader makes a reader for which these managers are people's tools besides the usual
// ones; see [ownership.NewPeople].
func NewReader(adoptFrom []string) Reader {
	return Reader{Hasher: ownership.NewHasher(), People: ownership.NewPeople(adoptFrom)}
}

// Live returns what is kept of a live object.
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

// Says reports whether an apply of the rendering would change nothing.
func (r Reader) Says(v Live, rendered map[string]any) bool {
	return !v.Terminating && r.Hasher.Matches(v.View, rendered)
}

// Newer reports whether resourceVersion a came after b. Versions that are no numbers
// cannot be compared, and count as newer: better looked at twice.
func Newer(a, b string) bool {
	if b == "" {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	if err != nil {
		return a != b
	}
	return order > 0
}

// DeletionText says what a deletion waits for.
func (v *Live) DeletionText() string {
	if len(v.Finalizers) == 0 {
		return "it is being deleted"
	}
	return "it is being deleted, and waits for the finalizer " + v.FinalizerText()
}

// FinalizerText names the finalizers, which are the cluster's words.
func (v *Live) FinalizerText() string { return untrusted.Line(strings.Join(v.Finalizers, ", ")) }
