package claim

import (
	"errors"
	"testing"
	"time"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	names = []string{"a", "b", "c"}
)

func token(generation uint64, random byte) Token {
	t := Token{generation: generation}
	t.random[0] = random
	return t
}

func held(t Token) Sight { return Sight{Kind: Held, Holder: t, Version: "1"} }

// newTable returns the table of an instance that writes everywhere, with a token of
// generation 7.
func newTable() *table {
	t := &table{source: "mine", kept: token(7, 1)}
	t.tick(start)
	t.members(names, start)
	for _, name := range names {
		t.saw(t.rows[name], held(t.kept), start)
		t.listed(t.rows[name], true, start)
	}
	t.choose(t.choice(newToken), start)
	return t
}

func (t *table) actions(now time.Time) [3]Action {
	var all [3]Action
	for i, name := range names {
		all[i] = t.verdict(t.rows[name], now)
	}
	return all
}

func TestWhatIsSeenDecidesWhatIsWritten(t *testing.T) {
	for _, test := range []struct {
		name    string
		happens func(*table)
		after   time.Duration
		want    [3]Action
		yields  bool
	}{
		{"nothing", func(*table) {}, time.Hour, [3]Action{Write, Write, Write}, false},
		{
			"a greater token in one of three",
			func(t *table) { t.saw(t.rows["a"], held(token(8, 1)), start) },
			0,
			[3]Action{Yield, Write, Write},
			false,
		},
		{
			"the greater token goes again: it stays yielded there",
			func(t *table) {
				t.saw(t.rows["a"], held(token(8, 1)), start)
				t.saw(t.rows["a"], FromLease(nil), start)
			},
			0,
			[3]Action{Yield, Write, Write},
			false,
		},
		{
			"greater tokens in two of three",
			func(t *table) {
				t.saw(t.rows["a"], held(token(8, 1)), start)
				t.saw(t.rows["c"], held(token(8, 1)), start)
			},
			0,
			[3]Action{Yield, Yield, Yield},
			true,
		},
		{
			"greater tokens in one of the two that answer is not more than half",
			func(t *table) {
				t.lost(t.rows["c"], errors.New("away"), false, start)
				for _, name := range names {
					t.rows[name].confirmed = start.Add(time.Minute)
				}
				t.rows["c"].confirmed = start
				t.saw(t.rows["a"], held(token(8, 1)), start.Add(time.Minute))
			},
			time.Minute,
			[3]Action{Yield, Write, Refresh},
			false,
		},
		{
			"the same generation, greater at random",
			func(t *table) { t.saw(t.rows["a"], held(token(7, 2)), start) },
			0,
			[3]Action{Yield, Write, Write},
			false,
		},
		{
			"a smaller token, a Lease that is gone, and one without a holder",
			func(t *table) {
				t.saw(t.rows["a"], held(token(7, 0)), start)
				t.saw(t.rows["b"], FromLease(nil), start)
				t.saw(t.rows["c"], Sight{Kind: Absent, Version: "3"}, start)
			},
			0,
			[3]Action{Take, Take, Take},
			false,
		},
		{
			"damage of two kinds",
			func(t *table) {
				t.saw(t.rows["a"], held(token(1007, 1)), start)
				t.saw(t.rows["b"], Sight{Kind: Garbled, Text: "x", Version: "1"}, start)
			},
			0,
			[3]Action{Damaged, Damaged, Write},
			false,
		},
		{
			"a generation far above the rest in most of them is a takeover",
			func(t *table) {
				t.saw(t.rows["a"], held(token(2000, 1)), start)
				t.saw(t.rows["b"], held(token(2000, 1)), start)
			},
			0,
			[3]Action{Yield, Yield, Yield},
			true,
		},
		{
			"a generation not quite that far",
			func(t *table) { t.saw(t.rows["a"], held(token(1006, 1)), start) },
			0,
			[3]Action{Yield, Write, Write},
			false,
		},
		{
			"another source, whatever its token",
			func(t *table) {
				s := held(token(3, 1))
				s.Source = "theirs"
				t.saw(t.rows["a"], s, start)
				s.Holder = token(9, 1)
				t.saw(t.rows["b"], s, start)
			},
			0,
			[3]Action{Foreign, Foreign, Write},
			false,
		},
		{
			"a watch that is refused, one that failed long ago, one that failed just now",
			func(t *table) {
				t.lost(t.rows["a"], errors.New("forbidden"), true, start)
				t.lost(t.rows["b"], errors.New("reset"), false, start)
				t.lost(t.rows["c"], errors.New("reset"), false, start.Add(15*time.Second))
			},
			20 * time.Second,
			[3]Action{Blind, Refresh, Write},
			false,
		},
		{
			"no watch, and the Lease to be written",
			func(t *table) {
				t.saw(t.rows["a"], FromLease(nil), start)
				t.lost(t.rows["a"], errors.New("reset"), false, start)
			},
			time.Second,
			[3]Action{Blind, Write, Write},
			false,
		},
		{
			"a write that was not answered",
			func(t *table) { t.doubted(t.rows["a"], errors.New("timeout"), start) },
			0,
			[3]Action{Refresh, Write, Write},
			false,
		},
		{
			"an answer that a watch event overtook",
			func(t *table) {
				r := t.rows["a"]
				events := r.events
				t.saw(r, held(token(7, 0)), start)
				t.answered(r, held(t.own), start, events, start)
			},
			0,
			[3]Action{Refresh, Write, Write},
			false,
		},
		{
			"the process stood still: only what is read after it counts",
			func(t *table) {
				t.tick(start.Add(time.Minute))
				t.answered(t.rows["a"], held(t.own), start, t.rows["a"].events, start.Add(time.Minute))
				t.saw(t.rows["b"], held(t.own), start.Add(time.Minute))
				t.answered(t.rows["c"], held(t.own), start.Add(time.Minute), t.rows["c"].events, start.Add(time.Minute))
			},
			time.Minute,
			[3]Action{Refresh, Refresh, Write},
			false,
		},
		{
			"a sign of another instance: what was asked before does not answer it",
			func(t *table) {
				later := start.Add(time.Second)
				for _, name := range []string{"a", "b"} {
					r := t.rows[name]
					events := r.events
					t.mistrusted(r, later)
					if name == "b" {
						events = r.events
					}
					t.answered(r, held(t.own), later, events, later)
				}
				t.mistrusted(t.rows["b"], later.Add(trustWithin/2)) // an earlier sign
			},
			time.Second,
			[3]Action{Refresh, Write, Write},
			false,
		},
		{
			"another cluster behind the name",
			func(t *table) { t.forget(t.rows["a"], start) },
			0,
			[3]Action{Refresh, Write, Write},
			false,
		},
		{
			"another cluster behind the name, that has no claim",
			func(t *table) {
				t.forget(t.rows["a"], start)
				t.listed(t.rows["a"], false, start)
			},
			0,
			[3]Action{Take, Write, Write},
			false,
		},
		{
			"the cluster where another instance took over is reached another way",
			func(t *table) {
				t.saw(t.rows["a"], held(token(8, 1)), start)
				t.forget(t.rows["a"], start)
				t.listed(t.rows["a"], false, start)
			},
			0,
			[3]Action{Yield, Write, Write},
			false,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := newTable()
			test.happens(table)
			if got := table.actions(start.Add(test.after)); got != test.want {
				t.Errorf("verdicts = %v, want %v", got, test.want)
			}
			if yields := !table.yielded.IsZero(); yields != test.yields {
				t.Errorf("it yields everywhere: %v, want %v", yields, test.yields)
			}
		})
	}
}

func TestAnInstanceThatYieldedStaysDown(t *testing.T) {
	table := newTable()
	for _, name := range names {
		table.saw(table.rows[name], held(token(8, 1)), start)
	}
	for _, name := range names {
		table.saw(table.rows[name], FromLease(nil), start)
	}
	if got := table.actions(start); got != [3]Action{Yield, Yield, Yield} {
		t.Errorf("verdicts = %v, want Yield", got)
	}
	if table.due(start.Add(time.Hour)) {
		t.Error("it wants a token again")
	}
}

func TestAStartChoosesOneAboveWhatItSees(t *testing.T) {
	for _, test := range []struct {
		name  string
		shown [3]Sight // Unseen: no answer yet
		kept  Token
		floor uint64
		want  uint64 // generation; 0: nothing is chosen yet
		again bool
		late  bool // after the wait
	}{
		{name: "nobody has answered", late: true},
		{name: "one has not answered", shown: [3]Sight{held(token(4, 1)), FromLease(nil)}},
		{name: "one does not answer", shown: [3]Sight{held(token(4, 1)), FromLease(nil)}, late: true, want: 5},
		{name: "a new federation", shown: [3]Sight{FromLease(nil), FromLease(nil), FromLease(nil)}, want: 1},
		{name: "a restart", shown: [3]Sight{held(token(4, 1)), FromLease(nil), held(token(3, 9))}, kept: token(4, 1), want: 4, again: true},
		{name: "a restart after another took over", shown: [3]Sight{held(token(5, 1)), held(token(4, 1)), held(token(4, 1))}, kept: token(4, 1), want: 6},
		{name: "a folder that was copied", shown: [3]Sight{FromLease(nil), FromLease(nil), FromLease(nil)}, floor: 12, want: 13},
		{name: "one that is damaged", shown: [3]Sight{held(token(5000, 1)), held(token(4, 1)), held(token(4, 1))}, want: 5},
		{name: "one that is damaged to a restart", shown: [3]Sight{held(token(5000, 1)), held(token(4, 1)), held(token(4, 1))}, kept: token(4, 1), want: 4, again: true},
		{name: "most far above what was kept", shown: [3]Sight{held(token(5000, 1)), held(token(5000, 1)), held(token(4, 1))}, kept: token(4, 1), want: 5001},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := &table{kept: test.kept, floor: test.floor}
			table.members(names, start)
			for i, name := range names {
				if test.shown[i].Kind != Unseen {
					table.saw(table.rows[name], test.shown[i], start)
					table.listed(table.rows[name], test.shown[i].Kind == Held, start)
				}
			}
			now := start
			if test.late {
				now = start.Add(chooseWithin)
			}
			if due := table.due(now); due != (test.want > 0) {
				t.Fatalf("due = %v", due)
			}
			if test.want == 0 {
				return
			}
			got := table.choice(newToken)
			if got.generation != test.want || (got == test.kept) != test.again {
				t.Errorf("choice = %s, want generation %d, kept: %v", got, test.want, test.again)
			}
		})
	}
}

func TestAStartChoosesATokenAboveALeftoverClaim(t *testing.T) {
	table := &table{}
	table.members(names, start)
	table.saw(table.rows["a"], held(token(4, 1)), start)
	table.listed(table.rows["a"], true, start)
	table.choose(table.choice(newToken), start.Add(chooseWithin))
	if table.own.generation != 5 {
		t.Fatalf("token = %s, want generation 5", table.own)
	}
	for _, name := range []string{"b", "c"} {
		table.saw(table.rows[name], held(token(9, 1)), start)
		table.listed(table.rows[name], true, start)
	}
	if !table.yielded.IsZero() || !table.due(start) {
		t.Fatal("it yields to what may be left of an instance that has ended")
	}
	table.choose(table.choice(newToken), start)
	if got := table.actions(start); table.own.generation != 10 || got != [3]Action{Take, Take, Take} {
		t.Errorf("token = %s, verdicts %v; want generation 10 and Take", table.own, got)
	}

	// A token that appears later is a takeover.
	table.saw(table.rows["b"], held(token(11, 1)), start)
	if got := table.verdict(table.rows["b"], start); got != Yield {
		t.Errorf("verdict = %d, want Yield", got)
	}
}

func TestAnInstanceThatWasTakenOverDoesNotRaiseItsToken(t *testing.T) {
	table := newTable()
	table.members([]string{"a", "b", "c", "d"}, start)
	table.saw(table.rows["a"], held(token(8, 1)), start)
	table.saw(table.rows["d"], held(token(8, 1)), start)
	table.listed(table.rows["d"], true, start)
	if table.due(start) {
		t.Error("it would take back what another instance took over")
	}
	if got := table.verdict(table.rows["d"], start); got != Yield {
		t.Errorf("verdict = %d, want Yield", got)
	}
}

// A watch that runs again does not send a Lease that it sent before.
func TestAWatchThatRunsAgainFindsTheSameLease(t *testing.T) {
	table := newTable()
	r := table.rows["a"]
	table.lost(r, errors.New("connection reset"), false, start)
	table.listed(r, true, start)
	if got := table.verdict(r, start); got != Write {
		t.Errorf("verdict = %d, want Write: the list has the Lease", got)
	}
	table.lost(r, nil, false, start)
	table.listed(r, false, start)
	if got := table.verdict(r, start); got != Take {
		t.Errorf("verdict = %d, want Take: the list has no Lease", got)
	}
}
