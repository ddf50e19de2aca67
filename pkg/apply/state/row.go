package state

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Row is all that is known of one object.
type Row struct {
	Ref      federation.ObjectRef
	Rank     int             // of its kind
	Want     *object.Desired // what Git wants; nil for none
	Resource schema.GroupVersionResource

	Live *object.Live // nil where it does not exist, as far as is known
	Seen time.Time    // when live was learned, from an event or an answer
	Base *object.Live // what the API server answered to our apply, or was found to be as good
	Made string       // the wish that base came from; empty where that is not known

	Flight *Flight       // the request that is under way; nil for none
	Queued *object.Event // the newest event that waits for its answer

	Ended inventory.Ended // how a Job ended, where the inventory does not say it yet

	Drift *Drift // what somebody else changed since base
	flips []flip
	Fight *Fight
	Last  Try

	Remade   bool                // the last repair had to create it again
	Adopting *federation.Finding // what is to be said when its adoption is done; nil for none begun
}

// Settled reports whether the cluster shows what Git wants of the object.
func (r *Row) Settled() bool {
	return r.Want != nil && r.Live != nil && !r.Live.Terminating && r.Drift == nil && r.Made != "" && r.Made == r.Want.Wish()
}

// Wanted reports whether Git wants the object.
func (r *Row) Wanted() bool { return r != nil && r.Want != nil }

// wants returns the row's wish where it is for just this; nil where it is not.
func (r *Row) wants(app string, adoption federation.Adoption, o *federation.Object) *object.Desired {
	if r == nil || r.Want == nil || r.Want.App != app || r.Want.Adoption != adoption ||
		r.Want.Object.Digest != o.Digest || r.Want.Object.File != o.File {
		return nil
	}
	return r.Want
}

// PartOf is the value of the object's part-of label; empty where it has none.
func (r *Row) PartOf() string {
	if r.Live == nil {
		return ""
	}
	return r.Live.PartOf
}

// held reports whether the row, which nobody wants, stays because to delete it would
// delete what is not ours.
func (r *Row) held() bool { return r.Last.Err != nil && r.Last.Err.Class == refusal.ClassHeld }

// Failure is why the row is not as it should be; nil where it is, or where nothing
// has been tried.
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

// Slow is how long a request may take before it stops holding up the rest: it
// counts as tried, and its slot as free.
const Slow = 2 * time.Second

// IsSlow reports whether the request has taken long.
func (f *Flight) IsSlow(now time.Time) bool { return !now.Before(f.Since.Add(Slow)) }

// Drift is a change by somebody else.
type Drift struct {
	Text  string
	Paths []string
	By    string
}

// Recognize looks whether an object, of which it is not known what it was made
// from, is what Git says.
func (t *State) Recognize(r *Row) {
	if r.Made != "" || r.Live == nil || r.Want == nil || r.Flight != nil || r.Live.PartOf != r.Want.PartOf {
		return
	}
	if r.Live.Untidy || r.Adopting != nil {
		return // there is still something to be done, or said
	}
	if t.Reader.Says(*r.Live, r.Want.Unstructured().Object) {
		r.Base, r.Made, r.Drift, r.Last = r.Live, r.Want.Wish(), nil, Try{}
		t.NoteEnd(r, *r.Live)
	}
}
