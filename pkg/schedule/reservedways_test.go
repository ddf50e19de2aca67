package schedule

import (
	"fmt"
	"maps"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

// reservedWays are the ways in which an object of any kind may claim what is
// fedsync's own, by what they change in it.
func reservedWays() map[string]func(metadata map[string]any) {
	ways := map[string]func(map[string]any){
		"in the namespace": func(m map[string]any) { m["namespace"] = ReservedNamespace },
	}
	for _, name := range []string{"fedsync-web-a", "kept-0123456789abcdef01234567", "fedsync-claim-web", "fedsync-other-b"} {
		ways["as "+name] = func(m map[string]any) { m["namespace"], m["name"] = ReservedNamespace, name }
	}
	mark := func(field, key string, value any) func(map[string]any) {
		return func(m map[string]any) { m[field] = map[string]any{"a": "b", key: value} }
	}
	for _, key := range []string{
		"fedsync.dev/kept", "fedsync.dev/federation", "fedsync.dev/proves", "fedsync.dev/app", "fedsync.dev/source", "fedsync.dev/instance",
		"fedsync.dev/object", "fedsync.dev/expires", "fedsync.dev/created-by", "fedsync.dev/anything", "fedsync.dev/",
		"applyset.kubernetes.io/id", "applyset.kubernetes.io/tooling", "applyset.kubernetes.io/contains-group-kinds",
		"applyset.kubernetes.io/additional-namespaces",
	} {
		for _, field := range []string{"labels", "annotations"} {
			ways[field+" "+key] = mark(field, key, "x")
			ways[field+" "+key+", null"] = mark(field, key, nil)
		}
	}
	ways["a label beside annotations that are none"] = func(m map[string]any) {
		m["labels"], m["annotations"] = map[string]any{"fedsync.dev/kept": "true"}, "x"
	}
	ways["a label beside one in another case"] = func(m map[string]any) {
		m["labels"], m["label\u017f"] = map[string]any{"fedsync.dev/kept": "true"}, nil
	}
	return ways
}

// Every kind is tried in every way, under every policy: none is planned, and each has
// its finding. What only looks like it is planned.
func TestNoKindClaimsInAnyWayWhatIsFedsyncsOwn(t *testing.T) {
	kinds := [][2]string{
		{"v1", "ConfigMap"},
		{"v1", "Secret"},
		{"v1", "Service"},
		{"v1", "ServiceAccount"},
		{"v1", "Pod"},
		{"v1", "Namespace"},
		{"apps/v1", "ReplicaSet"},
		{"apps/v1", "Deployment"},
		{"batch/v1", "Job"},
		{"coordination.k8s.io/v1", "Lease"},
		{"networking.k8s.io/v1", "Ingress"},
		{"rbac.authorization.k8s.io/v1", "RoleBinding"},
		{"rbac.authorization.k8s.io/v1", "ClusterRole"},
		{"example.org/v9", "Thing"},
		{"fedsync.dev/v1alpha1", "Federation"},
	}
	allowed := map[string]func(map[string]any){
		"nothing":                       func(map[string]any) {},
		"a namespace that begins so":    func(m map[string]any) { m["namespace"] = ReservedNamespace + "-2" },
		"names as fedsync's, elsewhere": func(m map[string]any) { m["name"] = "fedsync-web-a" },
		"what is overwritten":           func(m map[string]any) { m["labels"] = map[string]any{"applyset.kubernetes.io/part-of": "x"} },
		"what is kubectl's":             func(m map[string]any) { m["labels"] = map[string]any{"applyset.kubernetes.io/is-parent-type": "true"} },
		"another's prefix": func(m map[string]any) {
			m["labels"] = map[string]any{"bench.fedsync.dev/round": "1", "fedsync.develop/x": "1"}
		},
		"other annotations": func(m map[string]any) {
			m["annotations"] = map[string]any{"x.fedsync.dev/kept": "1", "note": "fedsync.dev/kept"}
		},
	}
	for _, setting := range []string{federation.AnnotationAddress, federation.AnnotationPrune, federation.AnnotationRedirect, federation.AnnotationMaxRate} {
		allowed["the setting "+setting] = func(m map[string]any) { m["annotations"] = map[string]any{setting: "x"} }
	}
	ways := reservedWays()
	all := maps.Clone(ways)
	maps.Copy(all, allowed)
	for _, kind := range kinds {
		t.Run(kind[1], func(t *testing.T) {
			in := world(t, 3)
			bundle := &in.Bundles[1]
			names, want := map[federation.ObjectRef]string{}, map[federation.ObjectRef]bool{}
			for way, change := range all {
				metadata := map[string]any{"name": "n", "namespace": "web"}
				change(metadata)
				metadata["name"] = fmt.Sprintf("%s-%d", metadata["name"], len(names)) // none stands twice
				o, err := federation.NewObject(map[string]any{"apiVersion": kind[0], "kind": kind[1], "metadata": metadata}, "apps/a/x.yaml")
				if err != nil {
					t.Fatal(err)
				}
				bundle.Objects = append(bundle.Objects, o)
				names[o.Ref], want[o.Ref] = way, ways[way] != nil
			}
			for _, policy := range []Policy{{}, {Namespaces: []string{"web", ReservedNamespace, ReservedNamespace + "-2", "n"}}} {
				in.Policy = policy
				planned, found := outcomes(New().Plan(in), 1)
				for ref, way := range names {
					if policy.Namespaces != nil && kind[1] == "Namespace" && !want[ref] {
						continue // the policy has its own word on them
					}
					if found[ref] != want[ref] || planned[ref] == want[ref] {
						t.Errorf("%s (%s): refused %t, planned %t; want it refused: %t", way, ref, found[ref], planned[ref], want[ref])
					}
				}
			}
		})
	}
}

// outcomes returns which objects a plan has in a cluster, and which it refuses as
// fedsync's own.
func outcomes(plan federation.Plan, cluster int) (planned, refused map[federation.ObjectRef]bool) {
	planned, refused = map[federation.ObjectRef]bool{}, map[federation.ObjectRef]bool{}
	for _, app := range plan.Clusters[cluster].Apps {
		for _, o := range app.Objects {
			planned[o.Ref] = true
		}
	}
	for _, f := range plan.Findings {
		if f.ID == "reserved" {
			refused[f.Object] = true
		}
	}
	return planned, refused
}
