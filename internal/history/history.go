// Package history makes random histories of a federation and plays them, on clusters
// in memory or on any others.
//
// A history is a list of independent events: a push holds all files, and a fault its own
// end. So events can be dropped one by one, until a failing history is small enough to
// read. Equal seeds give equal histories.
package history

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is the kind of an event.
type Kind string

// The kinds of events.
const (
	Push        Kind = "push"         // a user pushes a commit
	Edit        Kind = "edit"         // a user changes an object in a cluster by hand
	Refuse      Kind = "refuse"       // a cluster's process is gone
	Hang        Kind = "hang"         // a cluster's machine is gone
	Policy      Kind = "policy"       // a policy denies a resource
	Webhook     Kind = "webhook"      // a webhook denies a resource
	WebhookDown Kind = "webhook down" // a webhook's backend is down
	WebhookHang Kind = "webhook hang" // a webhook does not answer
	Quota       Kind = "quota"        // a quota is used up
	Forbidden   Kind = "forbidden"    // a permission is revoked
	Throttled   Kind = "throttled"    // the API server is overloaded
	ServerError Kind = "server error" // the API server's storage fails
	Hanging     Kind = "hanging"      // requests for a resource are not answered
	LostAnswers Kind = "lost answers" // writes are done but not answered
	Restore     Kind = "restore"      // a cluster is restored from a backup
)

// faults lists the kinds that last for some time.
var faults = []Kind{Refuse, Hang, Policy, Webhook, WebhookDown, WebhookHang, Quota, Forbidden, Throttled, ServerError, Hanging, LostAnswers}

// Event is one thing that happens.
type Event struct {
	Number  int // in the history as it was made
	At      time.Duration
	Kind    Kind
	Cluster string // empty for a push

	Files    map[string]string // of a push: all manifests, by path
	Change   Change            // of an edit
	For      time.Duration     // of a fault
	Resource string            // of a refusal or a hanging request: a plural
	Age      time.Duration     // of the backup that is restored
}

// String describes the event for the reader of a failed test.
func (e Event) String() string {
	words := []string{string(e.Kind), e.Cluster, e.Resource, e.Change.String()}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	s := fmt.Sprintf("%3d %8v %s", e.Number, e.At, strings.Join(words, " "))
	switch {
	case e.For > 0:
		s += fmt.Sprintf(" for %v", e.For)
	case e.Kind == Restore:
		s += fmt.Sprintf(" of %v before", e.Age)
	case e.Kind == Push:
		s += fmt.Sprintf(" of %d files", len(e.Files))
	}
	return s
}

// end returns when the event is over.
func (e Event) end() time.Duration { return e.At + e.For }

// History is a list of events in the order of their times.
type History struct {
	Seed     uint64
	Clusters []string
	Events   []Event
	dropped  []int
}

// Options bound a history.
type Options struct {
	Clusters []string      // none means asia, europe and us
	Events   int           // without the first push; zero means 12
	Length   time.Duration // zero means 20 minutes
	Fault    time.Duration // faults are shorter than this; zero means 4 minutes
	Backup   time.Duration // backups are younger than this; zero means 5 minutes

	Namespace string // in the manifests; empty for none
	NodePort  int    // the first of three; zero means 30100
}

// New makes the history of a seed. It begins with a push.
func New(seed uint64, o Options) History {
	if len(o.Clusters) == 0 {
		o.Clusters = []string{"asia", "europe", "us"}
	}
	o.Events, o.Length = cmp.Or(o.Events, 12), cmp.Or(o.Length, 20*time.Minute)
	o.Fault, o.Backup = cmp.Or(o.Fault, 4*time.Minute), cmp.Or(o.Backup, 5*time.Minute)
	o.NodePort = cmp.Or(o.NodePort, 30100)
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 0)), Options: o, edits: map[string][]time.Duration{}} //nolint:gosec // repeatable on purpose
	h := History{Seed: seed, Clusters: o.Clusters, Events: []Event{m.push(0)}}
	times := make([]time.Duration, o.Events)
	for i := range times {
		times[i] = time.Duration(m.Int64N(int64(o.Length/time.Millisecond))) * time.Millisecond
	}
	slices.Sort(times)
	for _, at := range times {
		h.Events = append(h.Events, m.event(at))
	}
	for i := range h.Events {
		h.Events[i].Number = i
	}
	return h
}

// End returns when the last fault is over.
func (h History) End() time.Duration {
	var end time.Duration
	for _, e := range h.Events {
		end = max(end, e.end())
	}
	return end
}

// Without returns the history without the events with some numbers.
func (h History) Without(numbers ...int) History {
	out := h
	out.dropped = append(slices.Clone(h.dropped), numbers...)
	out.Events = slices.DeleteFunc(slices.Clone(h.Events), func(e Event) bool { return slices.Contains(numbers, e.Number) })
	return out
}

// String returns how to make the history again, and its events.
func (h History) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "history.New(%d, …)", h.Seed)
	if len(h.dropped) > 0 {
		dropped := slices.Sorted(slices.Values(h.dropped))
		fmt.Fprintf(&b, ".Without(%s)", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(dropped)), ", "), "[]"))
	}
	for _, e := range h.Events {
		fmt.Fprintf(&b, "\n%s", e)
	}
	return b.String()
}

// Shrink drops events of a failing history as long as it still fails: first halves, then
// ever smaller parts, then one by one until none can be dropped. The first push remains.
func Shrink(h History, fails func(History) bool) History {
	for size := max(1, len(h.Events)/2); ; {
		smaller := false
		for at := 1; at < len(h.Events); {
			var numbers []int
			for _, e := range h.Events[at:min(at+size, len(h.Events))] {
				numbers = append(numbers, e.Number)
			}
			if without := h.Without(numbers...); fails(without) {
				h, smaller = without, true
				continue
			}
			at += size
		}
		switch {
		case size > 1:
			size /= 2
		case !smaller:
			return h
		}
	}
}
