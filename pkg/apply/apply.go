package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Result is what came of one Apply.
type Result struct {
	Changes  []federation.Change  // one per object that was looked at, sorted
	Findings []federation.Finding // all that stand now, as Findings gives them, and notes on this Apply
	Notes    []federation.Finding // the notes alone: what was adopted, and how to put it back
	// Complete says that the cluster is as the plan says.
	Complete bool
	// RetryAfter is when another Apply of the same plan may do better; zero
	// where only a new plan can. Backing off is the caller's.
	RetryAfter time.Duration
	// Drifted says that somebody changed objects meanwhile: Repair is due.
	Drifted bool
	// KindsChanged says that the cluster serves new kinds: ask Kinds again.
	KindsChanged bool
}

// Apply makes the cluster equal to the plan. It makes no request for an object
// whose rendering is what was last applied and that nobody changed. What fails
// is in the result; the rest is done nevertheless, but nothing of an app is
// pruned unless all its objects are applied.
func (a *Applier) Apply(ctx context.Context, plan federation.ClusterPlan) Result {
	release, err := a.take(ctx)
	if err != nil {
		return Result{RetryAfter: retrySoon, Findings: a.Findings()}
	}
	defer release()
	if _, fenced := a.Fenced(); fenced {
		return Result{Findings: a.Findings()}
	}
	p := a.newPass(plan)
	p.takePlan()
	p.claim(ctx)
	p.apply(ctx, p.pending())
	p.prune(ctx)
	p.narrow(ctx)
	return p.result()
}

// Repair puts right what somebody else changed: the given objects, or all that
// are due. It is what the last plan said of them that is applied.
func (a *Applier) Repair(ctx context.Context, refs ...federation.ObjectRef) Result {
	release, err := a.take(ctx)
	if err != nil {
		return Result{RetryAfter: retrySoon, Findings: a.Findings()}
	}
	defer release()
	if _, fenced := a.Fenced(); fenced {
		return Result{Findings: a.Findings()}
	}
	due, _ := a.Due(time.Now())
	if len(refs) > 0 {
		due = slices.DeleteFunc(due, func(ref federation.ObjectRef) bool { return !slices.Contains(refs, ref) })
	}
	p := a.newPass(federation.ClusterPlan{})
	p.repair = true
	p.keepPlan()
	p.claim(ctx)
	var todo []*desired
	for _, app := range p.apps {
		for _, d := range app.desired {
			if app.blocked == nil && slices.Contains(due, d.ref) {
				todo = append(todo, d)
			}
		}
	}
	p.apply(ctx, todo)
	return p.result()
}

// keepPlan takes the last plan again, for a Repair.
func (p *pass) keepPlan() {
	p.mu.Lock()
	p.plan.CreateNamespaces = p.createNamespaces
	byApp := map[string]*appPass{}
	for _, d := range p.desired {
		app := byApp[d.app]
		if app == nil {
			app = &appPass{AppPlan: federation.AppPlan{App: d.app, Prune: federation.PruneOff}}
			byApp[d.app] = app
			p.apps = append(p.apps, app)
		}
		app.desired = append(app.desired, d)
	}
	p.mu.Unlock()
	slices.SortFunc(p.apps, func(a, b *appPass) int { return strings.Compare(a.App, b.App) })
}

// takePlan makes the plan's objects the desired ones. An app that could not be
// rendered keeps those it had, and an object that is withheld stays as it was.
func (p *pass) takePlan() {
	kept := map[string][]*desired{}
	p.mu.Lock()
	for _, d := range p.desired {
		kept[d.app] = append(kept[d.app], d)
	}
	p.mu.Unlock()

	taken := map[federation.ObjectRef]*desired{}
	for _, plan := range p.plan.Apps {
		app := &appPass{AppPlan: plan}
		p.apps = append(p.apps, app)
		p.broken = p.broken || plan.Broken
		if plan.Broken {
			continue
		}
		for _, o := range plan.Objects {
			d := &desired{app: plan.App, partOf: PartOf(p.Federation, plan.App), adoption: plan.Adoption, object: o, ref: p.liveRef(o)}
			if other := taken[d.ref]; other != nil {
				p.fail(app, d, newError("apply", o.Ref, o.File, fmt.Errorf("app %s has it already, from %s", other.app, other.object.File)))
				continue
			}
			taken[d.ref] = d
			app.desired = append(app.desired, d)
		}
	}
	planned := map[string]bool{}
	for _, app := range p.apps {
		planned[app.App] = true
		for _, d := range kept[app.App] {
			if taken[d.ref] == nil && (app.Broken || app.withholds(d.object.Ref)) {
				taken[d.ref] = d
				app.desired = append(app.desired, d)
			}
		}
	}
	// An app that the plan does not speak of is left as it is, and maintained.
	for name, objects := range kept {
		for _, d := range objects {
			if !planned[name] && taken[d.ref] == nil {
				taken[d.ref] = d
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.desired = taken
	p.createNamespaces = p.plan.CreateNamespaces
	for _, app := range p.plan.Apps {
		p.Applier.apps[PartOf(p.Federation, app.App)] = app.App
	}
}

// liveRef is the object's reference as the cluster will know it: with a namespace
// if, and only if, its kind has one.
func (p *pass) liveRef(o *federation.Object) federation.ObjectRef {
	ref := o.Ref
	mapping, err := p.mapping(o.GVK())
	if err != nil {
		return ref // seen to when it is applied
	}
	return scoped(ref, mapping)
}

// claim makes sure of every app's parent before the app's first write.
func (p *pass) claim(ctx context.Context) {
	each(ctx, p, p.apps, func(app *appPass) {
		if len(app.desired) == 0 && !p.hasParent(app.App) {
			return // an app of which there is nothing and shall be nothing
		}
		kinds, spaces := map[schema.GroupKind]bool{}, map[string]bool{}
		for _, d := range app.desired {
			kinds[d.ref.GroupKind()] = true
			if d.ref.Namespace != "" && d.ref.Namespace != Namespace {
				spaces[d.ref.Namespace] = true
			}
		}
		err := p.writeParent(ctx, app.App, kinds, spaces, false)
		if err == nil {
			app.inventory = true
			return
		}
		e := newError("claim", federation.ObjectRef{Kind: "ConfigMap", Namespace: Namespace, Name: ParentName(p.Federation, app.App)}, "", err)
		if e.leavesNoInventory() {
			// Better applied without an inventory than not at all.
			f := e.finding(p.Cluster, app.App)
			f.ID, f.Severity = "inventory", federation.SeverityWarning
			f.Message = "no inventory can be kept, so nothing is pruned: " + e.Err.Error()
			f.Remedy = "allow fedsync to create the namespace " + Namespace + " and to write ConfigMaps in it"
			p.note(app, f)
			p.retryLater()
			return
		}
		app.blocked = e
		p.note(app, e.finding(p.Cluster, app.App))
		p.failed(app, e)
	})
}

func (p *pass) hasParent(app string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	parent := p.parents[app]
	return parent != nil && parent.version != ""
}

// pending gives the objects that need a request.
func (p *pass) pending() []*desired {
	var todo []*desired
	for _, app := range p.apps {
		if app.blocked != nil {
			continue
		}
		for _, d := range app.desired {
			switch p.decide(d) {
			case asWanted:
				p.changed(d, federation.ActionUnchanged, "", 0)
			case givenUp:
				p.mu.Lock()
				e := p.objects[d.ref].fight.error(d)
				p.mu.Unlock()
				p.fail(app, d, e)
			case toDo:
				todo = append(todo, d)
			}
		}
	}
	return todo
}

type decision int

const (
	toDo decision = iota
	asWanted
	givenUp // a fight goes on
)

// decide says whether an object needs a request, from what is known.
func (p *pass) decide(d *desired) decision {
	p.mu.Lock()
	rec := p.objects[d.ref]
	if rec == nil {
		p.mu.Unlock()
		return toDo
	}
	rec.settle(d.want())
	if rec.stopped(time.Now()) {
		p.mu.Unlock()
		return givenUp
	}
	if rec.live == nil || rec.drift != nil || rec.want != "" {
		unchanged := rec.live != nil && rec.drift == nil && rec.want == d.want()
		if unchanged {
			rec.problem = nil
		}
		p.mu.Unlock()
		if unchanged {
			return asWanted
		}
		return toDo
	}
	live := *rec.live
	p.mu.Unlock()

	// Seen for the first time in this run: is it what Git says?
	if live.partOf != d.partOf || !p.hasher.says(live, d.unstructured().Object) {
		return toDo
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if rec.live == nil || rec.live.version != live.version || rec.inFlight {
		return toDo // it changed just now
	}
	rec.base, rec.want, rec.problem = &live, d.want(), nil
	return asWanted
}

// apply brings the objects to the cluster in waves.
func (p *pass) apply(ctx context.Context, todo []*desired) {
	if len(todo) == 0 {
		return
	}
	p.checkNamespaces(ctx, todo)
	for _, wave := range waves(todo) {
		if p.over(ctx) {
			return
		}
		switch wave[0].ref.GroupKind() {
		case serviceKind:
			p.applyServices(ctx, wave)
		case definitionKind:
			each(ctx, p, wave, func(d *desired) { p.put(ctx, d) })
			p.awaitDefinitions(ctx, wave)
		default:
			each(ctx, p, wave, func(d *desired) { p.put(ctx, d) })
		}
	}
}

// checkNamespaces makes or misses the namespaces of the objects that are to be
// applied, where none of our objects shows that they are there.
func (p *pass) checkNamespaces(ctx context.Context, todo []*desired) {
	unknown := map[string]string{} // to an app that needs it
	p.mu.Lock()
	inUse := map[string]bool{}
	for ref, rec := range p.objects {
		if rec.live != nil {
			inUse[ref.Namespace] = true
		}
	}
	for _, d := range todo {
		name := d.ref.Namespace
		exists, known := p.spaces[name]
		if name == "" || exists || !known && inUse[name] {
			continue
		}
		if p.desired[federation.ObjectRef{Kind: "Namespace", Name: name}] == nil {
			unknown[name] = d.app
		}
	}
	p.mu.Unlock()
	each(ctx, p, sortedKeys(unknown), func(name string) {
		// fedsync-system is made even where others are not to be.
		err := p.checkNamespace(ctx, name, p.plan.CreateNamespaces || name == Namespace)
		p.mu.Lock()
		p.spaces[name] = err == nil
		if err != nil {
			p.badSpaces[name] = err
		}
		p.mu.Unlock()
		if err != nil {
			app := p.appOf(unknown[name])
			p.note(app, newError("read", federation.ObjectRef{Kind: "Namespace", Name: name}, "", err).finding(p.Cluster, app.App))
		}
	})
}

// narrow takes out of the parents' lists what their apps no longer have.
func (p *pass) narrow(ctx context.Context) {
	each(ctx, p, p.apps, func(app *appPass) {
		if !app.pruned || p.over(ctx) {
			return
		}
		kinds, spaces := map[schema.GroupKind]bool{}, map[string]bool{}
		for _, d := range app.desired {
			kinds[d.ref.GroupKind()] = true
			if d.ref.Namespace != "" && d.ref.Namespace != Namespace {
				spaces[d.ref.Namespace] = true
			}
		}
		var err error
		if len(app.desired) == 0 {
			err = p.deleteParent(ctx, app.App)
		} else {
			err = p.writeParent(ctx, app.App, kinds, spaces, true)
		}
		if err != nil {
			e := newError("narrow", federation.ObjectRef{Kind: "ConfigMap", Namespace: Namespace, Name: ParentName(p.Federation, app.App)}, "", err)
			if errors.Is(err, errFenced) {
				return
			}
			p.note(app, e.finding(p.Cluster, app.App))
			p.failed(app, e)
		}
	})
}
