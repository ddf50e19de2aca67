package apply

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

// pass is one Apply or Repair: what it was given and what has come of it so far.
// The Applier's mutex protects its fields too.
type pass struct {
	*Applier
	plan   federation.ClusterPlan
	repair bool
	apps   []*appPass
	broken bool // an app could not be rendered: what it would have is not known

	changes     []federation.Change
	notes       []federation.Finding // of this pass alone
	badSpaces   map[string]error     // why nothing can be made in these namespaces
	definitions map[schema.GroupKind]bool
	incomplete  bool
	retry       time.Duration
	drifted     bool
	kindsNew    bool
	kindsReset  bool
	unreachable error // the API server stopped answering: no more requests
}

// appPass is what a pass knows of one app.
type appPass struct {
	federation.AppPlan
	desired   []*desired
	blocked   error // why nothing is written for the app
	inventory bool  // the parent lists all that the app has
	anyFailed bool
	pruned    bool // nothing of the app is left that should not be
	findings  []federation.Finding
}

// withholds says whether an object is to be left as it is.
func (app *appPass) withholds(ref federation.ObjectRef) bool {
	return slices.ContainsFunc(app.Withheld, func(w federation.Withheld) bool { return w.Object == ref })
}

func (a *Applier) newPass(plan federation.ClusterPlan) *pass {
	return &pass{Applier: a, plan: plan, badSpaces: map[string]error{}, definitions: definedKinds(plan)}
}

// result sums up the pass, and leaves its findings standing.
func (p *pass) result() Result {
	p.mu.Lock()
	p.stand()
	p.ownFindings = nil
	if p.unreachable != nil {
		p.ownFindings = []federation.Finding{{
			// No answer is no failure yet: the report counts how long there is none.
			ID: "D03", Severity: federation.SeverityWarning, Cluster: p.Cluster,
			Message: "the API server does not answer: " + p.unreachable.Error(),
		}}
	}
	r := Result{
		Changes:  p.changes,
		Complete: !p.incomplete && p.unreachable == nil, RetryAfter: p.retry,
		Drifted: p.drifted, KindsChanged: p.kindsNew,
	}
	r.Notes = p.notes
	p.mu.Unlock()
	slices.SortFunc(r.Changes, func(a, b federation.Change) int { return a.Object.Compare(b.Object) })
	r.Findings = append(p.Findings(), r.Notes...)
	return r
}

// stand replaces the findings of the last Apply. A repair looks at a few objects
// alone, and adds what is new; p.mu is held.
func (p *pass) stand() {
	if !p.repair {
		clear(p.appFindings)
	}
	for _, app := range p.apps {
		for _, f := range app.findings {
			known := slices.ContainsFunc(p.appFindings[app.App], func(o federation.Finding) bool { return o.Key() == f.Key() })
			if !known {
				p.appFindings[app.App] = append(p.appFindings[app.App], f)
			}
		}
	}
}

// over says whether nothing more can be done in this pass.
func (p *pass) over(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		p.incomplete = true
		p.retry = minRetry(p.retry, retrySoon)
	}
	if p.fencedBy != "" {
		p.incomplete = true
	}
	return ctx.Err() != nil || p.unreachable != nil || p.fencedBy != ""
}

// each calls f for every item, so many at a time as the options say, and leaves
// the rest when there is no use in going on.
func each[T any](ctx context.Context, p *pass, items []T, f func(T)) {
	if len(items) == 1 {
		if !p.over(ctx) {
			f(items[0])
		}
		return
	}
	var g errgroup.Group
	g.SetLimit(p.Concurrency)
	for _, item := range items {
		g.Go(func() error {
			if !p.over(ctx) {
				f(item)
			}
			return nil
		})
	}
	_ = g.Wait() // none of them gives an error
}

func (p *pass) appOf(name string) *appPass {
	for _, app := range p.apps {
		if app.App == name {
			return app
		}
	}
	return &appPass{AppPlan: federation.AppPlan{App: name}}
}

// changed records what was done with an object.
func (p *pass) changed(d *desired, action federation.Action, drift string, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes = append(p.changes, federation.Change{
		Cluster: p.Cluster, App: d.app, Object: d.object.Ref, Action: action, Drift: drift, Took: took,
	})
	if action != federation.ActionUnchanged {
		p.Log.Info("object applied", zap.String("app", d.app), zap.Stringer("object", d.object.Ref),
			zap.String("action", string(action)), zap.String("drift", drift), zap.String("revision", p.plan.Revision.String()))
	}
}

// fail records why an object is not as it should be.
func (p *pass) fail(app *appPass, d *desired, err *Error) {
	p.failQuietly(app, d, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	rec := p.objects[d.ref]
	switch {
	case err.Class == ClassUnreachable || err.Class == ClassCanceled || err.Class == ClassFenced:
		// Says nothing of the object.
	case rec == nil:
		app.findings = append(app.findings, err.finding(p.Cluster, d.app))
	case err.Class != ClassFight: // that stands by itself
		rec.problem = err
	}
}

// failQuietly is fail without a finding of the object's own.
func (p *pass) failQuietly(app *appPass, d *desired, err *Error) {
	p.failed(app, err)
	switch err.Class { //nolint:exhaustive // the others speak of the object
	case ClassUnreachable, ClassCanceled, ClassFenced:
		return // no answer came: that says nothing of the object
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes = append(p.changes, federation.Change{
		Cluster: p.Cluster, App: d.app, Object: d.object.Ref, Action: federation.ActionFailed, Err: err,
	})
}

// failed records that something of the app could not be done.
func (p *pass) failed(app *appPass, err *Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	app.anyFailed = true
	p.incomplete = true
	p.retry = minRetry(p.retry, err.RetryAfter)
}

func (p *pass) note(app *appPass, f federation.Finding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	app.findings = append(app.findings, f)
}

// retryLater asks for another try when somebody may have mended the cluster.
func (p *pass) retryLater() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retry = minRetry(p.retry, retryLate)
}

// minRetry is the sooner of two times, where zero is never.
func minRetry(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// noAnswer looks, after a request that got none, whether the API server answers
// at all. A webhook that hangs holds up the objects that it judges, and an API
// server that hangs holds up the cluster.
func (p *pass) noAnswer(ctx context.Context, cause error) {
	if p.over(ctx) {
		return
	}
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, min(patience, p.RequestTimeout))
	defer cancel()
	_, err := p.Client.Resource(namespaces).Get(ctx, Namespace, metav1.GetOptions{})
	if err == nil || !isUnreachable(err) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unreachable == nil {
		p.unreachable = cause
		p.retry = minRetry(p.retry, retrySoon)
	}
}

// find gives the mapping of the object's kind, and sees to it that the object is
// known under the reference that the cluster uses. It waits for a kind that a
// definition of this plan brings.
func (p *pass) find(ctx context.Context, d *desired) (*meta.RESTMapping, error) {
	mapping, err := p.mapping(d.object.GVK())
	if meta.IsNoMatchError(err) {
		p.mu.Lock()
		reset := !p.kindsReset
		p.kindsReset = true
		p.mu.Unlock()
		switch {
		case p.definitions[d.ref.GroupKind()]:
			mapping, err = p.awaitKind(ctx, d.object.GVK())
		case reset:
			p.resetKinds()
			mapping, err = p.mapping(d.object.GVK())
		}
	}
	if err != nil {
		return nil, err
	}
	if ref := scoped(d.ref, mapping); ref != d.ref {
		p.mu.Lock()
		delete(p.desired, d.ref)
		d.ref = ref
		p.desired[ref] = d
		p.mu.Unlock()
	}
	return mapping, nil
}

// scoped is the reference with a namespace if, and only if, its kind has one.
func scoped(ref federation.ObjectRef, mapping *meta.RESTMapping) federation.ObjectRef {
	namespaced := mapping.Scope.Name() == meta.RESTScopeNameNamespace
	switch {
	case !namespaced:
		ref.Namespace = ""
	case ref.Namespace == "":
		ref.Namespace = metav1.NamespaceDefault
	}
	return ref
}

// get reads an object; a missing one is a NotFound error.
func (p *pass) get(ctx context.Context, gvr schema.GroupVersionResource, ref federation.ObjectRef) (*unstructured.Unstructured, error) {
	return request(ctx, p.Applier, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return p.Client.Resource(gvr).Namespace(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	})
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// errEnough says that an object keeps changing while we look.
var errEnough = errors.New("it keeps changing while it is read")
