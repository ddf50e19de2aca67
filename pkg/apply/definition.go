package apply

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/fedsync/fedsync/pkg/federation"
)

// definitionPatience bounds the wait for a CustomResourceDefinition to be
// established, and then for its kind to be discovered. What takes longer is
// applied at the next try.
const definitionPatience = 10 * time.Second

// definedKinds gives the kinds that the plan's own definitions bring.
func definedKinds(plan federation.ClusterPlan) map[schema.GroupKind]bool {
	out := map[schema.GroupKind]bool{}
	for _, app := range plan.Apps {
		for _, o := range app.Objects {
			if o.Ref.GroupKind() != definitionKind {
				continue
			}
			u := o.Unstructured()
			group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(u.Object, "spec", "names", "kind")
			out[schema.GroupKind{Group: group, Kind: kind}] = true
		}
	}
	return out
}

// awaitDefinitions waits until what was just applied is established.
func (p *pass) awaitDefinitions(ctx context.Context, wave []*desired) {
	ctx, cancel := context.WithTimeout(ctx, definitionPatience)
	defer cancel()
	each(ctx, p, wave, func(d *desired) {
		p.mu.Lock()
		rec := p.objects[d.ref]
		applied := rec != nil && rec.problem == nil && rec.live != nil
		p.mu.Unlock()
		if applied {
			// In vain: the objects of that kind tell.
			_ = p.awaitEstablished(ctx, d.ref.Name)
		}
	})
	p.mu.Lock()
	p.kindsNew = true
	p.mu.Unlock()
	p.resetKinds()
}

func (p *pass) awaitEstablished(ctx context.Context, name string) error {
	live, err := p.get(ctx, definitions, federation.ObjectRef{Name: name})
	if err != nil {
		return err
	}
	if isEstablished(live) {
		return nil
	}
	w, err := p.Client.Resource(definitions).Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector("metadata.name", name).String(),
		ResourceVersion: live.GetResourceVersion(),
	})
	if err != nil {
		return err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case event, ok := <-w.ResultChan():
			if !ok || event.Type == watch.Error {
				return errEnough
			}
			if u, ok := event.Object.(*unstructured.Unstructured); ok && isEstablished(u) {
				return nil
			}
		}
	}
}

func isEstablished(u *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Established" && m["status"] == "True" {
			return true
		}
	}
	return false
}

// awaitKind asks for a kind until the API server has discovered it: it does so a
// moment after the definition is established.
func (p *pass) awaitKind(ctx context.Context, gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	ctx, cancel := context.WithTimeout(ctx, definitionPatience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		p.resetKinds()
		mapping, err := p.mapping(gvk)
		if !meta.IsNoMatchError(err) {
			return mapping, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}
