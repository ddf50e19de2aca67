package state

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Row is everything known about one object.
type Row struct {
	Ref      federation.ObjectRef
	Rank     int             // of its kind
	Want     *object.Desired // what Git wants; nil for none
	Resource schema.GroupVersionResource

	Live *object.Live // nil where it is not known to exist
	Seen time.Time    // when live was learned, from an event or an answer
	Base *object.Live // the API server's answer to our apply, or an object recognized as equal to it
	Made string       // the wish that Base came from; empty if not known

	Flight *Flight       // the request that is under way; nil for none
	Queued *object.Event // the newest event that arrived while a request was under way

	Ended inventory.Ended // how a Job ended, until the inventory records it

	Drift *Drift // what another client changed since Base
	flips []flip
	Fight *Fight
	Last  Try

	Remade   bool                // the last repair had to recreate it
	Adopting *federation.Finding // the finding to report when its adoption is done; nil if none has begun
}

// Settled reports whether the cluster shows what Git wants of the object.
func (r *Row) Settled() bool {
	return r.Want != nil && r.Live != nil && !r.Live.Terminating && r.Drift == nil && r.Made != "" && r.Made == r.Want.Wish()
}

// Wanted reports whether Git wants the object.
func (r *Row) Wanted() bool { return r != nil && r.Want != nil }

// wants returns the row's wish if it is for exactly this object; nil otherwise.
func (r *Row) wants(app string, adoption federation.Adoption, o *federation.Object) *object.Desired {
	if r == nil || r.Want == nil || r.Want.App != app || r.Want.Adoption != adoption ||
		r.Want.Object.Digest != o.Digest || r.Want.Object.File != o.File {
		return nil
	}
	return r.Want
}

// PartOf returns the value of the object's part-of label; empty if it has none.
func (r *Row) PartOf() string {
	if r.Live == nil {
		return ""
	}
	return r.Live.PartOf
}

// held reports whether the row, which Git does not want, stays because deleting it
// would delete objects that are not ours.
func (r *Row) held() bool { return r.Last.Err != nil && r.Last.Err.Class == refusal.ClassHeld }

// Failure returns why the row does not match the plan. It is nil if it matches, or if
// nothing was tried.
func (r *Row) Failure() *refusal.Error {
	switch {
	case r.Want != nil && r.Settled():
		return nil
	case r.Want == nil && (r.Live == nil || r.Live.Terminating):
		return nil
	}
	return r.Last.Err
}

// Flight is a request under way.
type Flight struct {
	Since       time.Time
	Incarnation int
	Around      Circumstances
}

// Slow is how long a request may take before it no longer delays the others: it then
// counts as tried, and its slot as free.
const Slow = 2 * time.Second

// IsSlow reports whether the request is slow.
func (f *Flight) IsSlow(now time.Time) bool { return !now.Before(f.Since.Add(Slow)) }

// Drift is a change by another client.
type Drift struct {
	Text  string
	Paths []string
	By    string
}

// Recognize checks whether an object matches what Git wants, if it is not known what it
// was made from.
func (t *State) Recognize(r *Row) {
	if r.Made != "" || r.Live == nil || r.Want == nil || r.Flight != nil || r.Live.PartOf != r.Want.PartOf {
		return
	}
	if r.Live.Untidy || r.Adopting != nil {
		return // something is still to be done or reported
	}
	if t.Reader.Matches(*r.Live, r.Want.Unstructured().Object) {
		r.Base, r.Made, r.Drift, r.Last = r.Live, r.Want.Wish(), nil, Try{}
		t.NoteEnd(r, *r.Live)
	}
}
