package member

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/untrusted"
	fault "github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
)

var ingresses = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}

// showing is one Ingress whose status should show an address of fedsync's, or none.
type showing struct {
	ingress federation.Ingress // the live Ingress
	address string             // empty to remove ours
}

// refOf returns the reference of a live Ingress.
func refOf(i federation.Ingress) federation.ObjectRef {
	return federation.ObjectRef{Group: ingresses.Group, Kind: "Ingress", Namespace: i.Namespace, Name: i.Name}
}

// showings returns the statuses that differ from the plan and may be written, and those
// that another client writes. Only an Ingress with fedsync's class shows an address of
// fedsync's; any other belongs to another controller. One that Google's controller
// served is taken over when that controller has released it.
func showings(addresses map[federation.ObjectRef]string, live []federation.Ingress) (due, foreign []showing) {
	if addresses == nil {
		return nil, nil // nothing is known, so nothing changes
	}
	for _, i := range live {
		s := showing{ingress: i, address: addresses[refOf(i)]}
		ours := i.StatusBy.String() == federation.AddressManager
		switch {
		case !i.Ours:
		case s.address == "" && ours:
			due = append(due, s)
		case s.address == "" || i.ClassName != federation.ClassGlobal || i.GoogleHeld:
		case slices.Equal(i.Addresses, []string{s.address}):
		case i.StatusBy.IsZero() || ours || i.Google:
			due = append(due, s)
		default:
			foreign = append(foreign, s)
		}
	}
	return due, foreign
}

// An addresser writes the addresses of fedsync's load balancers into the statuses of a
// cluster's Ingresses. It makes one request for each that differs, and none while the
// watch has not yet shown the result of the last one.
type addresser struct {
	client   dynamic.Interface
	cluster  string
	mayWrite func() bool
	timeout  time.Duration // of one request
	log      *zap.Logger

	mu       sync.Mutex // protects the fields below
	sending  bool
	sent     map[federation.ObjectRef]sent      // results that the watch has not shown yet
	taken    map[federation.ObjectRef]time.Time // the Ingresses taken over from another writer, by when they were created
	foreign  []showing                          // of the last turn
	failed   map[federation.ObjectRef]error
	failures int       // of all requests, in a row
	at       time.Time // when the next request may be made
}

func newAddresser(client dynamic.Interface, cluster string, mayWrite func() bool, timeout time.Duration, log *zap.Logger) *addresser {
	return &addresser{
		client: client, cluster: cluster, mayWrite: mayWrite, timeout: timeout, log: log,
		sent:   map[federation.ObjectRef]sent{},
		taken:  map[federation.ObjectRef]time.Time{},
		failed: map[federation.ObjectRef]error{},
	}
}

// due takes the planned addresses and the live Ingresses. It returns what to send now,
// which then counts as under way, and when to call it again; zero means when something
// changes.
func (a *addresser) due(now time.Time, addresses map[federation.ObjectRef]string, live []federation.Ingress) (send []showing, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, foreign := showings(addresses, live)
	a.foreign = foreign
	wanted := map[federation.ObjectRef]bool{}
	for _, s := range all {
		ref := refOf(s.ingress)
		wanted[ref] = true
		switch before, waits := a.sent[ref]; {
		case waits && before.covers(s, now):
			// The watch will show it.
		case s.isTakeover() && a.hasTaken(s.ingress):
			a.foreign = append(a.foreign, s) // otherwise they would overwrite each other endlessly
		default:
			send = append(send, s)
		}
	}
	for ref := range a.failed {
		if !wanted[ref] {
			delete(a.failed, ref)
		}
	}
	for ref := range a.sent {
		if !wanted[ref] {
			delete(a.sent, ref)
		}
	}
	a.forget(live)
	switch {
	case len(send) == 0 || a.sending || !a.mayWrite():
		return nil, time.Time{}
	case now.Before(a.at):
		return nil, a.at
	}
	a.sending = true
	return send, time.Time{}
}

// hasTaken reports whether the status of this very Ingress was taken over before. The
// caller must hold a.mu.
func (a *addresser) hasTaken(i federation.Ingress) bool {
	created, taken := a.taken[refOf(i)]
	return taken && created.Equal(i.Created)
}

// forget drops the records of Ingresses that no longer exist. The caller must hold
// a.mu.
func (a *addresser) forget(live []federation.Ingress) {
	if len(a.taken) == 0 {
		return
	}
	there := map[federation.ObjectRef]bool{}
	for _, i := range live {
		there[refOf(i)] = true
	}
	maps.DeleteFunc(a.taken, func(ref federation.ObjectRef, _ time.Time) bool { return !there[ref] })
}

// text describes the request for the log.
func (s showing) text() string {
	if s.address == "" {
		return "address taken away"
	}
	return "address shown"
}

// isTakeover reports whether another client wrote the status.
func (s showing) isTakeover() bool {
	return !s.ingress.StatusBy.IsZero() && s.ingress.StatusBy.String() != federation.AddressManager
}

// unseenMax is how long a watch may take to show what was sent.
const unseenMax = 10 * time.Minute

// sent is a status that was written.
type sent struct {
	showing

	at time.Time
}

// covers reports whether another request would repeat this one: the Ingress is still
// seen in its previous state.
func (b sent) covers(s showing, now time.Time) bool {
	was, is := b.ingress, s.ingress
	return b.address == s.address && was.StatusBy == is.StatusBy && slices.Equal(was.Addresses, is.Addresses) &&
		was.Created.Equal(is.Created) && now.Before(b.at.Add(unseenMax))
}

// send writes statuses one after the other, until one fails for a reason that concerns
// the cluster.
func (a *addresser) send(ctx context.Context, all []showing) {
	for _, s := range all {
		if !a.mayWrite() || ctx.Err() != nil {
			break
		}
		err := a.write(ctx, s)
		if ctx.Err() != nil {
			break // the error does not concern the cluster
		}
		if a.answered(s, err) {
			break
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sending = false
}

// write sends one status. A separate field manager owns the address and nothing else,
// so that the address never counts as drift of the applied object.
func (a *addresser) write(ctx context.Context, s showing) error {
	balancer := map[string]any{}
	if s.address != "" {
		balancer["ingress"] = []any{map[string]any{"ip": s.address}}
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	_, err := a.client.Resource(ingresses).Namespace(s.ingress.Namespace).ApplyStatus(ctx, s.ingress.Name,
		&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": ingresses.GroupVersion().String(), "kind": "Ingress",
			"metadata": map[string]any{"namespace": s.ingress.Namespace, "name": s.ingress.Name},
			"status":   map[string]any{"loadBalancer": balancer},
		}}, metav1.ApplyOptions{FieldManager: federation.AddressManager, Force: true})
	return err
}

// answered records the result of a request, and reports whether further requests would
// fail too.
func (a *addresser) answered(s showing, err error) (stop bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ref := refOf(s.ingress)
	if err == nil || apierrors.IsNotFound(err) { // a deleted Ingress needs no status
		a.sent[ref] = sent{s, time.Now()}
		if err == nil && s.isTakeover() {
			a.taken[ref] = s.ingress.Created
		}
		delete(a.failed, ref)
		a.failures, a.at = 0, time.Time{}
		if err == nil {
			a.log.Info(s.text(), zap.Stringer("object", ref), zap.String("address", s.address))
		}
		return false
	}
	f := fault.Of(err)
	a.failed[ref] = err
	a.failures++
	a.at = time.Now().Add(f.Pause(a.failures))
	return f.Class != federation.FailureInvalid && f.Class != federation.FailureConflict
}

// retry ends the pause, because the cluster is back or its permissions may have
// changed.
func (a *addresser) retry() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failures, a.at = 0, time.Time{}
}

// isBusy reports whether anything is left from an earlier plan.
func (a *addresser) isBusy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.foreign)+len(a.failed)+len(a.sent) > 0
}

// findings returns a finding for each status that cannot be written.
func (a *addresser) findings() []federation.Finding {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []federation.Finding
	for _, s := range a.foreign {
		all = append(all, federation.Finding{
			ID: federation.FindingForeign, Severity: federation.SeverityWarning, Cluster: a.cluster, Object: refOf(s.ingress),
			Message: untrusted.New(fmt.Sprintf("status.loadBalancer is written by %q, so the address %s of fedsync's load balancer is not shown",
				s.ingress.StatusBy, s.address)),
			Remedy: untrusted.Textf("make it ignore Ingresses of class %s", federation.ClassGlobal),
		})
	}
	for ref, err := range a.failed {
		f := federation.Finding{
			ID: federation.FindingAddress, Severity: federation.SeverityWarning, Cluster: a.cluster, Object: ref,
			Message: untrusted.New("cannot write the address into its status: " + untrusted.Line(err.Error())),
			Remedy:  untrusted.Const("none: fedsync retries; the load balancer serves traffic anyway"),
		}
		if apierrors.IsForbidden(err) {
			f.ID = federation.FindingPermission
			f.Remedy = untrusted.Const("allow the verb patch on ingresses/status (networking.k8s.io); the load balancer serves traffic anyway")
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(x, y federation.Finding) int {
		return cmp.Or(x.Object.Compare(y.Object), cmp.Compare(x.ID, y.ID))
	})
	return all
}
