package probe

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// letters stand for probes in the cases below.
var letters = map[rune]federation.FailureClass{
	'.': federation.FailureNone,
	't': federation.FailureTimeout,
	'r': federation.FailureRefused,
	'd': federation.FailureDNS,
	'5': federation.FailureServer,
	'n': federation.FailureNetwork,
	'u': federation.FailureUnauthorised,
	'f': federation.FailureForbidden,
	'x': federation.FailureTLS,
	'c': federation.FailureContext,
	'9': federation.FailureThrottled,
}

func TestTrackerMovesBetweenStates(t *testing.T) {
	for name, c := range map[string]struct {
		probes string // one letter for a probe
		states string // the first letters of the states after each probe
	}{
		"a first good probe decides":                {".", "R"},
		"a cluster that is absent at the start":     {"rrrr", "NNOO"},
		"two failures are not three":                {".tt..", "RNNNR"},
		"three in a row":                            {".ttt", "RNNO"},
		"of different classes":                      {".tr5", "RNNO"},
		"back after two good probes":                {".ttt..", "RNNOOR"},
		"one good probe is not enough":              {".ttt.t..", "RNNOOOOR"},
		"now and then is not in a row":              {".t.t.t.t..", "RNNNNNNNNR"},
		"dns and network count as absence":          {".dndn", "RNNOO"},
		"an expired token moves nothing":            {".uuuuuu", "RUUUUUU"},
		"a certificate moves nothing":               {".xxxx", "RUUUU"},
		"a missing context moves nothing":           {"cccc", "UUUU"},
		"a refused permission moves nothing":        {".ffff", "RUUUU"},
		"a new token helps at once":                 {".uu.", "RUUR"},
		"a refusal between failures is an answer":   {".ttutt", "RNNUNN"},
		"a refusal ends Offline when it is certain": {".tttuu.", "RNNOOUR"},
		"one refusal does not end Offline":          {".tttut", "RNNOOO"},
		"a moment's overload is nothing":            {".9.99.", "RRRRRR"},
		"a lasting overload moves nothing":          {".99999999.", "RRRUUUUUUR"},
		"an overload at the start":                  {"99.", "UUR"},
		"an overload between failures is an answer": {".tt9tt", "RNNUNN"},
		"overloaded and then gone":                  {".99ttt", "RRRNNO"},
		"from Unknown to Offline":                   {"uttt", "UNNO"},
	} {
		t.Run(name, func(t *testing.T) {
			tracker := NewTracker(3, 2, time.Time{})
			var got strings.Builder
			for _, letter := range c.probes {
				tracker.Observe(time.Time{}, letters[letter], "")
				got.WriteByte(tracker.Probe().State[0])
			}
			if got.String() != c.states {
				t.Errorf("states after %s = %s, want %s", c.probes, got.String(), c.states)
			}
		})
	}
}

func TestTrackerReportsOnlyChangesOfStateAndClass(t *testing.T) {
	tracker := NewTracker(3, 2, time.Time{})
	var got strings.Builder
	const probes = "...tttttrrr....uuxx.."
	for _, letter := range probes {
		if tracker.Observe(time.Time{}, letters[letter], "") {
			got.WriteRune(letter)
		} else {
			got.WriteByte(' ')
		}
	}
	//             ...tttttrrr....uuxx..
	const want = ".  t t  r   .  u x . "
	if got.String() != want {
		t.Errorf("changes:\n got %q\nwant %q\n  of %q", got.String(), want, probes)
	}
}

func TestTrackerRecordsTimesAndCounts(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	tracker := NewTracker(3, 2, start)
	at := start
	for _, letter := range "..ttttt" {
		at = at.Add(2 * time.Second)
		message := ""
		if letters[letter] != federation.FailureNone {
			message = "no answer"
		}
		tracker.Observe(at, letters[letter], message)
	}
	tracker.SetVersion("v1.37.2")
	want := Probe{
		State: federation.ClusterOffline, Since: start.Add(10 * time.Second), Away: start.Add(6 * time.Second),
		Failure: federation.FailureTimeout, Error: "no answer",
		At: at, Failed: 5, Probes: 7, Version: "v1.37.2",
	}
	if got := tracker.Probe(); got != want {
		t.Errorf("Probe() = %+v, want %+v", got, want)
	}
	for range 40 {
		at = at.Add(2 * time.Second)
		tracker.Observe(at, federation.FailureNone, "")
	}
	want = Probe{
		State: federation.ClusterReady, Since: start.Add(18 * time.Second),
		At: at, Failed: 0, Probes: 30, Version: "v1.37.2",
	}
	if got := tracker.Probe(); got != want {
		t.Errorf("after its return, Probe() = %+v, want %+v", got, want)
	}
}

func TestTrackerRecordsSinceWhenNothingAnswers(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		probes string // one letter for a probe, 2 s apart
		away   string // the probe since which it is absent, counted from 1; 0 is the start, a dash means that it is not absent
	}{
		"it was never probed":                        {"", "-"},
		"it answers":                                 {"..", "-"},
		"it never answered":                          {"rrrr", "0"},
		"since the first failure, not the third":     {"..ttt", "3"},
		"a class of failure follows another":         {".tr5", "2"},
		"one good probe does not bring it back":      {".ttt.", "2"},
		"two do":                                     {".ttt..", "-"},
		"gone again":                                 {".ttt..t", "7"},
		"a refused token is an answer":               {".uu", "-"},
		"refused from the start":                     {"uu", "-"},
		"gone after a refusal":                       {"uut", "3"},
		"a refusal before it is gone":                {".tu", "-"},
		"one refusal does not bring it back":         {".tttu", "2"},
		"two refusals do":                            {".tttuu", "-"},
		"absent at the start, back and absent again": {"rr..r", "5"},
		"absent at the start and refused after that": {"ru", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			tracker := NewTracker(3, 2, start)
			at := start
			for _, letter := range c.probes {
				at = at.Add(2 * time.Second)
				tracker.Observe(at, letters[letter], "")
			}
			got := "-"
			if away := tracker.Probe().Away; !away.IsZero() {
				got = strconv.Itoa(int(away.Sub(start) / (2 * time.Second)))
			}
			if got != c.away {
				t.Errorf("after %s it is absent since probe %s, want %s", c.probes, got, c.away)
			}
		})
	}
}

func TestFactsCountTheProbes(t *testing.T) {
	tracker := NewTracker(3, 2, time.Time{})
	for _, letter := range ".t.tt" {
		tracker.Observe(time.Time{}, letters[letter], "")
	}
	var got federation.ClusterFacts
	if tracker.Probe().Describe(&got); got.Failed != 3 || got.Probes != 5 {
		t.Errorf("%d of %d probes failed, want 3 of 5", got.Failed, got.Probes)
	}
}
