package doctor

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/access"
	"github.com/fedsync/fedsync/pkg/federation"
)

func TestPermissionsAreAskedForWhatThePlanNeeds(t *testing.T) {
	apps := schema.GroupVersion{Group: "apps", Version: "v1"}
	rbac := schema.GroupVersion{Group: "rbac.authorization.k8s.io", Version: "v1"}
	networking := schema.GroupVersion{Group: "networking.k8s.io", Version: "v1"}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{apps, rbac, networking})
	mapper.Add(apps.WithKind("ReplicaSet"), meta.RESTScopeNamespace)
	mapper.Add(rbac.WithKind("ClusterRole"), meta.RESTScopeRoot)
	mapper.Add(networking.WithKind("Ingress"), meta.RESTScopeNamespace)
	pods := func(namespace, name string) federation.ObjectRef {
		return federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: namespace, Name: name}
	}
	route := func(namespace string) federation.ObjectRef {
		return federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: namespace, Name: "e"}
	}
	p := &permissions{kinds: map[schema.GroupKind]schema.GroupResource{}}
	asked, err := p.questions(mapper, federation.ClusterPlan{CreateNamespaces: true, Apps: []federation.AppPlan{{
		Objects: []*federation.Object{
			{Ref: pods("web", "a")},
			{Ref: pods("web", "b")},
			{Ref: federation.ObjectRef{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "c"}},
			{Ref: federation.ObjectRef{Group: "example.com", Kind: "Unknown", Namespace: "web", Name: "d"}},
			{Ref: route("ours"), JSON: []byte(`{"spec": {"ingressClassName": "fedsync-global"}}`)},
			{Ref: route("nginx"), JSON: []byte(`{"spec": {"ingressClassName": "nginx"}}`)},
		},
		Withheld: []federation.Withheld{{Object: pods("other", "e")}},
	}}}, true)
	if err != nil {
		t.Fatal(err)
	}
	got := verbsByPlace(asked)
	want := map[string][]string{
		"leases.coordination.k8s.io fedsync-system":                {"get", "list", "watch", "create", "update"},
		"configmaps fedsync-system":                                {"get", "list", "watch", "create", "patch", "delete"},
		"secrets fedsync-system":                                   {"create", "get", "list", "delete"},
		"namespaces (cluster)":                                     {"list", "watch", "get", "create"},
		"customresourcedefinitions.apiextensions.k8s.io (cluster)": {"list", "watch"},
		"services (all)":                                           {"list", "watch"},
		"replicasets.apps (all)":                                   {"list", "watch"},
		"replicasets.apps web":                                     {"get", "create", "patch", "delete"},
		"replicasets.apps other":                                   {"get", "create", "patch", "delete"},
		"ingresses.networking.k8s.io (all)":                        {"list", "watch"},
		"ingresses.networking.k8s.io ours":                         {"get", "create", "patch", "delete"},
		"ingresses.networking.k8s.io nginx":                        {"get", "create", "patch", "delete"},
		"ingresses.networking.k8s.io/status ours":                  {"patch"},
		"clusterroles.rbac.authorization.k8s.io (cluster)":         {"get", "create", "patch", "delete", "list", "watch"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}

	careful := federation.ClusterPlan{Apps: []federation.AppPlan{{
		Adoption: federation.AdoptNever, Prune: federation.PruneOff,
		Objects: []*federation.Object{{Ref: pods("web", "a")}},
	}}}
	for _, hasNamespace := range []bool{true, false} {
		asked, err := p.questions(mapper, careful, hasNamespace)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]string{
			"leases.coordination.k8s.io fedsync-system":                {"get", "list", "watch", "create", "update"},
			"namespaces (cluster)":                                     {"list", "watch"},
			"customresourcedefinitions.apiextensions.k8s.io (cluster)": {"list", "watch"},
			"configmaps fedsync-system":                                {"get", "list", "watch", "create", "patch", "delete"},
			"services (all)":                                           {"list", "watch"},
			"replicasets.apps (all)":                                   {"list", "watch"},
			"replicasets.apps web":                                     {"get", "create", "patch"},
			"namespaces kube-system":                                   {"get"},
		}
		if !hasNamespace {
			want["namespaces (cluster)"] = []string{"list", "watch", "create"}
		}
		if diff := cmp.Diff(want, verbsByPlace(asked)); diff != "" {
			t.Errorf("questions without prune and adoption, our namespace there: %v (-want +got):\n%s", hasNamespace, diff)
		}
	}
}

func verbsByPlace(asked []access.Right) map[string][]string {
	got := map[string][]string{} // verbs by what they are asked of
	for _, a := range asked {
		place := a.Namespace + a.Name
		switch {
		case a.Cluster && a.Name == "":
			place = "(cluster)"
		case place == "":
			place = "(all)"
		}
		what := a.What() + " " + place
		got[what] = append(got[what], a.Verb)
	}
	return got
}

func TestMissingRoleExplainsWhatItForbids(t *testing.T) {
	replicaSets := schema.GroupResource{Group: "apps", Resource: "replicasets"}
	p := &permissions{
		cluster: "asia",
		denied:  map[schema.GroupResource]bool{replicaSets: true},
		kinds: map[schema.GroupKind]schema.GroupResource{
			{Group: "apps", Kind: "ReplicaSet"}: replicaSets,
			{Kind: "Service"}:                   {Resource: "services"},
		},
	}
	object := federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "web", Name: "nginx"}
	for _, c := range []struct {
		name    string
		finding federation.Finding
		want    bool
	}{
		{"an object of a kind that is denied", federation.Finding{ID: "D07", Cluster: "asia", Object: object}, true},
		{"a watch of the resource", federation.Finding{ID: "D07", Cluster: "asia", Object: federation.ObjectRef{Group: "apps", Kind: "replicasets"}}, true},
		{"another kind", federation.Finding{ID: "D07", Cluster: "asia", Object: federation.ObjectRef{Kind: "Service", Namespace: "web", Name: "nginx"}}, false},
		{"another cluster", federation.Finding{ID: "D07", Cluster: "europe", Object: object}, false},
		{"another finding", federation.Finding{ID: "D10", Cluster: "asia", Object: object}, false},
	} {
		if got := p.explains(c.finding); got != c.want {
			t.Errorf("%s: explained = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestQuestionsAreAskedOnce(t *testing.T) {
	services := schema.GroupResource{Resource: "services"}
	twice := append(rights(services, "web", "get"), rights(services, "web", "get")...)
	if got := unique(twice); len(got) != 1 || got[0] != (access.Right{Verb: "get", Resource: services, Namespace: "web"}) {
		t.Errorf("once = %v, want one question", got)
	}
}
