package schedule

import (
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestWhatIsFedsyncsOwnIsRefusedWhateverThePolicySays(t *testing.T) {
	object := func(apiVersion, kind, namespace, name string, labels map[string]any) map[string]any {
		metadata := map[string]any{"name": name}
		if namespace != "" {
			metadata["namespace"] = namespace
		}
		if labels != nil {
			metadata["labels"] = labels
		}
		return map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}
	}
	template := object("apps/v1", "StatefulSet", "web", "a", nil)
	template["spec"] = map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"fedsync.dev/kept": "true"}}}}
	annotated := object("v1", "ConfigMap", "web", "a", nil)
	annotated["data"] = map[string]any{"text": "metadata: {labels: {fedsync.dev/kept: x}}"}
	for name, c := range map[string]struct {
		content map[string]any
		refused string // part of the message; empty if it is allowed
	}{
		"the inventory":              {object("v1", "ConfigMap", "fedsync-system", "fedsync-web-a", nil), "namespace fedsync-system"},
		"what was kept":              {object("v1", "Secret", "fedsync-system", "kept-1", nil), "namespace fedsync-system"},
		"the claim":                  {object("coordination.k8s.io/v1", "Lease", "fedsync-system", "fedsync-claim-web", nil), "namespace fedsync-system"},
		"rights in the namespace":    {object("rbac.authorization.k8s.io/v1", "RoleBinding", "fedsync-system", "x", nil), "namespace fedsync-system"},
		"a kind that nobody knows":   {object("example.org/v9", "Thing", "fedsync-system", "x", nil), "namespace fedsync-system"},
		"the namespace":              {object("v1", "Namespace", "", "fedsync-system", nil), "namespace fedsync-system"},
		"the namespace, in itself":   {object("v1", "Namespace", "fedsync-system", "web", nil), "namespace fedsync-system"},
		"a parent elsewhere":         {object("v1", "ConfigMap", "web", "a", map[string]any{"applyset.kubernetes.io/id": "applyset-x-v1"}), "label applyset.kubernetes.io/id"},
		"kept, elsewhere":            {object("v1", "Secret", "web", "a", map[string]any{"fedsync.dev/kept": "true"}), "label fedsync.dev/kept"},
		"of a federation, elsewhere": {object("v1", "ConfigMap", "web", "a", map[string]any{"app": "a", "fedsync.dev/federation": "web"}), "label fedsync.dev/federation"},
		"a label without a value":    {object("v1", "Namespace", "", "web", map[string]any{"fedsync.dev/kept": nil}), "label fedsync.dev/kept"},
		"a label that is overwritten": {object("v1", "ConfigMap", "web", "a", map[string]any{
			"applyset.kubernetes.io/part-of": "applyset-x-v1",
		}), ""},
		"another namespace":           {object("v1", "ConfigMap", "fedsync-system-2", "a", nil), ""},
		"another kind of that name":   {object("example.org/v1", "Namespace", "", "fedsync-system", nil), ""},
		"the label of a pod template": {template, ""},
		"the label in a text":         {annotated, ""},
		"a Namespace like any other":  {object("v1", "Namespace", "", "web", nil), ""},
	} {
		for policyName, policy := range map[string]Policy{"": {}, ", allowed by the operator": {
			Namespaces: []string{"fedsync-system", "fedsync-system-2", "web", ""},
			Kinds:      []string{"ConfigMap", "Secret", "Lease", "Thing", "Namespace", "RoleBinding", "Deployment"},
		}} {
			if policy.Kinds != nil && c.refused == "" {
				continue // what a policy allows has tests of its own
			}
			t.Run(name+policyName, func(t *testing.T) {
				o, err := federation.NewObject(c.content, "apps/a/x.yaml")
				if err != nil {
					t.Fatal(err)
				}
				in := world(t, 3)
				in.Bundles[1].Objects = append(in.Bundles[1].Objects, o)
				before := len(in.Bundles[1].Objects)
				in.Policy = policy
				s := New()
				for range 2 { // the second plan knows the bundle
					plan := s.Plan(in)
					var found []federation.Finding
					for _, f := range plan.Findings {
						if f.ID == "reserved" {
							found = append(found, f)
						}
					}
					planned := false
					for _, cluster := range plan.Clusters {
						for _, app := range cluster.Apps {
							for _, object := range app.Objects {
								planned = planned || object.Ref == o.Ref
							}
							if c.refused != "" && app.App == in.Bundles[1].App && app.Prune == federation.PruneAllowed {
								t.Error("an app of which an object is refused may be pruned")
							}
						}
					}
					switch {
					case c.refused == "":
						if len(found) > 0 || !planned {
							t.Errorf("planned: %t, findings %v, want the object planned", planned, found)
						}
					case planned || len(found) != 1:
						t.Errorf("planned: %t, findings %v, want one finding instead", planned, found)
					case found[0].Object != o.Ref || found[0].File != "apps/a/x.yaml" || !strings.Contains(found[0].Message.String(), c.refused) ||
						found[0].Severity != federation.SeverityError || found[0].Remedy.IsZero():
						t.Errorf("finding %+v, want one that names object, file and %q", found[0], c.refused)
					}
				}
				if len(in.Bundles[1].Objects) != before {
					t.Error("the bundle was changed, which others share")
				}
			})
		}
	}
}
