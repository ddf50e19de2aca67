package apply

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/pkg/apply/backup"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/apply/standing"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/apply/table"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Options say which cluster an Applier writes to, for whom, and how.
type Options struct {
	Cluster    string
	Federation string
	// Source is a digest of repository, ref and federation. An app whose parent
	// bears another one is refused, unless it is one of FormerSources: what an
	// earlier version called the same source. It is replaced then.
	Source        string
	FormerSources []string
	// FollowsAs reports whether a source is this one under another name of the
	// federation, which it may have had before; nil where that is not known.
	FollowsAs func(federation, source string) bool
	// Instance is written into the parents, for a daemon of an earlier version to
	// see that another one writes now; see SetInstance.
	Instance string
	Version  string // of fedsync, for the inventory's tooling annotation: "v0.1.0"

	Client dynamic.Interface // without a rate limit of its own, or with a generous one
	// Mapper knows the cluster's kinds. It is asked again after a reset, so it
	// must not remember failures; its requests need a timeout of their own.
	Mapper meta.ResettableRESTMapper
	// MayWrite reports whether the cluster may be written to now; it is asked
	// before every write, and must not block. Wake says that it may answer
	// otherwise. Always if nil.
	MayWrite func() bool
	// Overwritten is called when an object was changed under our field manager by
	// somebody else, before that is put right; it must not block or call the Applier.
	// Never if nil.
	Overwritten func()
	// Changed is called when Resources or Standing may say something else; it
	// must not block or call the Applier. Never if nil.
	Changed func()
	// Change is told of each change that was made; the same holds for it.
	Change func(federation.Change)

	Concurrency    int                  // requests at a time; 8 if 0
	RequestTimeout time.Duration        // of one request; 10 s if 0
	Deadline       time.Duration        // after which a deletion that waits is a failure; 15 min if 0
	NodePorts      federation.PortRange // 30000-32767 if zero
	// AdoptFrom are further field managers from which adoption takes over what they own,
	// besides the usual tools of people; see ownership.NewPeople.
	AdoptFrom []string
	// Forms may be shared by the appliers of all clusters; its own if nil.
	Forms *object.Forms
	Log   *zap.Logger // which names the cluster; silent if nil
}

// Applier makes one cluster match its plan: Run does it, and the other methods tell
// it what is wanted and seen. It is safe for concurrent use, and no method but
// those with a context makes a request or waits for one.
type Applier struct {
	Options

	*table.Table // what is known of the cluster

	writer *write.Writer

	mu       sync.Mutex         // protects what follows
	requests context.Context    // of those under way
	abort    context.CancelFunc // ends them
}

// New makes an Applier that knows nothing yet.
func New(o Options) *Applier {
	if o.Concurrency <= 0 {
		o.Concurrency = 8
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = 10 * time.Second
	}
	if o.Deadline <= 0 {
		o.Deadline = 15 * time.Minute
	}
	if o.NodePorts == (federation.PortRange{}) {
		o.NodePorts = federation.PortRange{First: 30000, Last: 32767}
	}
	if o.Forms == nil {
		o.Forms = object.NewForms()
	}
	if o.Overwritten == nil {
		o.Overwritten = func() {}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	owner := inventory.Owner{Federation: o.Federation, Source: o.Source, FormerSources: o.FormerSources}
	reader := object.NewReader(o.AdoptFrom)
	c := &request.Client{Dynamic: o.Client, Mapper: o.Mapper, Timeout: o.RequestTimeout, MayWrite: o.MayWrite, Federation: o.Federation}
	return &Applier{
		Options: o,
		Table: table.New(table.Options{
			Settings: state.Settings{
				Cluster: o.Cluster, Owner: owner, Instance: o.Instance, Reader: reader,
				ListTimeout: o.RequestTimeout, Deadline: o.Deadline,
			},
			Overwritten: o.Overwritten, Change: o.Change, Log: o.Log,
		}),
		writer: &write.Writer{
			Client: c, Cluster: o.Cluster, Owner: owner, Version: o.Version, FollowsAs: o.FollowsAs, NodePorts: o.NodePorts,
			Forms: o.Forms, Reader: reader, Backups: &backup.Store{Client: c},
		},
	}
}

// Backups has the objects that adoption overwrote.
func (a *Applier) Backups() *backup.Store { return a.writer.Backups }

func (a *Applier) mayWrite() bool { return a.MayWrite == nil || a.MayWrite() }

func (a *Applier) changed() {
	if a.Changed != nil {
		a.Changed()
	}
}

// Standing computes how things stand at a time.
func (a *Applier) Standing(now time.Time) (out standing.Standing) {
	mayWrite := a.mayWrite()
	a.Look(func(s *state.State) { out = standing.Of(s, now, mayWrite) })
	return out
}

// Ended returns the Jobs of the plan that ended and were deleted after that; see
// [standing.Ended].
func (a *Applier) Ended() (out []federation.Observation) {
	a.Look(func(s *state.State) { out = standing.Ended(s) })
	return out
}

// Abort ends the requests that are under way: nothing will answer them.
func (a *Applier) Abort() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.abort != nil {
		a.abort()
	}
}

// Forget drops what is known of the cluster, for one that was restored from a
// backup or rebuilt. Everything has to be observed again.
func (a *Applier) Forget() {
	a.Abort()
	a.Table.Forget()
}
