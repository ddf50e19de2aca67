package apply

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/agenda"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/table"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// do carries out a task and records the result. It reports whether the rest of the
// agenda is still valid.
func (a *Applier) do(ctx context.Context, x *table.Task) (done bool) {
	switch x.Type {
	case agenda.Put:
		return a.put(ctx, x)
	case agenda.Park:
		a.park(ctx, x)
	case agenda.Remove:
		return a.remove(ctx, x)
	case agenda.Learn:
		a.learn(ctx, x)
	case agenda.FindNamespace:
		a.findNamespace(ctx, x)
	case agenda.Widen, agenda.Narrow:
		a.writeInventory(ctx, x)
	case agenda.Ask:
		a.ask(ctx, x)
	}
	return false
}

// put creates, applies or adopts one object.
func (a *Applier) put(ctx context.Context, x *table.Task) (done bool) {
	out, err := a.writer.Put(ctx, x.Known)
	if err != nil {
		a.fail(ctx, x, out, err)
		return false
	}
	return a.Applied(x, out)
}

// park moves a Service to free ports. This breaks the circle, so that the other
// Services can go first.
func (a *Applier) park(ctx context.Context, x *table.Task) {
	answer, err := a.writer.Park(ctx, x.Known, x.Used, x.Held)
	if err != nil {
		a.fail(ctx, x, write.Outcome{Verb: "apply"}, err)
		return
	}
	a.Parked(x, answer)
}

// fail records why an object could not be applied.
func (a *Applier) fail(ctx context.Context, x *table.Task, out write.Outcome, err error) {
	e := refusal.New(out.Verb, x.Known.Object.Ref, x.Known.Object.File, err)
	a.examine(ctx, x, e, err)
	if e.Class == refusal.ClassPortTaken {
		a.writer.NameHolder(ctx, e)
	}
	a.Failed(x, out, e)
}

// remove deletes one object and checks whether it is gone: an object with finalizers
// stays until their controllers have finished.
func (a *Applier) remove(ctx context.Context, x *table.Task) (done bool) {
	live, asked, err := a.writer.Delete(ctx, x.Deletion)
	switch {
	case apierrors.IsNotFound(err):
		return a.Removed(x, nil, asked)
	case err != nil:
		e := refusal.New("prune", x.Deletion.Ref, "", err)
		a.examine(ctx, x, e, err)
		a.NotRemoved(x, e)
		return false
	}
	return a.Removed(x, live, asked)
}

// learn asks how kinds are served. It asks again after a reset for kinds that the
// cluster does not serve, since the mapper's knowledge may be old.
func (a *Applier) learn(ctx context.Context, x *table.Task) {
	fresh := x.Fresh
	if fresh {
		a.Mapper.Reset()
	}
	answers := map[schema.GroupKind]table.Answer{}
	var failed error // of the whole discovery
	for gk, version := range x.Versions {
		if failed != nil {
			answers[gk] = table.Answer{Err: failed}
			continue
		}
		mapping, err := a.writer.Mapping(ctx, gk, version)
		if meta.IsNoMatchError(err) && !fresh {
			a.Mapper.Reset()
			fresh = true
			mapping, err = a.writer.Mapping(ctx, gk, version)
		}
		its := table.Answer{Mapping: mapping, Err: err}
		switch {
		case meta.IsNoMatchError(err):
			its.Served = a.writer.Served(ctx, gk)
		case err != nil:
			failed = err
		}
		answers[gk] = its
	}
	a.Learned(x, answers, ctx.Err() != nil)
}

// findNamespace reads a namespace, and creates it if it is missing and may be created.
// Where reading it is forbidden, the errors of the objects in it show whether it
// exists.
func (a *Applier) findNamespace(ctx context.Context, x *table.Task) {
	verb := "read"
	u, err := a.writer.Get(ctx, object.Namespaces, federation.ObjectRef{Name: x.Space})
	if apierrors.IsNotFound(err) && x.Create {
		verb = "create"
		u, err = a.writer.CreateNamespace(ctx, x.Space)
	}
	if err == nil {
		a.SawSpace(x, u)
		return
	}
	e := refusal.New(verb, federation.ObjectRef{Kind: "Namespace", Name: x.Space}, "", err)
	a.examine(ctx, x, e, err)
	if apierrors.IsNotFound(err) {
		a.SawSpace(x, nil)
		return
	}
	a.SpaceRefused(x, e)
}

// writeInventory makes an app's parent list what it should.
func (a *Applier) writeInventory(ctx context.Context, x *table.Task) {
	parent, err := a.writer.PutParent(ctx, x.App, x.Wish)
	if err == nil {
		a.WroteParent(x, parent)
		return
	}
	ref := federation.ObjectRef{Kind: "ConfigMap", Namespace: federation.SystemNamespace, Name: inventory.ParentName(a.Federation, x.App)}
	e := refusal.New(x.Wish.Verb(), ref, "", err)
	a.examine(ctx, x, e, err)
	a.ParentRefused(x, parent, e)
}

// ask checks whether the API server answers, when there is no other request to make.
func (a *Applier) ask(ctx context.Context, x *table.Task) {
	_, err := a.writer.Get(ctx, object.Namespaces, federation.ObjectRef{Name: federation.SystemNamespace})
	if err == nil {
		a.Heard()
		a.Asked(x, nil)
		return
	}
	e := refusal.New("read", federation.ObjectRef{Kind: "Namespace", Name: federation.SystemNamespace}, "", err)
	if e.Class != refusal.ClassUnreachable { // otherwise examine would get no answer either
		a.examine(ctx, x, e, err)
		e = nil
	}
	a.Asked(x, e)
}

// examine checks, after a request without an answer, whether the API server answers
// other requests. A hanging webhook delays only the objects that it reviews; a hanging
// API server delays the whole cluster. examine turns e into a timeout if the server
// answers other requests, and records the silence if it does not.
func (a *Applier) examine(ctx context.Context, x *table.Task, e *refusal.Error, cause error) {
	switch e.Class { //nolint:exhaustive // the others are answers
	case refusal.ClassUnreachable:
		if ctx.Err() != nil {
			return
		}
		if errors.Is(cause, context.DeadlineExceeded) && a.writer.Answers(ctx) {
			e.Class, e.RetryAfter = refusal.ClassTimeout, 0
			e.Err = errors.New("no answer within " + a.RequestTimeout.String() + ", although the API server answers other requests: a webhook may hang")
			e.Remedy = "check the webhooks for this kind: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations"
			return
		}
	case refusal.ClassThrottled, refusal.ClassCredentials:
	case refusal.ClassCanceled, refusal.ClassFenced:
		return
	default:
		a.Heard()
		return
	}
	a.Silent(x, e)
}
