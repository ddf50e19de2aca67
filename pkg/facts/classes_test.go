package facts

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/watch"
)

var ourClaims = watch.Watch{Resource: claimsResource, LabelSelector: partOf}

func autoscaler(name, label, apiVersion, target, metadata string) string {
	return fmt.Sprintf(`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler,
		metadata: {namespace: web, name: %s, labels: {%s: %s}, %s},
		spec: {maxReplicas: 9, scaleTargetRef: {apiVersion: %s, %s}}}`, name, partOf, label, metadata, apiVersion, target)
}

func TestCollectorKnowsWhatAutoscalersScale(t *testing.T) {
	g := gather(t, nil)
	target := func(group, kind, name string) federation.ObjectRef {
		return federation.ObjectRef{Group: group, Kind: kind, Namespace: "web", Name: name}
	}
	ours := federation.Autoscaler{Namespace: "web", Name: "a", Ours: true, Target: target("apps", "Deployment", "shop")}
	keda := federation.Autoscaler{Namespace: "web", Name: "keda-hpa-cart", Owner: "ScaledObject/cart", Target: target("", "ReplicationController", "cart")}
	for _, step := range []struct {
		name  string
		do    func()
		known bool
		want  []federation.Autoscaler
	}{
		{"nothing yet", func() {}, false, nil},
		{"one of ours", func() {
			g.put(scalersWatch, autoscaler("a", "shop", "apps/v1", "kind: Deployment, name: shop", "annotations: {}"))
		}, false, []federation.Autoscaler{ours}},
		{"one that names nothing", func() {
			g.put(scalersWatch, autoscaler("b", "shop", "apps/v1", "kind: Deployment", "annotations: {}"))
		}, false, []federation.Autoscaler{ours}},
		{"one that something else made", func() {
			g.put(scalersWatch, autoscaler("keda-hpa-cart", "bakery", "v1", "kind: ReplicationController, name: cart",
				"ownerReferences: [{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, name: cart, uid: u, controller: true}]"))
			g.emit(scalersWatch, watch.Listed)
		}, true, []federation.Autoscaler{ours, keda}},
		{"it fails: what was known is kept", func() {
			g.fail(scalersWatch, federation.FailureServer, "no")
		}, true, []federation.Autoscaler{ours, keda}},
		{"it may not be watched any more", func() {
			g.fail(scalersWatch, federation.FailureForbidden, "no")
		}, false, []federation.Autoscaler{ours, keda}},
		{"another app is ours", func() {
			g.emit(scalersWatch, watch.Listed)
			g.ours["bakery"] = true
		}, true, []federation.Autoscaler{ours, func() federation.Autoscaler { k := keda; k.Ours = true; return k }()}},
		{"deleted", func() {
			g.remove(scalersWatch, autoscaler("a", "shop", "apps/v1", "kind: Deployment, name: shop", "annotations: {}"))
		}, true, []federation.Autoscaler{func() federation.Autoscaler { k := keda; k.Ours = true; return k }()}},
	} {
		step.do()
		got := g.now()
		if diff := cmp.Diff(step.want, got.Autoscalers); diff != "" || got.AutoscalersKnown != step.known {
			t.Errorf("%s: known %t, want %t; (-want +got):\n%s", step.name, got.AutoscalersKnown, step.known, diff)
		}
	}
}

func TestTheStatusOfAnAutoscalerChangesNoFact(t *testing.T) {
	g := gather(t, nil)
	one := func(rest string) string {
		return autoscaler("a", "shop", "apps/v1", "kind: Deployment, name: shop", rest)
	}
	g.put(scalersWatch, one("resourceVersion: '1'"))
	g.emit(scalersWatch, watch.Listed)
	before := g.changes.Load()
	g.put(scalersWatch, one("resourceVersion: '2'"))
	if got := g.changes.Load(); got != before {
		t.Errorf("%d changes, want none", got-before)
	}
}

func TestCollectorIsNotSettledBeforeAutoscalersWereListed(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(g *gathering)
		want bool
	}{
		"not yet":     {func(*gathering) {}, false},
		"listed":      {func(g *gathering) { g.emit(scalersWatch, watch.Listed) }, true},
		"refused":     {func(g *gathering) { g.fail(scalersWatch, federation.FailureForbidden, "no") }, true},
		"failed once": {func(g *gathering) { g.fail(scalersWatch, federation.FailureServer, "no") }, false},
		"fails for a while": {func(g *gathering) {
			g.Observe(watch.Event{Watch: scalersWatch, Type: watch.Failed, Err: &watch.Error{Watch: scalersWatch, Failure: federation.FailureServer, Failures: 2}})
		}, true},
	} {
		g := gather(t, nil)
		g.emit(servicesWatch, watch.Listed)
		g.emit(podsWatch, watch.Listed)
		c.do(g)
		if got := g.Settled(); got != c.want {
			t.Errorf("%s: Settled() = %t, want %t", name, got, c.want)
		}
	}
}

func pvc(name, label, rest string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: web, name: %s, labels: {%s: %s}}, %s}`, name, partOf, label, rest)
}

func TestCollectorWatchesStorageClassesWhileAClaimOfOursWaits(t *testing.T) {
	g := gather(t, nil)
	const waits, bound = "spec: {storageClassName: s}, status: {phase: Pending}", "spec: {storageClassName: s, volumeName: v}, status: {phase: Bound}"
	for _, step := range []struct {
		name string
		do   func()
		want bool
	}{
		{"nothing", func() {}, false},
		{"another's claim", func() { g.put(ourClaims, pvc("a", "bakery", waits)) }, false},
		{"ours is bound", func() { g.put(ourClaims, pvc("b", "shop", bound)) }, false},
		{"ours waits", func() { g.put(ourClaims, pvc("b", "shop", waits)) }, true},
		{"it is bound", func() { g.put(ourClaims, pvc("b", "shop", bound)) }, false},
		{"the other's is ours", func() { g.ours["bakery"] = true }, true},
		{"it is gone", func() { g.remove(ourClaims, pvc("a", "bakery", waits)) }, false},
	} {
		before := g.changes.Load()
		wanted := slices.Contains(g.Watches(), storageWatch)
		step.do()
		got := slices.Contains(g.Watches(), storageWatch)
		if got != step.want {
			t.Errorf("%s: StorageClasses are watched: %t, want %t", step.name, got, step.want)
		}
		if got != wanted && step.name != "the other's is ours" && g.changes.Load() == before {
			t.Errorf("%s: no notification that other watches are wanted", step.name)
		}
	}
}

func TestCollectorKnowsClasses(t *testing.T) {
	g := gather(t, nil)
	class := func(name, mode string) string {
		return fmt.Sprintf(`{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: %s}, provisioner: p, volumeBindingMode: %s}`, name, mode)
	}
	g.put(storageWatch, class("slow", "WaitForFirstConsumer"), class("fast", "Immediate"))
	g.emit(storageWatch, watch.Listed)
	g.put(classesWatch, `{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}`)
	f := g.now()
	if diff := cmp.Diff([]federation.StorageClass{{Name: "fast"}, {Name: "slow", WaitsForConsumer: true}}, f.StorageClasses); diff != "" || !f.StorageClassesKnown {
		t.Errorf("StorageClasses, known %t (-want +got):\n%s", f.StorageClassesKnown, diff)
	}
	if diff := cmp.Diff([]federation.IngressController{{Class: "nginx", Controller: "k8s.io/ingress-nginx"}}, f.IngressClasses); diff != "" || f.IngressClassesKnown {
		t.Errorf("IngressClasses, known %t (-want +got):\n%s", f.IngressClassesKnown, diff)
	}
	g.emit(storageWatch, watch.Stopped)
	if f := g.now(); f.StorageClassesKnown || len(f.StorageClasses) > 0 {
		t.Errorf("after the watch ended: known %t, %v", f.StorageClassesKnown, f.StorageClasses)
	}
}

func TestCollectorWatchesIngressClassesIfThereAreIngressesOfOurs(t *testing.T) {
	g := gather(t, nil)
	g.put(ingressesWatch, route("foreign", "bakery", ""))
	if slices.Contains(g.Watches(), classesWatch) {
		t.Error("IngressClasses are watched for a foreign Ingress")
	}
	g.put(ingressesWatch, route("echo", "shop", ""))
	if !slices.Contains(g.Watches(), classesWatch) {
		t.Error("IngressClasses are not watched")
	}
}

func TestCollectorReportsWorkloadsAppliedWithoutReplicas(t *testing.T) {
	entry := func(manager, operation, subresource, field string) string {
		return fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: web, name: shop, uid: u, labels: {%s: shop}, managedFields: [
			{manager: %s, operation: %s, apiVersion: apps/v1, subresource: '%s', fieldsType: FieldsV1, fieldsV1: {f:spec: {f:%s: {}}}}]}, spec: {replicas: 3}}`,
			partOf, manager, operation, subresource, field)
	}
	for object, want := range map[string]bool{
		entry("fedsync", "Apply", "", "replicas"):       false,
		entry("fedsync", "Apply", "", "paused"):         true,
		entry("fedsync", "Apply", "scale", "paused"):    false,
		entry("fedsync", "Update", "", "paused"):        false,
		entry("kubectl", "Apply", "", "paused"):         false,
		entry("kubectl", "Update", "scale", "replicas"): false,
	} {
		g := gather(t, nil)
		g.put(ourDeployments, entry("fedsync", "Apply", "", "replicas"))
		before := g.changes.Load()
		g.put(ourDeployments, object)
		if got := g.now().Workloads[0].Scaled; got != want {
			t.Errorf("Scaled = %t, want %t: %s", got, want, object)
		}
		if want && g.changes.Load() == before {
			t.Error("no notification that the fact has changed")
		}
	}
}
