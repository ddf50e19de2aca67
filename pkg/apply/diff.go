package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/fields"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Difference is what an apply would do with one object.
type Difference struct {
	Cluster string
	App     string
	Object  federation.ObjectRef
	File    string // within the repository; empty for an object that left it
	Action  federation.Action
	Fields  []fields.Difference
	Err     error // why it cannot be done or is not known
}

// String returns the difference in the style of a unified diff.
func (d Difference) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", d.Action, d.Object)
	if d.File != "" {
		fmt.Fprintf(&b, " (%s)", d.File)
	}
	if d.Err != nil {
		fmt.Fprintf(&b, "\n  ! %v", d.Err)
	}
	for _, f := range d.Fields {
		if f.Before != "" {
			fmt.Fprintf(&b, "\n- %s: %s", f.Path, f.Before)
		}
		if f.After != "" {
			fmt.Fprintf(&b, "\n+ %s: %s", f.Path, f.After)
		}
	}
	return b.String()
}

// Finding returns the finding for a difference that cannot be applied, and false for
// one that can.
func (d Difference) Finding() (federation.Finding, bool) {
	if d.Err == nil {
		return federation.Finding{}, false
	}
	if e, ok := errors.AsType[*refusal.Error](d.Err); ok {
		return e.Finding(d.Cluster, d.App), true
	}
	return federation.Finding{
		ID: federation.FindingRefused, Severity: federation.SeverityError, Cluster: d.Cluster, App: d.App,
		Object: d.Object, File: d.File, Message: untrusted.New(d.Err.Error()),
	}, true
}

// Diff returns what an apply of the plan would do. It asks the API server for dry runs
// and writes nothing. Unchanged objects are left out. Diff reads the inventory itself.
func (a *Applier) Diff(ctx context.Context, plan federation.ClusterPlan) ([]Difference, error) {
	return a.DiffLimited(ctx, plan, a.Concurrency)
}

// DiffLimited is Diff with at most so many concurrent requests, for callers that must
// not delay other work in the cluster. When ctx ends, it returns the error and the
// differences found so far.
func (a *Applier) DiffLimited(ctx context.Context, plan federation.ClusterPlan, most int) ([]Difference, error) {
	q := &question{Applier: a, plan: plan, definitions: object.DefinedKinds(plan), sets: map[string]bool{}}
	parents, err := a.writer.ReadParents(ctx)
	if err != nil {
		return nil, err
	}
	q.parents = parents
	for _, app := range plan.Apps {
		q.sets[inventory.PartOf(a.Federation, app.App)] = true
	}
	for app := range parents {
		q.sets[inventory.PartOf(a.Federation, app)] = true
	}
	wanted := map[federation.ObjectRef]bool{}
	var objects []*object.Desired
	broken := false
	for _, app := range plan.Apps {
		broken = broken || app.Broken
		for _, o := range app.Objects {
			d := &object.Desired{App: app.App, PartOf: inventory.PartOf(a.Federation, app.App), Adoption: app.Adoption, Object: o, Ref: o.Ref}
			if mapping, err := a.writer.Mapping(ctx, o.Ref.GroupKind(), o.Version); err == nil {
				d.Ref = object.Scoped(o.Ref, mapping)
			}
			wanted[d.Ref] = true
			objects = append(objects, d)
		}
		for _, w := range app.Withheld {
			wanted[w.Object] = true // it stays unchanged
		}
	}
	out := make([]Difference, len(objects))
	var asking errgroup.Group
	asking.SetLimit(most)
	for i, d := range objects {
		asking.Go(func() error {
			if q.silence() == nil && ctx.Err() == nil {
				out[i] = q.diff(ctx, d)
			}
			return nil
		})
	}
	_ = asking.Wait() // failures are in the differences
	if ctx.Err() != nil {
		return answered(out, context.Cause(ctx))
	}
	if err := q.silence(); err != nil {
		return nil, fmt.Errorf("dry run in cluster %s: %w", a.Cluster, err)
	}
	leaving, err := q.leaving(ctx, parents, wanted, broken)
	if err != nil {
		return nil, err
	}
	out = append(out, leaving...)
	out = slices.DeleteFunc(out, func(d Difference) bool { return d.Action == federation.ActionUnchanged })
	slices.SortFunc(out, func(x, y Difference) int { return x.Object.Compare(y.Object) })
	return out, nil
}

// answered returns the differences that were known when the time was up, and an error
// with their number.
func answered(all []Difference, cause error) ([]Difference, error) {
	var known []Difference
	unchanged := 0
	for _, d := range all {
		switch {
		case d.Object == (federation.ObjectRef{}), errors.Is(d.Err, context.Canceled), errors.Is(d.Err, context.DeadlineExceeded):
		case d.Action == federation.ActionUnchanged:
			unchanged++
		default:
			known = append(known, d)
		}
	}
	slices.SortFunc(known, func(x, y Difference) int { return x.Object.Compare(y.Object) })
	return known, fmt.Errorf("%d of %d objects were checked in time: %w", len(known)+unchanged, len(all), cause)
}

// question is one Diff.
type question struct {
	*Applier
	plan        federation.ClusterPlan
	definitions map[schema.GroupKind]federation.ObjectRef
	sets        map[string]bool // the part-of labels of our apps
	parents     map[string]*write.Parent

	mu     sync.Mutex // protects silent
	silent error      // set when the API server does not answer: no more requests
}

func (q *question) silence() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.silent
}

// leaving returns the objects of the inventories that no app wants and that would be
// deleted. Kinds that may not be listed are left out: none of their objects are pruned.
func (q *question) leaving(ctx context.Context, parents map[string]*write.Parent, wanted map[federation.ObjectRef]bool, broken bool) ([]Difference, error) {
	apps := map[string]string{} // the apps that prune, by their label
	kinds := map[schema.GroupKind]bool{}
	for _, app := range q.plan.Apps {
		if app.Broken || broken || app.Prune != federation.PruneAllowed || len(app.Withheld) > 0 || !parents[app.App].Exists() {
			continue
		}
		apps[inventory.PartOf(q.Federation, app.App)] = app.App
		maps.Copy(kinds, parents[app.App].Kinds)
	}
	var out []Difference
	for gk := range kinds {
		mapping, err := q.writer.Mapping(ctx, gk, "")
		if err != nil {
			continue
		}
		err = q.writer.Each(ctx, q.Client.Resource(mapping.Resource), metav1.ListOptions{LabelSelector: inventory.LabelPartOf}, func(u *unstructured.Unstructured) bool {
			v, ref := q.writer.Reader.Live(u), federation.RefOf(u)
			app, ours := apps[v.PartOf]
			if ours && !wanted[ref] && v.Owned && !v.Controlled && !v.Terminating && gk != object.NamespaceKind && !object.IsOurs(ref) && parents[app].Kinds[gk] {
				out = append(out, Difference{Cluster: q.Cluster, App: app, Object: ref, Action: federation.ActionPruned})
			}
			return true
		})
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list %s in cluster %s: %w", mapping.Resource.GroupResource(), q.Cluster, err)
		}
	}
	return out, nil
}

// diff asks what an apply of one object would do.
func (q *question) diff(ctx context.Context, d *object.Desired) Difference {
	out := Difference{Cluster: q.Cluster, App: d.App, Object: d.Object.Ref, File: d.Object.File}
	mapping, err := q.writer.Mapping(ctx, d.Ref.GroupKind(), d.Object.Version)
	_, defined := q.definitions[d.Ref.GroupKind()]
	if meta.IsNoMatchError(err) && defined {
		out.Action = federation.ActionCreated // the cluster does not know the kind until then
		out.Fields = fields.Compare(d.Ref.GroupKind(), nil, d.Unstructured().Object)
		return out
	}
	var live *unstructured.Unstructured
	if err == nil {
		live, err = q.writer.Get(ctx, mapping.Resource, d.Ref)
	}
	verb := "apply"
	switch {
	case apierrors.IsNotFound(err) && q.isOver(d):
		out.Action = federation.ActionUnchanged
		return out
	case apierrors.IsNotFound(err):
		live, out.Action, verb = nil, federation.ActionCreated, "create"
	case err != nil:
		return q.failDiff(ctx, out, verb, err)
	default:
		v := q.writer.Reader.Live(live)
		ours, err := q.writer.JudgeOwner(ctx, write.Known{Desired: d, Resource: mapping.Resource, Sets: q.sets}, live, v)
		switch {
		case err == nil && !ours && d.Adoption == federation.AdoptNever:
			return q.failDiff(ctx, out, verb, write.AlreadyExists(d))
		case err != nil:
			return q.failDiff(ctx, out, verb, err)
		}
		out.Action = federation.ActionConfigured
		if !ours {
			out.Action, verb = federation.ActionAdopted, "adopt"
		}
	}
	answer, err := q.writer.DryRun(ctx, d, mapping.Resource)
	if e := refusal.New(verb, d.Object.Ref, d.Object.File, err); err != nil && e.Class == refusal.ClassNamespace && live == nil && q.namespaceComes(d) {
		out.Fields = fields.Compare(d.Ref.GroupKind(), nil, d.Unstructured().Object)
		return out
	}
	if err != nil {
		return q.failDiff(ctx, out, verb, err)
	}
	if live == nil {
		out.Fields = fields.Compare(d.Ref.GroupKind(), nil, answer.Object)
		return out
	}
	out.Fields = fields.Compare(d.Ref.GroupKind(), live.Object, answer.Object)
	if out.Action == federation.ActionAdopted {
		out.Fields = append(out.Fields, releasedFields(answer, q.writer.Reader.People)...)
	}
	if len(out.Fields) == 0 && out.Action == federation.ActionConfigured {
		out.Action = federation.ActionUnchanged
	}
	return out
}

// releasedFields returns the fields that users' tools set and that adoption removes. A
// dry run of an apply leaves them in place.
func releasedFields(answer *unstructured.Unstructured, people ownership.People) []fields.Difference {
	var out []fields.Difference
	kind := answer.GroupVersionKind().GroupKind()
	for _, f := range people.Taken(answer) {
		d := fields.Difference{Path: f.Path, Before: fields.ValueOf(kind, f.Path, f.Value)}
		if f.Defaulted {
			d.After = "the default"
		}
		out = append(out, d)
	}
	return out
}

// isOver reports whether the object is a Job that ended with the rendering in Git, in
// any app. Such a Job is not created again.
func (q *question) isOver(d *object.Desired) bool {
	if d.Ref.GroupKind() != object.JobKind {
		return false
	}
	for _, p := range q.parents {
		if p.Exists() && p.Ended[inventory.EndedKey(d.Ref)].Digest == d.Object.Digest {
			return true
		}
	}
	return false
}

func (q *question) failDiff(ctx context.Context, out Difference, verb string, err error) Difference {
	e := refusal.New(verb, out.Object, out.File, err)
	switch e.Class { //nolint:exhaustive // the others concern this object only
	case refusal.ClassUnreachable:
		if ctx.Err() == nil && !q.writer.Answers(ctx) {
			q.mu.Lock()
			q.silent = err
			q.mu.Unlock()
		}
	case refusal.ClassPortTaken:
		q.writer.NameHolder(ctx, e)
	}
	out.Action, out.Err = federation.ActionFailed, e
	return out
}

// namespaceComes reports whether the apply itself would create the namespace.
func (q *question) namespaceComes(d *object.Desired) bool {
	if q.plan.CreateNamespaces || d.Ref.Namespace == federation.SystemNamespace {
		return true
	}
	for _, app := range q.plan.Apps {
		for _, o := range app.Objects {
			if o.Ref.GroupKind() == object.NamespaceKind && o.Ref.Name == d.Ref.Namespace {
				return true
			}
		}
	}
	return false
}
