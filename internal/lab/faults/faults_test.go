package faults_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/lab/faults"
)

func TestPathOfAResourceMatchesItsObjectsAndLists(t *testing.T) {
	for _, c := range []struct {
		resource, path string
		want           bool
	}{
		{"configmaps", "/api/v1/configmaps", true},
		{"configmaps", "/api/v1/namespaces/a/configmaps", true},
		{"configmaps", "/api/v1/namespaces/a/configmaps/b", true},
		{"configmaps", "/api/v1/namespaces/configmaps", false},
		{"configmaps", "/api/v1/namespaces/a/secrets/configmaps", false},
		{"configmaps", "/apis/example.com/v1/namespaces/a/configmaps/b", false},
		{"namespaces", "/api/v1/namespaces/a", true},
		{"namespaces", "/api/v1/namespaces", true},
		{"namespaces", "/api/v1/namespaces/a/configmaps", false},
		{"replicasets.apps", "/apis/apps/v1/namespaces/a/replicasets/b", true},
		{"replicasets.apps", "/apis/apps/v1/namespaces/a/replicasets/b/scale", false},
		{"replicasets.apps", "/apis/apps/v1/namespaces/a/deployments/b", false},
		{"ingresses.networking.k8s.io", "/apis/networking.k8s.io/v1/ingresses", true},
		{"ingresses.networking.k8s.io", "/apis/networkingxk8s.io/v1/ingresses", false},
	} {
		if got := regexp.MustCompile(faults.Resource(c.resource)).MatchString(c.path); got != c.want {
			t.Errorf("Resource(%s) matches %s: %t, want %t", c.resource, c.path, got, c.want)
		}
	}
}

func TestPathOfAnObjectMatchesItAlone(t *testing.T) {
	for _, c := range []struct {
		resource, path string
		want           bool
	}{
		{"configmaps", "/api/v1/namespaces/a/configmaps/b", true},
		{"configmaps", "/api/v1/namespaces/a/configmaps/bc", false},
		{"configmaps", "/api/v1/namespaces/ab/configmaps/b", false},
		{"configmaps", "/api/v1/namespaces/a/configmaps", false},
		{"replicasets.apps", "/apis/apps/v1/namespaces/a/replicasets/b", true},
	} {
		if got := regexp.MustCompile(faults.Object(c.resource, "a", "b")).MatchString(c.path); got != c.want {
			t.Errorf("Object(%s, a, b) matches %s: %t, want %t", c.resource, c.path, got, c.want)
		}
	}
}

func TestRequestsAreCountedByKindAndMinute(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(after time.Duration, verb, resource, path string) faults.Request {
		return faults.Request{Time: began.Add(after), Verb: verb, Resource: resource, Path: path}
	}
	all := faults.Requests{
		at(0, "get", "", "/readyz"),
		at(time.Second, "patch", "configmaps", "/a"),
		at(59*time.Second, "patch", "configmaps", "/b"),
		at(time.Minute, "list", "configmaps", "/c"),
		at(2*time.Minute, "delete", "services", "/d"), // in a minute that is not whole
	}
	end := began.Add(150 * time.Second)
	for _, c := range []struct {
		name string
		got  any
		want string
	}{
		{"minutes", all.Minutes(began, end), "[3 1]"},
		{"minutes besides /readyz", all.Besides("/readyz").Minutes(began, end), "[2 1]"},
		{"minutes of ConfigMaps' writes", all.Of("configmaps").Writes().Minutes(began, end), "[2 0]"},
		{"kinds", all.Count(), "map[delete services:1 get /readyz:1 list configmaps:1 patch configmaps:2]"},
		{"writes", len(all.Writes()), "3"},
	} {
		if got := fmt.Sprint(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
