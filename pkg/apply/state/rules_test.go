package state

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/federation"
)

func TestAFightPausesLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &Row{Made: "a"}
		d := Drift{Paths: []string{"spec.replicas"}, By: "keda"}
		change := func() { rec.Flip(time.Now(), d) }
		stopped := func() bool { return rec.Stopped(time.Now()) }

		for i := range 2 {
			change()
			if stopped() {
				t.Fatalf("stopped after %d changes, want after %d", i+1, FightFlips)
			}
			<-time.After(time.Minute)
		}
		change()
		for pause := FightPause; pause < 3*time.Hour; pause *= 2 {
			want := min(pause, fightPauseMax)
			if !stopped() || rec.Fight.pause != want {
				t.Fatalf("stopped = %v for %s, want a pause of %s", stopped(), rec.Fight.pause, want)
			}
			<-time.After(want)
			if stopped() {
				t.Fatalf("still stopped after the pause of %s", want)
			}
			change() // our new try has the same result
		}
		<-time.After(fightPauseMax + fightWindow + time.Second)
		change()
		if rec.Fight != nil {
			t.Error("a single change after a quiet time counts as the old fight")
		}
	})
}

func TestAFightOverReplicasIsAnAutoscalers(t *testing.T) {
	d := &object.Desired{Object: &federation.Object{Ref: federation.ObjectRef{Group: "apps", Kind: "Deployment", Namespace: "web", Name: "shop"}}}
	for path, want := range map[string]string{
		"spec.replicas": "delete the autoscaler that sets it", "spec.paused": "stop kube-controller-manager (through scale)",
	} {
		f := &Fight{path: path, by: "kube-controller-manager (through scale)"}
		if got := f.Refusal(d).Remedy; !strings.HasPrefix(got, "let one of the two own "+path+": remove it from Git, ") || !strings.HasSuffix(got, want) {
			t.Errorf("over %s: remedy %q, want one that ends with %q", path, got, want)
		}
	}
}

func TestAFightIsTheSameFieldWithinFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &Row{Made: "a"}
		for _, path := range []string{"a", "b", "c", "a", "b", "c"} {
			rec.Flip(time.Now(), Drift{Paths: []string{path}})
		}
		if rec.Fight != nil {
			t.Errorf("fight over %s after two changes of each field", rec.Fight.path)
		}
		<-time.After(fightWindow)
		rec.Flip(time.Now(), Drift{Paths: []string{"a"}})
		if rec.Fight != nil {
			t.Error("changes from before the window count")
		}
		rec.Flip(time.Now(), Drift{Paths: []string{"a"}})
		rec.Flip(time.Now(), Drift{Paths: []string{"a"}})
		if rec.Fight == nil {
			t.Fatal("no fight after three changes of one field")
		}
		rec.settleFight("a")
		if rec.Fight == nil {
			t.Error("the same wish ends the fight")
		}
		rec.settleFight("b")
		if rec.Fight != nil {
			t.Error("another wish does not end the fight")
		}
	})
}

func TestRowsGoFromWhatCarriesToWhatLeadsTrafficIn(t *testing.T) {
	table := New(Settings{})
	for _, name := range []string{
		"networking.k8s.io/Ingress/a", "apps/ReplicaSet/a", "Service/b", "Service/a", "example.com/Thing/a", "ConfigMap/a",
		"apiextensions.k8s.io/CustomResourceDefinition/a", "Namespace/a", "rbac.authorization.k8s.io/Role/a", "ServiceAccount/a",
		"rbac.authorization.k8s.io/RoleBinding/a", "autoscaling/HorizontalPodAutoscaler/a",
	} {
		ref, err := federation.ParseObjectRef(name)
		if err != nil {
			t.Fatal(err)
		}
		table.Row(ref)
	}
	var got []string
	for _, r := range table.Sorted() {
		got = append(got, r.Ref.Kind+"/"+r.Ref.Name)
	}
	want := []string{
		"Namespace/a", "CustomResourceDefinition/a", "ServiceAccount/a", "Role/a", "RoleBinding/a", "ConfigMap/a",
		"Service/a", "Service/b", "ReplicaSet/a", "HorizontalPodAutoscaler/a", "Thing/a", "Ingress/a",
	}
	if !slices.Equal(got, want) {
		t.Errorf("order\n got %q\nwant %q", got, want)
	}
}
