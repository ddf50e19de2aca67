package history

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/objectstore"
)

// Namespace is where the objects of pushes are that name none.
const Namespace = "default"

// step is what happens at one time.
type step struct {
	at time.Duration
	do func()
}

// stage is where a history is played.
type stage struct {
	ctx     context.Context //nolint:containedctx // of one call of Play
	stores  map[string]*objectstore.Store
	active  []Event // the faults that last now
	backups map[int]objectstore.Backup
}

// Play plays a history from now on and returns when its last fault is over. It
// calls push for every commit, in its own goroutine. The stores are by cluster.
func Play(ctx context.Context, h History, stores map[string]*objectstore.Store, push func(Event)) {
	s := &stage{ctx: ctx, stores: stores, backups: map[int]objectstore.Backup{}}
	began := time.Now()
	for _, next := range s.steps(h, push) {
		timer := time.NewTimer(time.Until(began.Add(next.at)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		next.do()
	}
}

func (s *stage) steps(h History, push func(Event)) []step {
	var out []step
	for _, e := range h.Events {
		switch e.Kind { //nolint:exhaustive // all others are faults
		case Push:
			out = append(out, step{e.At, func() { push(e) }})
		case Edit:
			out = append(out, step{e.At, func() { s.edit(e) }})
		case Restore:
			out = append(out,
				step{max(0, e.At-e.Age), func() { s.backups[e.Number] = s.stores[e.Cluster].Backup() }},
				step{e.At, func() { s.stores[e.Cluster].Restore(s.backups[e.Number]) }})
		default:
			out = append(out, step{e.At, func() { s.begin(e) }}, step{e.end(), func() { s.end(e) }})
		}
	}
	slices.SortStableFunc(out, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return out
}

func (s *stage) begin(e Event) {
	s.active = append(s.active, e)
	s.set(e.Cluster)
}

func (s *stage) end(e Event) {
	s.active = slices.DeleteFunc(s.active, func(o Event) bool { return o.Number == e.Number })
	s.set(e.Cluster)
}

// set makes the faults of a cluster those that last now.
func (s *stage) set(cluster string) {
	outage := objectstore.OutageNone
	var faults []objectstore.Fault
	var refusals []objectstore.Refusal
	for _, e := range s.active {
		if e.Cluster != cluster {
			continue
		}
		name := fmt.Sprintf("number-%d", e.Number)
		switch e.Kind { //nolint:exhaustive // the others do not last
		case Refuse:
			outage = objectstore.OutageRefuse
		case Hang:
			outage = objectstore.OutageHang
		case Policy:
			refusals = append(refusals, objectstore.Policy(name, e.Resource, "not now"))
		case Webhook:
			refusals = append(refusals, objectstore.Webhook(name+".example.com", e.Resource, "not now"))
		case WebhookDown:
			refusals = append(refusals, objectstore.WebhookDown(name+".example.com", e.Resource))
		case Quota:
			refusals = append(refusals, objectstore.Quota(name, e.Resource, 1))
		case WebhookHang:
			faults = append(faults, byDaemon(objectstore.WebhookHangs(name+".example.com", e.Resource, 10*time.Second)))
		case Forbidden:
			faults = append(faults, byDaemon(objectstore.Forbid("fedsync", e.Resource)))
		case Throttled:
			faults = append(faults, byDaemon(objectstore.Throttle(time.Second)))
		case ServerError:
			faults = append(faults, byDaemon(objectstore.Fail(func(r *objectstore.Request) bool { return r.Resource.Resource != "" })))
		case Hanging:
			resource := e.Resource
			faults = append(faults, byDaemon(objectstore.On(
				func(r *objectstore.Request) bool { return r.Resource.Resource == resource && r.Writes() },
				func() objectstore.Action { return objectstore.Action{Hang: true} })))
		case LostAnswers:
			faults = append(faults, byDaemon(objectstore.On((*objectstore.Request).Writes,
				func() objectstore.Action { return objectstore.Action{LoseAnswer: true} })))
		}
	}
	store := s.stores[cluster]
	store.SetOutage(outage)
	store.SetFaults(faults...)
	store.SetRefusals(refusals...)
}

// byHand is the user agent and field manager of edits.
const byHand = "kubectl-edit"

// byDaemon spares the edits by hand, which a fault would make happen or not by
// chance.
func byDaemon(f objectstore.Fault) objectstore.Fault {
	return func(r *objectstore.Request) objectstore.Action {
		if r.Manager == byHand {
			return objectstore.Action{}
		}
		return f(r)
	}
}

// edit makes a change by hand. It may fail: what is not there, or out of reach,
// cannot be edited.
func (s *stage) edit(e Event) {
	prefix := map[string]string{
		"configmaps": "/api/v1", "services": "/api/v1", "replicasets": "/apis/apps/v1", "ingresses": "/apis/networking.k8s.io/v1",
	}[e.Change.Resource]
	path := fmt.Sprintf("http://store%s/namespaces/%s/%s/%s", prefix, Namespace, e.Change.Resource, e.Change.Name)
	method := http.MethodDelete
	if e.Change.Patch != "" {
		method = http.MethodPatch
	}
	if e.Change.Scale {
		path += "/scale"
	}
	ctx, cancel := context.WithTimeout(s.ctx, time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, path+"?fieldManager="+byHand, strings.NewReader(e.Change.Patch))
	if err != nil {
		panic(err) // the path is made of names
	}
	r.Header.Set("Content-Type", "application/merge-patch+json")
	answer, err := s.stores[e.Cluster].RoundTrip(r)
	if err != nil {
		return
	}
	_ = answer.Body.Close()
}
