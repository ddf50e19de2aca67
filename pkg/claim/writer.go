package claim

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/bell"
)

const (
	// tickInterval is how often a Writer records that the process runs.
	tickInterval = 2 * time.Second
	// keepWithin is how long a start waits for its token to be on disk.
	keepWithin = 2 * time.Second
)

// Options configure a Writer.
type Options struct {
	// Dir is the folder that stores the token for the next start. Without one, or if it
	// cannot be written, each start has a token of a new generation.
	Dir string
	// Source is what this daemon follows. It is part of the names of the files in Dir.
	Source string
	// Label names this instance for users. If empty, it is the host name and a number.
	Label   string
	Version string // of fedsync
	// Words converts the error of a cluster to text for users. Nil uses the error's
	// text.
	Words func(error) string
	Log   *zap.Logger
}

// Writer is what this process knows about the claims of its federation. It is safe for
// concurrent use. It makes no request and writes no file while holding its lock.
type Writer struct {
	options Options
	log     *zap.Logger
	state   *state
	holder  holder
	changed bell.Bell
	wake    bell.Bell // Run has a token to choose

	mu         sync.Mutex // protects the fields below
	federation string
	table      *table
	claims     map[string]*Claim
}

// Open takes the first free lock of this source in the folder, and reads the token of
// the previous start. It never fails: without a folder the token is of a new
// generation, and Kept returns the reason.
func Open(o Options) *Writer {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Words == nil {
		o.Words = func(err error) string { return err.Error() }
	}
	w := &Writer{options: o, log: o.Log, changed: bell.New(), wake: bell.New(), state: openState(o.Dir, o.Source)}
	w.holder = newHolder(o.Label, o.Version, w.state.number)
	w.table = &table{kept: w.state.token, floor: w.state.floor}
	return w
}

// Label returns the name of this instance for users.
func (w *Writer) Label() string { return w.holder.label }

// Number returns how many other processes of this source ran on this machine when this
// one started.
func (w *Writer) Number() int { return w.state.number }

// Kept returns why the token is not stored, so that the next start has one of a new
// generation. It is nil if the token is stored.
func (w *Writer) Kept() error { return w.state.failure() }

// Close releases the lock in the folder.
func (w *Writer) Close() error { return w.state.close() }

// Run chooses the token as soon as that is possible, until ctx ends. Without it no
// verdict allows a write.
func (w *Writer) Run(ctx context.Context) {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		w.tick(time.Now())
		w.choose(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-w.wake:
		}
	}
}

func (w *Writer) tick(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.table.awake
	w.table.tick(now)
	if w.table.awake != before {
		w.log.Warn("the process stood still: claims are read again")
		w.ringAll()
	}
}

// choose chooses a token if one is due. The token is on disk before it is used, so that
// no crash can make the next start use it as another instance.
func (w *Writer) choose(ctx context.Context) {
	w.mu.Lock()
	t := w.table
	due := t.due(time.Now())
	var token Token
	if due {
		token = t.choice(newToken)
	}
	again := token == t.kept
	w.mu.Unlock()
	if !due {
		return
	}
	if !again {
		w.keep(ctx, token)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.choose(token, time.Now())
	w.log.Info("token chosen", zap.String("token", t.own.Short()), zap.Bool("kept", again))
	w.ringAll()
}

// keep writes the token for the next start. It waits only briefly for a disk that
// hangs: when the disk comes back, it gets the token that is still in use.
func (w *Writer) keep(ctx context.Context, token Token) {
	kept := make(chan error, 1) // for a write that ends after keep has returned
	go func() { kept <- w.state.keep(token) }()
	select {
	case err := <-kept:
		if err != nil {
			w.log.Warn("token not kept for the next start", zap.Error(err))
		}
	case <-time.After(keepWithin):
		w.log.Warn("token not kept for the next start yet", zap.Duration("after", keepWithin))
	case <-ctx.Done():
	}
}

// Members sets the clusters whose claims are needed: all clusters that are written,
// including those that leave and are emptied. Source is what is followed, for the
// Leases. Another federation has other claims, so everything known is forgotten, except
// that this instance has yielded.
func (w *Writer) Members(federation, source string, clusters []string) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.table; w.federation != federation || t.source != source || w.claims == nil {
		t.members(nil, now)
		w.table = &table{
			source: source, kept: greatest(t.kept, t.own), floor: t.floor,
			yielded: t.yielded, beat: t.beat, awake: t.awake,
		}
		w.federation, w.claims = federation, map[string]*Claim{}
	}
	w.table.members(clusters, now)
	for name, r := range w.table.rows {
		if c := w.claims[name]; c == nil || c.row != r {
			w.claims[name] = &Claim{writer: w, table: w.table, row: r, cluster: name, federation: federation, changed: bell.New()}
		}
	}
	for name, c := range w.claims {
		if c.row.left {
			delete(w.claims, name)
			c.changed.Ring()
		}
	}
	w.ringAll()
}

// Claim returns the claim of a member cluster, or nil if it is not a member.
func (w *Writer) Claim(cluster string) *Claim {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.claims[cluster]
}

// Token returns the token of this instance. It is zero until it is chosen, and may grow
// while members answer that were away at the start.
func (w *Writer) Token() Token {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.table.own
}

// Yielded returns the token that this instance has yielded to everywhere, if it has. It
// then writes nothing more, to any cluster or to the forge, until it is restarted.
func (w *Writer) Yielded() (by Token, yielded bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.table.yielded, !w.table.yielded.IsZero()
}

// HoldsMost reports whether this instance may write more than half of the members, or
// half of them including the first by name. It may then write what belongs to no
// member. Of two instances that count the same members, at most one holds most. Members
// that are gone according to Git do not count.
func (w *Writer) HoldsMost(now time.Time, gone ...string) bool {
	w.mu.Lock()
	claims := maps.Clone(w.claims)
	w.mu.Unlock()
	held := map[string]bool{}
	for name, c := range claims {
		if !slices.Contains(gone, name) {
			held[name] = c.Verdict(now).Action == Write
		}
	}
	return isMost(held)
}

// isMost reports whether more than half of the members are held, or half of them with
// the first by name.
func isMost(held map[string]bool) bool {
	n := 0
	for _, holds := range held {
		if holds {
			n++
		}
	}
	return 2*n > len(held) || n > 0 && 2*n == len(held) && held[slices.Min(slices.Collect(maps.Keys(held)))]
}

// Changed returns a channel that rings when verdicts, the token or findings may have
// changed.
func (w *Writer) Changed() <-chan struct{} { return w.changed }

// ringAll rings every bell. The caller must hold w.mu.
func (w *Writer) ringAll() {
	w.changed.Ring()
	w.wake.Ring()
	for _, c := range w.claims {
		c.changed.Ring()
	}
}

// Claim is the claim of one cluster, as its member sees it.
type Claim struct {
	writer     *Writer
	table      *table
	row        *row
	cluster    string
	federation string
	changed    bell.Bell
}

// Verdict is what a member may do now, and why.
type Verdict struct {
	Action Action
	Token  Token // of this instance
	By     Token // the holder, if it is not this instance
	Err    error // of the last try of the Action, or why it is Blind
}

// Verdict returns what the member may do now. It is cheap, and has to be called before
// each write.
func (c *Claim) Verdict(now time.Time) Verdict {
	w, t := c.writer, c.table
	w.mu.Lock()
	defer w.mu.Unlock()
	if !t.beat.IsZero() && elapsed(t.beat, now) > seenWithin {
		// The process was paused, and this call came before the next tick.
		t.tick(now)
		w.ringAll()
	}
	return c.verdict(now)
}

func (c *Claim) verdict(now time.Time) Verdict {
	t, r := c.table, c.row
	v := Verdict{Action: t.verdict(r, now), Token: t.own}
	switch v.Action {
	case Yield:
		v.By = greatest(t.yielded, r.yielded)
	case Damaged, Foreign:
		v.By = r.sight.Holder
	case Blind:
		v.Err = r.watchErr
	case Refresh, Take:
		v.Err = r.askErr
	case Wait, Write, Left:
	}
	return v
}

// Changed returns a channel that rings when the verdict may have changed.
func (c *Claim) Changed() <-chan struct{} { return c.changed }

// change calls f to record an observation, and rings the bells that it concerns.
func (c *Claim) change(f func(t *table, r *row, now time.Time)) {
	w, t := c.writer, c.table
	w.mu.Lock()
	defer w.mu.Unlock()
	own, suspect, yielded := t.own, t.suspect, t.yielded
	f(t, c.row, time.Now())
	if t.yielded != yielded {
		w.log.Error("another instance took over", zap.String("token", t.yielded.Short()))
	}
	if t.own != own || t.suspect != suspect || t.yielded != yielded {
		w.ringAll()
		return
	}
	w.changed.Ring()
	w.wake.Ring()
	c.changed.Ring()
}

// Saw records an event of the Lease's watch: FromLease of a new or changed object, or
// FromLease(nil) of a deleted one.
func (c *Claim) Saw(s Sight) {
	c.change(func(t *table, r *row, now time.Time) { t.saw(r, s, now) })
}

// Listed records that the Lease's watch is running and has sent what was new, and
// whether its list has the Lease.
func (c *Claim) Listed(there bool) {
	c.change(func(t *table, r *row, now time.Time) { t.listed(r, there, now) })
}

// Lost records that the Lease's watch is not running and will list again. The error is
// the one that ended it; nil if it may be requested again. A cluster that cannot be
// reached counts as lost, too.
func (c *Claim) Lost(err error) {
	refused := apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
	c.change(func(t *table, r *row, now time.Time) { t.lost(r, err, refused, now) })
}

// Forget drops what the cluster showed, so that the claim is seen again before the next
// write. It is for a new connection to the cluster: another cluster may answer, or the
// same one after a backup was restored.
func (c *Claim) Forget() {
	c.change(func(t *table, r *row, now time.Time) { t.forget(r, now) })
}

// Mistrust records a sign that another instance may write to the cluster. The claim is
// then read before the next write.
func (c *Claim) Mistrust() {
	w := c.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	// There may be thousands of signs, and most are not new.
	if c.table.mistrusted(c.row, time.Now()) {
		c.changed.Ring()
	}
}

// Refresh reads the Lease.
func (c *Claim) Refresh(ctx context.Context, client dynamic.Interface) error {
	_, err := c.refresh(ctx, client)
	return err
}

func (c *Claim) refresh(ctx context.Context, client dynamic.Interface) (lease, error) {
	began, events := time.Now(), c.events()
	l, err := read(ctx, client, c.federation)
	c.change(func(t *table, r *row, now time.Time) {
		if err != nil {
			t.doubted(r, err, now)
			return
		}
		t.answered(r, l.sight(), began, events, now)
	})
	return l, err
}

func (c *Claim) events() int {
	c.writer.mu.Lock()
	defer c.writer.mu.Unlock()
	return c.row.events
}

// Take reads the Lease and writes it if the verdict is still Take. Anything but a clear
// success leaves the verdict at Refresh: a write whose answer is lost may have been
// carried out.
func (c *Claim) Take(ctx context.Context, client dynamic.Interface) error {
	found, err := c.refresh(ctx, client)
	if err != nil {
		return err
	}
	c.writer.mu.Lock()
	began, events := time.Now(), c.row.events
	v, source := c.verdict(began), c.table.source
	c.writer.mu.Unlock()
	if v.Action != Take {
		return nil
	}
	l, err := write(ctx, client, c.federation, found, c.writer.holder, v.Token, source)
	c.change(func(t *table, r *row, now time.Time) {
		if err != nil {
			t.doubted(r, err, now)
			return
		}
		t.answered(r, l.sight(), began, events, now)
	})
	return err
}
