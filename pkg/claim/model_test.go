package claim

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The model consists of some instances and some clusters. A step is anything that can
// happen next: a watch lists, an event arrives, a token is chosen, a request is carried
// out, is answered, or is not answered and carried out later or never. The rules are
// those of the table; the model has only what surrounds it.

var (
	modelStart  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	modelChoice = modelStart.Add(chooseWithin) // a start need not wait: it may choose from what it has seen
	errLost     = errors.New("no answer")
)

var large = flag.Bool("large", false, "explore the large models of two starts")

// modelLease is a cluster's Lease, with its resourceVersion; without a holder there is
// none.
type modelLease struct {
	holder  Token
	version int
}

func (l modelLease) sight() Sight {
	if l.holder.IsZero() {
		return FromLease(nil)
	}
	return Sight{Kind: Held, Holder: l.holder, Version: fmt.Sprint(l.version)}
}

type opPhase int

const (
	opNone opPhase = iota
	opSent
	opDone // carried out; the answer is on its way
)

// op is a request of an instance to a cluster.
type op struct {
	phase   opPhase
	write   bool // of the Lease; otherwise a read
	take    bool // a read before a write
	token   Token
	over    int // the version that is replaced; 0 where the Lease is created
	events  int // when it was sent
	answer  modelLease
	refused bool // a precondition failed
}

// modelCluster is one cluster, with what each instance has under way there.
type modelCluster struct {
	lease  modelLease
	queue  [2][]modelLease // events that have not arrived
	op     [2]op
	orphan [2]op // a write whose answer is not awaited
}

type modelState struct {
	tables   [2]*table
	clusters []modelCluster
	losses   int // how many answers may still be lost
	// coarse makes a read and its answer one step, and a write and its answer if none
	// is lost. An answer that comes after an event is discarded, which the smaller
	// models show.
	coarse bool
}

// clone returns a copy for a step of instance d. What the step cannot change is shared.
func (s *modelState) clone(d int) *modelState {
	out := &modelState{tables: s.tables, clusters: slices.Clone(s.clusters), losses: s.losses, coarse: s.coarse}
	t := *s.tables[d]
	rows := make([]row, len(t.rows))
	t.rows = make(map[string]*row, len(t.rows))
	for i := range rows {
		rows[i] = *s.row(d, i)
		t.rows[modelNames[i]] = &rows[i]
	}
	out.tables[d] = &t
	return out
}

var modelNames = []string{"a", "b", "c", "d"}

func (s *modelState) row(d, c int) *row { return s.tables[d].rows[modelNames[c]] }

// key is equal for states with equal futures. The names of the clusters and the numbers
// of resourceVersions do not matter: no rule reads them. For an instance that has
// yielded everywhere, only its writes under way matter.
func (s *modelState) key() [sha256.Size]byte {
	blocks := make([]string, len(s.clusters))
	for c := range s.clusters {
		k := &s.clusters[c]
		b := make([]byte, 0, 64)
		lease := func(l modelLease) { b = append(b, short(l.holder), byte(k.lease.version-l.version)) }
		lease(k.lease)
		for d, t := range s.tables {
			r := s.row(d, c)
			done := !t.yielded.IsZero()
			if !done {
				b = append(b, byte(r.sight.Kind), short(r.sight.Holder), bit(r.met), short(r.first), short(r.yielded), bit(r.watching), bit(r.doubt))
				for _, e := range k.queue[d] {
					lease(e)
				}
			}
			for _, o := range []op{k.op[d], k.orphan[d]} {
				b = append(b, 0xff, byte(o.phase))
				switch {
				case o.phase == opNone || done && !o.write:
				default:
					b = append(b, bit(o.write), bit(o.take), short(o.token), bit(o.over == 0), byte(k.lease.version-o.over), bit(r.events == o.events), bit(o.refused))
					lease(o.answer)
				}
			}
		}
		blocks[c] = string(b)
	}
	slices.Sort(blocks)
	b := []byte{byte(s.losses)}
	for _, t := range s.tables {
		b = append(b, short(t.own), short(t.kept), short(t.yielded))
	}
	return sha256.Sum256([]byte(string(b) + strings.Join(blocks, "/")))
}

func short(t Token) byte { return byte(t.generation<<3) | t.random[0] }

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// step is one thing that can happen.
type step struct {
	what string
	d, c int // the instance, and the cluster
	loss bool
	do   func(*modelState)
}

func (s step) String() string { return fmt.Sprintf("%d %s in %s", s.d, s.what, modelNames[s.c]) }

func (s *modelState) set(c int, holder Token) modelLease {
	k := &s.clusters[c]
	k.lease = modelLease{holder, k.lease.version + 1}
	for d := range s.tables {
		if s.row(d, c).watching {
			k.queue[d] = append(slices.Clip(k.queue[d]), k.lease)
		}
	}
	return k.lease
}

// steps returns everything that can happen next.
func (s *modelState) steps() []step {
	var all []step
	for d := range s.tables {
		t := s.tables[d]
		if t.due(modelChoice) {
			all = append(all, step{what: "chooses", d: d, do: func(n *modelState) {
				nt := n.tables[d]
				nt.choose(nt.choice(func(g uint64) Token { return modelToken(g, d) }), modelChoice)
			}})
		}
		for c := range s.clusters {
			all = append(all, s.stepsAt(d, c)...)
		}
	}
	return all
}

func modelToken(generation uint64, d int) Token {
	t := Token{generation: generation}
	t.random[0] = byte(d)
	return t
}

func (s *modelState) stepsAt(d, c int) []step {
	var all []step
	k := &s.clusters[c]
	r := s.row(d, c)
	add := func(what string, loss bool, do func(n *modelState, k *modelCluster, r *row)) {
		all = append(all, step{what, d, c, loss, func(n *modelState) {
			do(n, &n.clusters[c], n.row(d, c))
		}})
	}
	if k.orphan[d].phase == opSent {
		add("has a late write", false, func(n *modelState, k *modelCluster, _ *row) {
			o := k.orphan[d]
			k.orphan[d] = op{}
			n.carryOut(c, &o)
		})
		add("has a write that never comes", true, func(_ *modelState, k *modelCluster, _ *row) { k.orphan[d] = op{} })
	}
	if !s.tables[d].yielded.IsZero() {
		// Whatever it learns, it does nothing more; but its earlier writes may succeed.
		if o := k.op[d]; o.phase == opSent && o.write {
			add("writes, having yielded", false, func(n *modelState, k *modelCluster, _ *row) {
				o := k.op[d]
				k.op[d] = op{}
				n.carryOut(c, &o)
			})
		}
		return all
	}
	if !r.watching {
		add("lists", false, func(n *modelState, k *modelCluster, r *row) {
			if !k.lease.holder.IsZero() {
				n.tables[d].saw(r, k.lease.sight(), modelStart)
			}
			n.tables[d].listed(r, !k.lease.holder.IsZero(), modelStart)
		})
	}
	if len(k.queue[d]) > 0 {
		add("sees", false, func(n *modelState, k *modelCluster, r *row) {
			e := k.queue[d][0]
			k.queue[d] = k.queue[d][1:]
			n.tables[d].saw(r, e.sight(), modelStart)
		})
	}
	switch o := k.op[d]; o.phase {
	case opNone:
		switch s.tables[d].verdict(r, modelStart) {
		case Refresh:
			add("reads", false, func(n *modelState, k *modelCluster, r *row) { n.read(d, k, r, false) })
		case Take:
			add("reads to take", false, func(n *modelState, k *modelCluster, r *row) { n.read(d, k, r, true) })
		case Wait, Write, Yield, Damaged, Foreign, Blind, Left:
		}
	case opSent:
		add("is carried out", false, func(n *modelState, k *modelCluster, _ *row) {
			k.op[d].phase = opDone
			n.carryOut(c, &k.op[d])
			if n.coarse && n.losses == 0 {
				o := k.op[d]
				k.op[d] = op{}
				n.answer(d, o, k, n.row(d, c))
			}
		})
		if s.losses > 0 && k.orphan[d].phase == opNone {
			add("waits no longer", true, func(n *modelState, k *modelCluster, r *row) {
				n.losses--
				k.orphan[d] = k.op[d]
				k.op[d] = op{}
				n.tables[d].doubted(r, errLost, modelStart)
			})
		}
	case opDone:
		add("is answered", false, func(n *modelState, k *modelCluster, r *row) {
			o := k.op[d]
			k.op[d] = op{}
			n.answer(d, o, k, r)
		})
		if s.losses > 0 {
			add("loses the answer", true, func(n *modelState, k *modelCluster, r *row) {
				n.losses--
				k.op[d] = op{}
				n.tables[d].doubted(r, errLost, modelStart)
			})
		}
	}
	return all
}

func (s *modelState) read(d int, k *modelCluster, r *row, take bool) {
	o := op{phase: opDone, answer: k.lease, take: take, events: r.events}
	if s.coarse {
		s.answer(d, o, k, r)
		return
	}
	k.op[d] = o
}

// calm delivers the events without news while nothing is under way that they could
// disturb: their order relative to the other steps does not matter.
func (s *modelState) calm() {
	for c := range s.clusters {
		k := &s.clusters[c]
		for d, t := range s.tables {
			r := s.row(d, c)
			for len(k.queue[d]) > 0 && k.op[d].phase == opNone && !r.doubt &&
				(!t.yielded.IsZero() || r.sight.Kind == Held && r.sight.Holder == k.queue[d][0].holder) {
				k.queue[d] = k.queue[d][1:]
			}
		}
	}
}

// carryOut does what the API server does.
func (s *modelState) carryOut(c int, o *op) {
	k := &s.clusters[c]
	exists := !k.lease.holder.IsZero()
	if o.over == 0 && exists || o.over != 0 && (!exists || k.lease.version != o.over) {
		o.refused = true
		return
	}
	o.answer = s.set(c, o.token)
}

// answer does what Claim.Refresh and Claim.Take do with an answer.
func (s *modelState) answer(d int, o op, k *modelCluster, r *row) {
	t := s.tables[d]
	if o.refused {
		t.doubted(r, errLost, modelStart)
		return
	}
	t.answered(r, o.answer.sight(), modelStart, o.events, modelStart)
	if !o.take || t.verdict(r, modelStart) != Take {
		return
	}
	over := o.answer.version
	if o.answer.holder.IsZero() {
		over = 0
	}
	k.op[d] = op{phase: opSent, write: true, token: t.own, over: over, events: r.events}
}

// wrong returns what must never happen at any point.
func (s *modelState) wrong() string {
	for c := range s.clusters {
		for d := range s.tables {
			if s.tables[d].verdict(s.row(d, c), modelStart) != Write {
				continue
			}
			k := &s.clusters[c]
			if s.row(d, c).watching && k.lease.holder != s.tables[d].own && len(k.queue[d]) == 0 {
				return fmt.Sprintf("%d writes in %s, and has nothing to come that would stop it", d, modelNames[c])
			}
		}
	}
	return ""
}

// unsettled returns what is wrong with a final state: one instance must write every
// cluster, and the other must have yielded.
func (s *modelState) unsettled() string {
	var b strings.Builder
	for d, t := range s.tables {
		fmt.Fprintf(&b, "\n%d %s:", d, t.own.Short())
		for c := range s.clusters {
			fmt.Fprintf(&b, " %d", t.verdict(s.row(d, c), modelStart))
		}
	}
	for d := range s.tables {
		writes, yields := true, true
		for c := range s.clusters {
			writes = writes && s.tables[d].verdict(s.row(d, c), modelStart) == Write
			yields = yields && s.tables[1-d].verdict(s.row(1-d, c), modelStart) == Yield
		}
		if writes && yields && !s.tables[1-d].yielded.IsZero() && s.tables[d].yielded.IsZero() {
			return ""
		}
	}
	return "no single writer at the end:" + b.String()
}

// explore visits every reachable state, and returns how many there are.
type explorer struct {
	t     *testing.T
	seen  map[[sha256.Size]byte]bool // whether it is on the path
	path  []step
	ends  int
	limit int
}

func (e *explorer) steps() string {
	var b strings.Builder
	for _, st := range e.path {
		b.WriteString("\n" + st.String())
	}
	return b.String()
}

func (e *explorer) visit(s *modelState) bool {
	key := s.key()
	if onPath, known := e.seen[key]; known {
		if onPath {
			e.t.Errorf("it goes round in circles:%s", e.steps())
			return false
		}
		return true
	}
	if len(e.seen) >= e.limit {
		e.t.Errorf("more than %d states", e.limit)
		return false
	}
	e.seen[key] = true
	if wrong := s.wrong(); wrong != "" {
		e.t.Errorf("%s, after%s", wrong, e.steps())
		return false
	}
	steps := s.steps()
	goesOn := false
	for _, st := range steps {
		goesOn = goesOn || !st.loss
		next := s.clone(st.d)
		st.do(next)
		next.calm()
		e.path = append(e.path, st)
		ok := e.visit(next)
		e.path = e.path[:len(e.path)-1]
		if !ok {
			return false
		}
	}
	if !goesOn {
		e.ends++
		if u := s.unsettled(); u != "" {
			e.t.Errorf("%s\nafter%s", u, e.steps())
			return false
		}
	}
	e.seen[key] = false
	return true
}

func TestTwoStartsEndWithOneWriterWhateverTheOrder(t *testing.T) {
	before := func(generation uint64) Token {
		token := Token{generation: generation}
		token.random[0] = 7
		return token
	}
	for _, test := range []struct {
		name   string
		leases []Token
		kept   Token // of the first instance
		losses int
		coarse bool
	}{
		{"one cluster that nobody claimed", make([]Token, 1), Token{}, 3, false},
		{"one cluster of an instance that ended", []Token{before(4)}, Token{}, 3, false},
		{"one cluster, a restart and a start", []Token{modelToken(4, 0)}, modelToken(4, 0), 3, false},
		{"two clusters that nobody claimed", make([]Token, 2), Token{}, 0, true},
		{"two clusters, one of which lags behind", []Token{before(4), before(7)}, Token{}, 0, true},
		{"two clusters, a restart and a start", []Token{modelToken(4, 0), modelToken(4, 0)}, modelToken(4, 0), 0, true},
		{"large: two clusters that nobody claimed", make([]Token, 2), Token{}, 1, true},
		{"large: two clusters, a restart and a start", []Token{modelToken(4, 0), modelToken(4, 0)}, modelToken(4, 0), 1, true},
		{"three clusters that nobody claimed", make([]Token, 3), Token{}, 0, true},
		{"three clusters, a restart and a start", slices.Repeat([]Token{modelToken(4, 0)}, 3), modelToken(4, 0), 0, true},
	} {
		if strings.HasPrefix(test.name, "large") && !*large {
			continue // takes minutes: go test ./pkg/claim -large
		}
		t.Run(test.name, func(t *testing.T) {
			s := &modelState{losses: test.losses, coarse: test.coarse}
			for _, holder := range test.leases {
				k := modelCluster{}
				if !holder.IsZero() {
					k.lease = modelLease{holder, 1}
				}
				s.clusters = append(s.clusters, k)
			}
			for d := range s.tables {
				s.tables[d] = &table{}
				s.tables[d].members(modelNames[:len(test.leases)], modelStart)
			}
			s.tables[0].kept = test.kept
			e := &explorer{t: t, seen: map[[sha256.Size]byte]bool{}, limit: 1_500_000}
			began := time.Now()
			e.visit(s)
			t.Logf("%d states, %d ends, %s", len(e.seen), e.ends, time.Since(began).Round(time.Millisecond))
			if e.ends == 0 {
				t.Error("no end was reached")
			}
		})
	}
}

// TestRandomLivesEndWithOneWriter covers what the models above leave out: restarts with
// and without the previous token, Leases that are deleted or restored from an older
// backup, and processes that were paused.
func TestRandomLivesEndWithOneWriter(t *testing.T) {
	const walks = 5000
	steps, resolved := 0, 0
	for n := range walks {
		w := &walk{t: t, random: rand.New(rand.NewPCG(uint64(n), 7)), s: &modelState{losses: 4}}
		w.s.clusters = make([]modelCluster, 3)
		w.start(0, Token{})
		w.start(1, Token{})
		w.run(6)
		if w.s.unsettled() != "" {
			// A process that ended while it took over left a greater token. Then a
			// start resolves it.
			if !w.restarted {
				t.Fatalf("walk %d: %s\nafter\n%s", n, w.s.unsettled(), strings.Join(w.path, "\n"))
			}
			resolved++
			w.start(0, w.s.tables[0].kept)
			w.run(0)
		}
		if u := w.s.unsettled(); u != "" {
			t.Fatalf("walk %d: %s\nafter\n%s", n, u, strings.Join(w.path, "\n"))
		}
		steps += len(w.path)
	}
	t.Logf("%d walks, %d steps, %d resolved by another start", walks, steps, resolved)
}

type walk struct {
	t         *testing.T
	random    *rand.Rand
	s         *modelState
	lives     int
	path      []string
	restarted bool
}

// start makes instance d a new process. The previous one's writes may still succeed.
func (w *walk) start(d int, kept Token) {
	w.restarted = w.restarted || w.s.tables[d] != nil
	w.lives++
	w.s.tables[d] = &table{kept: kept}
	w.s.tables[d].members(modelNames[:len(w.s.clusters)], modelStart)
	for c := range w.s.clusters {
		k := &w.s.clusters[c]
		if k.op[d].phase == opSent && k.op[d].write {
			k.orphan[d] = k.op[d]
		}
		k.op[d], k.queue[d] = op{}, nil
	}
}

// run continues until nothing can happen, with so many accidents on the way.
func (w *walk) run(accidents int) {
	for {
		all := w.s.steps()
		for i := range all {
			if all[i].what == "chooses" {
				d := all[i].d
				all[i].do = func(s *modelState) {
					t := s.tables[d]
					t.choose(t.choice(func(g uint64) Token {
						token := Token{generation: g}
						token.random[0], token.random[1] = byte(w.random.Uint32()), byte(w.lives)
						token.random[2] = byte(d)
						return token
					}), modelChoice)
				}
			}
		}
		if accidents > 0 && (len(all) == 0 || w.random.IntN(8) == 0) {
			accidents--
			w.accident()
			continue
		}
		if len(all) == 0 {
			return
		}
		st := all[w.random.IntN(len(all))]
		w.path = append(w.path, st.String())
		st.do(w.s)
		if wrong := w.s.wrong(); wrong != "" {
			w.t.Fatalf("%s, after\n%s", wrong, strings.Join(w.path, "\n"))
		}
	}
}

func (w *walk) accident() {
	d, c := w.random.IntN(2), w.random.IntN(len(w.s.clusters))
	switch w.random.IntN(6) {
	case 0:
		w.path = append(w.path, fmt.Sprintf("%d is started again", d))
		w.start(d, greatest(w.s.tables[d].kept, w.s.tables[d].own))
	case 1:
		w.path = append(w.path, fmt.Sprintf("%d is started without what it kept", d))
		w.start(d, Token{})
	case 2:
		w.path = append(w.path, "the Lease goes in "+modelNames[c])
		w.s.set(c, Token{})
	case 3:
		w.path = append(w.path, "a backup comes back in "+modelNames[c])
		w.s.set(c, Token{generation: 1})
	case 4:
		w.path = append(w.path, fmt.Sprintf("%d loses its watch in %s", d, modelNames[c]))
		w.s.tables[d].lost(w.s.row(d, c), nil, false, modelStart)
		w.s.clusters[c].queue[d] = nil
	case 5:
		w.path = append(w.path, fmt.Sprintf("%d stood still", d))
		w.s.tables[d].awake = modelStart
		for c := range w.s.clusters {
			w.s.row(d, c).confirmed = modelStart.Add(-time.Second)
		}
	}
}
