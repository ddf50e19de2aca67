package federation_test

import (
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestParseObjectRefReadsWhatStringWrites(t *testing.T) {
	cases := []struct {
		text string
		want federation.ObjectRef
	}{
		{"apps/ReplicaSet/web/nginx", federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "web", Name: "nginx"}},
		{"Service/default/nginx", federation.ObjectRef{Kind: "Service", Namespace: "default", Name: "nginx"}},
		{"Namespace/web", federation.ObjectRef{Kind: "Namespace", Name: "web"}},
		{"rbac.authorization.k8s.io/ClusterRole/system:node", federation.ObjectRef{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "system:node"}},
	}
	for _, c := range cases {
		got, err := federation.ParseObjectRef(c.text)
		if err != nil || got != c.want {
			t.Errorf("ParseObjectRef(%q) = %+v, %v, want %+v", c.text, got, err, c.want)
		}
		if got.String() != c.text {
			t.Errorf("%+v.String() = %q, want %q", got, got.String(), c.text)
		}
	}
}

func TestParseObjectRefRefusesInvalidReferences(t *testing.T) {
	for _, text := range []string{"", "/", "nginx", "Service", "Service/", "service/nginx", "apps/web/nginx", "Service//nginx", "/Service/nginx", "a/B/c/d/e", "Kind/ns/"} {
		if got, err := federation.ParseObjectRef(text); err == nil {
			t.Errorf("ParseObjectRef(%q) = %+v, want an error", text, got)
		} else if !strings.Contains(err.Error(), "apps/ReplicaSet/web/nginx") {
			t.Errorf("ParseObjectRef(%q): %v, want an example of how it is written", text, err)
		}
	}
}

func FuzzParseObjectRefRoundTrip(f *testing.F) {
	for _, s := range []string{"apps/ReplicaSet/web/nginx", "Service/default/nginx", "Namespace/web", "A//b", "É/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := federation.ParseObjectRef(s)
		if err != nil {
			return
		}
		if got := ref.String(); got != s {
			t.Errorf("ParseObjectRef(%q).String() = %q", s, got)
		}
		if again, err := federation.ParseObjectRef(ref.String()); err != nil || again != ref {
			t.Errorf("ParseObjectRef(%q) = %+v, %v, want %+v", ref.String(), again, err, ref)
		}
	})
}
