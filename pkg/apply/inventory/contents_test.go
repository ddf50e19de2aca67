package inventory

import (
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

func contents(t *testing.T, objects ...string) Contents {
	t.Helper()
	var c Contents
	for _, name := range objects {
		ref, err := federation.ParseObjectRef(name)
		if err != nil {
			t.Fatal(err)
		}
		c.Add(ref)
	}
	return c
}

func TestContentsAreSetsOfKindsAndNamespaces(t *testing.T) {
	for _, c := range []struct {
		name         string
		a, b         []string
		covers, just bool
	}{
		{"nothing and nothing", nil, nil, true, true},
		{"something and nothing", []string{"Service/ns/a"}, nil, true, false},
		{"nothing and something", nil, []string{"Service/ns/a"}, false, false},
		{"other objects", []string{"Service/ns/a"}, []string{"Service/ns/b"}, true, true},
		{"another group", []string{"Service/ns/a"}, []string{"serving.knative.dev/Service/ns/a"}, false, false},
		{"another namespace", []string{"Service/ns/a"}, []string{"Service/other/a"}, false, false},
		{"a cluster-scoped object", []string{"Namespace/a"}, []string{"Namespace/b"}, true, true},
		{"our own namespace", []string{"ConfigMap/ns/a"}, []string{"ConfigMap/fedsync-system/a"}, true, false},
		{"more", []string{"Service/ns/a", "ConfigMap/other/a"}, []string{"Service/ns/a"}, true, false},
	} {
		a, b := contents(t, c.a...), contents(t, c.b...)
		if got := a.Covers(b); got != c.covers {
			t.Errorf("%s: Covers = %v, want %v", c.name, got, c.covers)
		}
		if got := a.ListsExactly(b); got != c.just {
			t.Errorf("%s: ListsExactly = %v, want %v", c.name, got, c.just)
		}
		if both := a.Union(b); !both.Covers(a) || !both.Covers(b) || !both.ListsExactly(contents(t, append(c.a, c.b...)...)) {
			t.Errorf("%s: Union = %v, want only what the two list", c.name, both)
		}
	}
}

func TestAUnionSharesNothing(t *testing.T) {
	a := contents(t, "Service/ns/a")
	both := a.Union(Contents{})
	both.Add(federation.ObjectRef{Kind: "ConfigMap", Namespace: "other", Name: "a"})
	if !a.ListsExactly(contents(t, "Service/ns/a")) {
		t.Errorf("contents = %v after a change of their union, want them unchanged", a)
	}
}
