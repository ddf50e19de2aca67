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
	// tickInterval is how often a Writer notes that the process runs.
	tickInterval = 2 * time.Second
	// keepWithin is how long a start waits for its token to be on disk.
	keepWithin = 2 * time.Second
)

// Options are what a Writer needs.
type Options struct {
	// Dir is the folder that keeps the token for the next start. Without one, or
	// where it cannot be written, each start has a token of a new generation.
	Dir string
	// Source is part of the names of the files in Dir: what this daemon follows.
	Source string
	// Label names this instance to people; empty for the host's name and a number.
	Label   string
	Version string // of fedsync
	// Words turns the error of a cluster into text for people. Nil takes it as it is.
	Words func(error) string
	Log   *zap.Logger
}

// Writer is what this process knows of the claims of its federation. It is safe
// for concurrent use. No request is made and no file written under its lock.
type Writer struct {
	options Options
	log     *zap.Logger
	state   *state
	holder  holder
	changed bell.Bell
	wake    bell.Bell // Run has something to choose

	mu         sync.Mutex // protects what follows
	federation string
	table      *table
	claims     map[string]*Claim
}

// Open takes the first lock of this source in the folder that is free, and reads
// the token of the start before. It never fails: without a folder the token is
// that of a new generation, and Kept says why.
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

// Label returns the name of this instance for people.
func (w *Writer) Label() string { return w.holder.label }

// Number returns how many other processes of this source ran on this machine when
// this one started.
func (w *Writer) Number() int { return w.state.number }

// Kept returns why the token is not kept for the next start, which is then one of
// a new generation. It is nil where it is kept.
func (w *Writer) Kept() error { return w.state.failure() }

// Close frees the lock in the folder.
func (w *Writer) Close() error { return w.state.close() }

// Run chooses the token when it can be chosen, until ctx ends. Without it no
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

// choose chooses a token where one is due. The token is on disk before it is
// used, so that no crash can make the next start use it as another's.
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

// keep writes the token for the next start. A disk that hangs is waited for a
// little: when it comes back, the token that it gets is still the one in use.
func (w *Writer) keep(ctx context.Context, token Token) {
	kept := make(chan error, 1) // for a write that ends when nobody waits for it
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

// Members makes these clusters those whose claims are asked for: all that are
// written, those that leave and are emptied among them. Source says what is
// followed, for the Leases. Another federation has other claims: then all that is
// known is forgotten but for having yielded.
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

// Claim returns the claim of a member cluster, or nil where it is none.
func (w *Writer) Claim(cluster string) *Claim {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.claims[cluster]
}

// Token returns the token of this instance. It is zero until it is chosen, and may
// grow while members answer that were away at the start.
func (w *Writer) Token() Token {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.table.own
}

// Yielded returns to whom this instance has yielded everywhere. It then writes
// nothing more, to any cluster and to the forge, until it is started again.
func (w *Writer) Yielded() (by Token, yielded bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.table.yielded, !w.table.yielded.IsZero()
}

// HoldsMost reports whether more than half of the members may be written by this
// instance, or half of them with the first by name: it may then write what belongs to
// no member. Of two instances that count the same members it is true of one at most.
// Those that are gone for good, as everybody reads in Git, do not count.
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

// Changed rings when verdicts, the token or findings may be others.
func (w *Writer) Changed() <-chan struct{} { return w.changed }

// ringAll tells everybody; w.mu is held.
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
	By     Token // whose claim it is, where it is not ours
	Err    error // of the last try at what Action names, or why it is Blind
}

// Verdict returns what the member may do now. It is cheap, and to be asked for
// before each request that writes.
func (c *Claim) Verdict(now time.Time) Verdict {
	w, t := c.writer, c.table
	w.mu.Lock()
	defer w.mu.Unlock()
	if !t.beat.IsZero() && elapsed(t.beat, now) > seenWithin {
		// The process stood still, and this came before the next tick.
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
	case Look, Take:
		v.Err = r.askErr
	case Wait, Write, Left:
	}
	return v
}

// Changed rings when the verdict may be another.
func (c *Claim) Changed() <-chan struct{} { return c.changed }

// change applies what was seen, and tells those whom it may concern.
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

// Saw takes over what the watch of the Lease brought: FromLease of an object that
// is new or changed, FromLease(nil) of one that was deleted.
func (c *Claim) Saw(s Sight) {
	c.change(func(t *table, r *row, now time.Time) { t.saw(r, s, now) })
}

// Listed notes that the watch of the Lease stands and has brought what is new to it,
// and whether its list has the Lease.
func (c *Claim) Listed(there bool) {
	c.change(func(t *table, r *row, now time.Time) { t.listed(r, there, now) })
}

// Lost notes that the watch of the Lease does not stand and will list again, and
// the error that it ended with; nil where it may be asked for again. A cluster that cannot be reached is told in the same way.
func (c *Claim) Lost(err error) {
	refused := apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
	c.change(func(t *table, r *row, now time.Time) { t.lost(r, err, refused, now) })
}

// Forget drops what the cluster showed, so that the claim is seen again before the
// next write. It is for a new way to the cluster: another may answer, or the same as
// it was when a backup was taken.
func (c *Claim) Forget() {
	c.change(func(t *table, r *row, now time.Time) { t.forget(r, now) })
}

// Mistrust notes a sign that another instance may write to the cluster: the claim is
// read before the next write.
func (c *Claim) Mistrust() {
	w := c.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	// There may be thousands of signs: most are no news.
	if c.table.mistrusted(c.row, time.Now()) {
		c.changed.Ring()
	}
}

// Look reads the Lease.
func (c *Claim) Look(ctx context.Context, client dynamic.Interface) error {
	_, err := c.look(ctx, client)
	return err
}

func (c *Claim) look(ctx context.Context, client dynamic.Interface) (lease, error) {
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

// Take writes the Lease where the verdict is Take, over what it has read just
// before. Whatever is not a clear success leaves the verdict at Look: a write
// whose answer is lost may have been carried out.
func (c *Claim) Take(ctx context.Context, client dynamic.Interface) error {
	found, err := c.look(ctx, client)
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
