package history

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/objectstore"
)

// Namespace is the namespace of objects of pushes whose manifests name none.
const Namespace = "default"

// InMemory returns clusters in memory, by name.
func InMemory(ctx context.Context, stores map[string]*objectstore.Store) map[string]Cluster {
	clusters := map[string]Cluster{}
	for name, store := range stores {
		clusters[name] = &memory{ctx: ctx, store: store, backups: map[int]objectstore.Backup{}}
	}
	return clusters
}

// memory is a cluster in memory.
type memory struct {
	ctx     context.Context //nolint:containedctx // of one call of Play
	store   *objectstore.Store
	backups map[int]objectstore.Backup
}

// Backup implements [Cluster].
func (m *memory) Backup(number int) { m.backups[number] = m.store.Backup() }

// Restore implements [Cluster].
func (m *memory) Restore(number int) { m.store.Restore(m.backups[number]) }

// Suffer implements [Cluster].
func (m *memory) Suffer(all []Event) {
	outage := objectstore.OutageNone
	var faults []objectstore.Fault
	var refusals []objectstore.Refusal
	for _, e := range all {
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
	m.store.SetOutage(outage)
	m.store.SetFaults(faults...)
	m.store.SetRefusals(refusals...)
}

// ByHand is the user agent and field manager of edits.
const ByHand = "kubectl-edit"

// byDaemon restricts a fault to requests of the daemon. If it also affected edits by
// hand, chance would decide whether they happen.
func byDaemon(f objectstore.Fault) objectstore.Fault {
	return func(r *objectstore.Request) objectstore.Action {
		if r.Manager == ByHand {
			return objectstore.Action{}
		}
		return f(r)
	}
}

// Edit implements [Cluster].
func (m *memory) Edit(c Change) {
	prefix := map[string]string{
		"configmaps": "/api/v1", "services": "/api/v1", "replicasets": "/apis/apps/v1", "ingresses": "/apis/networking.k8s.io/v1",
	}[c.Resource]
	path := fmt.Sprintf("http://store%s/namespaces/%s/%s/%s", prefix, Namespace, c.Resource, c.Name)
	method := http.MethodDelete
	if c.Patch != "" {
		method = http.MethodPatch
	}
	if c.Scale {
		path += "/scale"
	}
	ctx, cancel := context.WithTimeout(m.ctx, time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, path+"?fieldManager="+ByHand, strings.NewReader(c.Patch))
	if err != nil {
		panic(err) // impossible: the path is made of valid names
	}
	r.Header.Set("Content-Type", "application/merge-patch+json")
	answer, err := m.store.RoundTrip(r)
	if err != nil {
		return
	}
	_ = answer.Body.Close()
}
