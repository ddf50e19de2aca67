package apply

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
		rec := &row{made: "a"}
		d := drift{paths: []string{"spec.replicas"}, by: "keda"}
		change := func() { rec.flip(time.Now(), d) }
		stopped := func() bool { return rec.stopped(time.Now()) }

		for i := range 2 {
			change()
			if stopped() {
				t.Fatalf("stopped after %d changes, want after %d", i+1, fightFlips)
			}
			<-time.After(time.Minute)
		}
		change()
		for pause := fightPause; pause < 3*time.Hour; pause *= 2 {
			want := min(pause, fightPauseMax)
			if !stopped() || rec.fight.pause != want {
				t.Fatalf("stopped = %v for %s, want a pause of %s", stopped(), rec.fight.pause, want)
			}
			<-time.After(want)
			if stopped() {
				t.Fatalf("still stopped after the pause of %s", want)
			}
			change() // our new try is answered as before
		}
		<-time.After(fightPauseMax + fightWindow + time.Second)
		change()
		if rec.fight != nil {
			t.Error("a single change after a quiet time is taken for the old fight")
		}
	})
}

func TestAFightOverReplicasIsAnAutoscalers(t *testing.T) {
	d := &object.Desired{Object: &federation.Object{Ref: federation.ObjectRef{Group: "apps", Kind: "Deployment", Namespace: "web", Name: "shop"}}}
	for path, want := range map[string]string{
		"spec.replicas": "delete the autoscaler that sets it", "spec.paused": "stop kube-controller-manager (through scale)",
	} {
		f := &fight{path: path, by: "kube-controller-manager (through scale)"}
		if got := f.error(d).Remedy; !strings.HasPrefix(got, "let one of the two own "+path+": take it out of Git, ") || !strings.HasSuffix(got, want) {
			t.Errorf("over %s: remedy %q, want one that ends with %q", path, got, want)
		}
	}
}

func TestAFightIsTheSameFieldWithinFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &row{made: "a"}
		for _, path := range []string{"a", "b", "c", "a", "b", "c"} {
			rec.flip(time.Now(), drift{paths: []string{path}})
		}
		if rec.fight != nil {
			t.Errorf("fight over %s after two changes of each field", rec.fight.path)
		}
		<-time.After(fightWindow)
		rec.flip(time.Now(), drift{paths: []string{"a"}})
		if rec.fight != nil {
			t.Error("changes from before the window count")
		}
		rec.flip(time.Now(), drift{paths: []string{"a"}})
		rec.flip(time.Now(), drift{paths: []string{"a"}})
		if rec.fight == nil {
			t.Fatal("no fight after three changes of one field")
		}
		rec.settleFight("a")
		if rec.fight == nil {
			t.Error("the same wish ends the fight")
		}
		rec.settleFight("b")
		if rec.fight != nil {
			t.Error("another wish does not end the fight")
		}
	})
}

func TestRowsGoFromWhatCarriesToWhatLeadsTrafficIn(t *testing.T) {
	table := newTable("web", "", "", time.Second)
	for _, name := range []string{
		"networking.k8s.io/Ingress/a", "apps/ReplicaSet/a", "Service/b", "Service/a", "example.com/Thing/a", "ConfigMap/a",
		"apiextensions.k8s.io/CustomResourceDefinition/a", "Namespace/a", "rbac.authorization.k8s.io/Role/a", "ServiceAccount/a",
		"rbac.authorization.k8s.io/RoleBinding/a", "autoscaling/HorizontalPodAutoscaler/a",
	} {
		ref, err := federation.ParseObjectRef(name)
		if err != nil {
			t.Fatal(err)
		}
		table.row(ref)
	}
	var got []string
	for _, r := range table.sorted() {
		got = append(got, r.ref.Kind+"/"+r.ref.Name)
	}
	want := []string{
		"Namespace/a", "CustomResourceDefinition/a", "ServiceAccount/a", "Role/a", "RoleBinding/a", "ConfigMap/a",
		"Service/a", "Service/b", "ReplicaSet/a", "HorizontalPodAutoscaler/a", "Thing/a", "Ingress/a",
	}
	if !slices.Equal(got, want) {
		t.Errorf("order\n got %q\nwant %q", got, want)
	}
}
