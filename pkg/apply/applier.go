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

// Options configure an Applier: its cluster, its federation and how it writes.
type Options struct {
	Cluster    string
	Federation string
	// Source is a digest of repository, ref and federation. An app whose parent records
	// another source is refused, unless that source is one of FormerSources: the names
	// that earlier versions gave to the same source. A former source is replaced.
	Source        string
	FormerSources []string
	// FollowsAs reports whether source is this source under another name of the
	// federation, a name that the federation may have had before. It is nil where that
	// is not known.
	FollowsAs func(federation, source string) bool
	// Instance is written into the parents. It shows a daemon of an earlier version
	// that another one writes now; see SetInstance.
	Instance string
	Version  string // of fedsync, for the inventory's tooling annotation: "v0.1.0"

	Client dynamic.Interface // without a rate limit of its own, or with a generous one
	// Mapper knows the cluster's kinds. It is asked again after a reset, so it must not
	// remember failures. Its requests need a timeout of their own.
	Mapper meta.ResettableRESTMapper
	// MayWrite reports whether writes to the cluster are allowed now. It is called
	// before every write and must not block. Wake announces that its answer may have
	// changed. Nil means always.
	MayWrite func() bool
	// Overwritten is called when another client changed an object under our field
	// manager, before the object is repaired. It must not block or call the Applier.
	// Nil means never.
	Overwritten func()
	// Changed is called when the results of Resources or Standing may have changed. It
	// must not block or call the Applier. Nil means never.
	Changed func()
	// Change is called for each change that was made. It must not block or call the
	// Applier.
	Change func(federation.Change)

	Concurrency    int                  // requests at a time; 8 if 0
	RequestTimeout time.Duration        // of one request; 10 s if 0
	Deadline       time.Duration        // after which a waiting deletion is a failure; 15 min if 0
	NodePorts      federation.PortRange // 30000-32767 if zero
	// AdoptFrom are further field managers whose fields adoption takes over, in
	// addition to the usual tools of users; see ownership.NewPeople.
	AdoptFrom []string
	// Forms may be shared by the appliers of all clusters. Nil gives the Applier its
	// own.
	Forms *object.Forms
	Log   *zap.Logger // which names the cluster; silent if nil
}

// Applier makes one cluster match its plan. Run does the work; the other methods supply
// the plan and the observations. It is safe for concurrent use. Only methods with a
// context make requests or wait for them.
type Applier struct {
	Options

	*table.Table // what is known of the cluster

	writer *write.Writer

	mu       sync.Mutex         // protects the fields below
	requests context.Context    // of the requests under way
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

// Backups returns the store of the objects that adoption overwrote.
func (a *Applier) Backups() *backup.Store { return a.writer.Backups }

func (a *Applier) mayWrite() bool { return a.MayWrite == nil || a.MayWrite() }

func (a *Applier) changed() {
	if a.Changed != nil {
		a.Changed()
	}
}

// Standing computes how far the cluster is from its plan at a time.
func (a *Applier) Standing(now time.Time) (out standing.Standing) {
	mayWrite := a.mayWrite()
	a.WithState(func(s *state.State) { out = standing.Of(s, now, mayWrite) })
	return out
}

// Ended returns the Jobs of the plan that ended and were deleted afterwards; see
// [standing.Ended].
func (a *Applier) Ended() (out []federation.Observation) {
	a.WithState(func(s *state.State) { out = standing.Ended(s) })
	return out
}

// Abort cancels the requests under way, because nothing will answer them.
func (a *Applier) Abort() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.abort != nil {
		a.abort()
	}
}

// Forget drops what is known about the cluster, because it was restored from a backup
// or rebuilt. Everything has to be observed again.
func (a *Applier) Forget() {
	a.Abort()
	a.Table.Forget()
}
