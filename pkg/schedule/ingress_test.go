package schedule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

var webIngress = federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "web"}

// balanced is a federation of a, b and c with load balancers of fedsync's own, which
// have been looked at, and one Ingress with these annotations and this spec.
func balanced(t *testing.T, annotations, spec string) Input {
	t.Helper()
	in := given(t, abc(), parse(t, fmt.Sprintf(
		"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: default, annotations: {%s}}\nspec: {%s}", annotations, spec))...)
	in.Federation.GCP = &federation.GCP{LoadBalancer: federation.LoadBalancerNodePorts}
	in.Facts.BalancersKnown = true
	return in
}

// Live gives cluster a an Ingress.
func live(in Input, i federation.Ingress) {
	facts := in.Facts.Of("a")
	i.Namespace, i.Name, i.Ours = "default", "web", true
	facts.Ingresses = []federation.Ingress{i}
	in.Facts.Clusters["a"] = facts
}

// behind puts a cluster behind the load balancer of the Ingress.
func behind(in *Input, address string, states map[string]federation.TrafficState) {
	b := federation.Balancer{Ingress: webIngress, Address: address}
	for cluster, state := range states {
		b.Clusters = append(b.Clusters, federation.BalancerCluster{Cluster: cluster, State: state})
	}
	in.Facts.Balancers = []federation.Balancer{b}
}

// classOf gives what a cluster gets, as "annotation=gce field=fedsync-global".
func classOf(t *testing.T, plan federation.Plan, cluster string) string {
	t.Helper()
	o := in(plan, cluster, "Ingress", "web")
	if o == nil {
		return "nothing"
	}
	u := o.Unstructured()
	var parts []string
	if a, ok := u.GetAnnotations()[federation.AnnotationClass]; ok {
		parts = append(parts, "annotation="+a)
	}
	if f, ok := u.Object["spec"].(map[string]any)["ingressClassName"].(string); ok {
		parts = append(parts, "field="+f)
	}
	return strings.Join(parts, " ")
}

func TestIngressesGetAClassThatNoControllerServes(t *testing.T) {
	const gce = `kubernetes.io/ingress.class: gce`
	none := func(*Input) {}
	for _, c := range []struct {
		name, annotations, spec string
		change                  func(*Input)
		want                    string
	}{
		{"of class gce", gce, "", none, "field=fedsync-global"},
		{"of class fedsync", `kubernetes.io/ingress.class: fedsync`, "", none, "field=fedsync-global"},
		{"of class fedsync, by the field", "", "ingressClassName: fedsync", none, "field=fedsync-global"},
		{"of class gce, by the field", "", "ingressClassName: gce", none, "field=fedsync-global"},
		{"of no class", "", "", none, "field=fedsync-global"},
		{"of an empty class", `kubernetes.io/ingress.class: ""`, "", none, "field=fedsync-global"},
		{"written out", "", "ingressClassName: fedsync-global", none, "field=fedsync-global"},
		{"of another's class", `kubernetes.io/ingress.class: nginx`, "", none, "annotation=nginx"},
		{"of another's class, by the field", "", "ingressClassName: nginx", none, "field=nginx"},
		{"the annotation counts first", `kubernetes.io/ingress.class: nginx`, "ingressClassName: gce", none, "annotation=nginx field=gce"},
		{"for the endpoints of several clusters", `kubernetes.io/ingress.class: gce-multi-cluster`, "", none, "annotation=gce-multi-cluster"},
		{"without a project", gce, "", func(in *Input) { in.Federation.GCP = nil }, "annotation=gce"},
		{"with a shared UID", gce, "", func(in *Input) { in.Federation.GCP.LoadBalancer = federation.LoadBalancerSharedUID }, "annotation=gce"},
		{"live and not served yet", gce, "", func(in *Input) { live(*in, federation.Ingress{ClassName: "gce"}) }, "field=fedsync-global"},
		{"served by Google's controller", gce, "", func(in *Input) { live(*in, federation.Ingress{ClassName: "gce", Google: true}) }, "annotation=gce"},
		{"served by it without a class", "", "", func(in *Input) { live(*in, federation.Ingress{Google: true}) }, ""},
		{
			"served by it, and of class fedsync in Git by now", `kubernetes.io/ingress.class: fedsync`, "",
			func(in *Input) { live(*in, federation.Ingress{ClassName: "gce", Google: true}) }, "annotation=gce",
		},
		{
			"served by it without a class, and of class fedsync in Git by now", "", "ingressClassName: fedsync",
			func(in *Input) { live(*in, federation.Ingress{Google: true}) }, "",
		},
		{
			"with what the controller left on it when it became another's", gce, "",
			func(in *Input) { live(*in, federation.Ingress{ClassName: "nginx", Google: true}) }, "field=fedsync-global",
		},
		{
			"in a cluster whose Ingresses were not listed", gce, "",
			func(in *Input) {
				in.Facts.Clusters["a"] = federation.ClusterFacts{State: federation.ClusterReady, Synced: true, Seen: true}
			}, "nothing",
		},
		{
			"in a cluster that was never seen", gce, "",
			func(in *Input) {
				in.Facts.Clusters["a"] = federation.ClusterFacts{State: federation.ClusterOffline, IngressesKnown: true}
			}, "nothing",
		},
		{
			"another's in a cluster whose Ingresses were not listed", `kubernetes.io/ingress.class: nginx`, "",
			func(in *Input) {
				in.Facts.Clusters["a"] = federation.ClusterFacts{State: federation.ClusterReady, Synced: true, Seen: true}
			}, "annotation=nginx",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := balanced(t, c.annotations, c.spec)
			c.change(&in)
			s := New()
			for range 2 { // what is remembered changes nothing
				if got := classOf(t, s.Plan(in), "a"); got != c.want {
					t.Errorf("a gets %q, want %q", got, c.want)
				}
			}
		})
	}
}

func TestAnIngressLeavesGooglesControllerWhereTrafficIsServed(t *testing.T) {
	const moving = `kubernetes.io/ingress.class: gce, fedsync.dev/move: Allowed`
	googles := federation.Ingress{ClassName: "gce", Google: true, GoogleHeld: true}
	for _, c := range []struct {
		name        string
		annotations string
		live        federation.Ingress
		known       bool
		states      map[string]federation.TrafficState
		want        string
		basis       federation.ClassBasis
	}{
		{"allowed and served", moving, googles, true, map[string]federation.TrafficState{"a": federation.TrafficServing}, "field=fedsync-global", federation.ClassMoves},
		{"not allowed", "kubernetes.io/ingress.class: gce", googles, true, map[string]federation.TrafficState{"a": federation.TrafficServing}, "annotation=gce", federation.ClassStays},
		{"of a value that is not known", "fedsync.dev/move: 'Yes', kubernetes.io/ingress.class: gce", googles, true, map[string]federation.TrafficState{"a": federation.TrafficServing}, "annotation=gce", federation.ClassStays},
		{"waiting", moving, googles, true, map[string]federation.TrafficState{"a": federation.TrafficWaiting}, "annotation=gce", federation.ClassWaits},
		{"unhealthy", moving, googles, true, map[string]federation.TrafficState{"a": federation.TrafficUnhealthy}, "annotation=gce", federation.ClassWaits},
		{"served elsewhere", moving, googles, true, map[string]federation.TrafficState{"b": federation.TrafficServing}, "annotation=gce", federation.ClassWaits},
		{"not looked at yet", moving, googles, false, nil, "annotation=gce", federation.ClassWaits},
		{
			"it has left, is served no more, and still bears the marks", moving,
			federation.Ingress{ClassName: "fedsync-global", Google: true, GoogleHeld: true},
			true,
			map[string]federation.TrafficState{"a": federation.TrafficUnhealthy},
			"field=fedsync-global", federation.ClassOurs,
		},
		{
			"it has left, and the permission is gone", "kubernetes.io/ingress.class: gce",
			federation.Ingress{ClassName: "fedsync-global", Google: true},
			false, nil, "field=fedsync-global", federation.ClassOurs,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := balanced(t, c.annotations, "")
			live(in, c.live)
			if behind(&in, "203.0.113.1", c.states); !c.known {
				in.Facts.Balancers, in.Facts.BalancersKnown = nil, false
			}
			plan := New().Plan(in)
			if got := classOf(t, plan, "a"); got != c.want {
				t.Errorf("a gets %q, want %q", got, c.want)
			}
			if got := plan.Ingresses[0].Clusters[0].Basis; got != c.basis {
				t.Errorf("because %q, want %q", got, c.basis)
			}
			if got := classOf(t, plan, "b"); got != "field=fedsync-global" {
				t.Errorf("b gets %q", got)
			}
		})
	}
}

func TestTheClassIsAllThatChangesInAnIngress(t *testing.T) {
	in := balanced(t, `kubernetes.io/ingress.class: gce, kubernetes.io/ingress.global-static-ip-name: web`, `rules: [{host: a.example, http: {paths: []}}]`)
	plan := New().Plan(in)
	var o *federation.Object
	for _, app := range plan.Clusters[0].Apps {
		o = app.Objects[0]
	}
	want := map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
		"metadata": map[string]any{
			"name": "web", "namespace": "default",
			"annotations": map[string]any{"kubernetes.io/ingress.global-static-ip-name": "web"},
		},
		"spec": map[string]any{
			"ingressClassName": "fedsync-global",
			"rules":            []any{map[string]any{"host": "a.example", "http": map[string]any{"paths": []any{}}}},
		},
	}
	if diff := cmp.Diff(want, o.Unstructured().Object); diff != "" {
		t.Errorf("a gets (-want +got):\n%s", diff)
	}
	if o.Ref != webIngress || o.File != "apps/web/0.yaml" {
		t.Errorf("it is %s of %s", o.Ref, o.File)
	}
}

func TestAnIngressThatMayBeGooglesIsWithheld(t *testing.T) {
	for _, c := range []struct {
		name  string
		facts federation.ClusterFacts
		waits []string
	}{
		{"not listed yet", federation.ClusterFacts{Synced: true, Seen: true}, []string{"a"}},
		{
			"not allowed to be listed", federation.ClusterFacts{
				Synced: true, Seen: true,
				Blind: []federation.Blind{{Resource: "ingresses.networking.k8s.io", Failure: federation.FailureForbidden}},
			}, nil,
		},
		{
			"failing to be listed", federation.ClusterFacts{
				Synced: true, Seen: true,
				Blind: []federation.Blind{{Resource: "ingresses.networking.k8s.io", Failure: federation.FailureServer}},
			}, []string{"a"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := balanced(t, "", "")
			c.facts.State = federation.ClusterReady
			in.Facts.Clusters["a"] = c.facts
			plan := New().Plan(in)
			withheld := plan.Clusters[0].Apps[0].Withheld
			if len(withheld) != 1 || withheld[0].Object != webIngress || withheld[0].Reason == "" {
				t.Fatalf("withheld in a: %+v, want the Ingress", withheld)
			}
			if diff := cmp.Diff(c.waits, withheld[0].Waits); diff != "" {
				t.Errorf("waits for (-want +got):\n%s", diff)
			}
			if got := plan.Ingresses[0].Clusters[0].Basis; got != federation.ClassUnknown {
				t.Errorf("because %q", got)
			}
			if len(plan.Clusters[1].Apps[0].Withheld) != 0 {
				t.Error("it is withheld in b as well")
			}
		})
	}
}

// Before the facts of a cluster are known, it gets no Ingress at all.
func TestAProvisionalPlanHasNoAppsWithIngresses(t *testing.T) {
	in := balanced(t, "", "")
	if plan := New().Provisional(in, in.Federation.Clusters[0]); len(plan.Apps) != 0 || plan.Addresses != nil {
		t.Errorf("Provisional = %+v, want nothing of the app", plan)
	}
	in.Federation.GCP = nil
	if plan := New().Provisional(in, in.Federation.Clusters[0]); len(plan.Apps) != 1 {
		t.Errorf("without load balancers Provisional = %+v, want the app", plan)
	}
}

func TestAClusterShowsTheAddressOfTheIngressesThatAreOurs(t *testing.T) {
	shown := federation.Ingress{ClassName: "fedsync-global", Addresses: []string{"203.0.113.1"}, StatusBy: untrusted.New("fedsync-address")}
	all := map[federation.ObjectRef]string{webIngress: "203.0.113.1"}
	none := map[federation.ObjectRef]string{}
	for _, c := range []struct {
		name        string
		annotations string
		address     string
		change      func(*Input)
		want        map[federation.ObjectRef]string
	}{
		{"ours", "", "203.0.113.1", func(*Input) {}, all},
		{"ours, live and without an address yet", "", "203.0.113.1", func(in *Input) { live(*in, federation.Ingress{ClassName: "fedsync-global"}) }, all},
		{"no address yet", "", "", func(*Input) {}, none},
		{"the address is not known now", "", "", func(in *Input) { live(*in, shown) }, all},
		{"no load balancer", "", "", func(in *Input) { live(*in, shown); in.Facts.Balancers = nil }, none},
		{"nobody has looked", "", "203.0.113.1", func(in *Input) { live(*in, shown); in.Facts.BalancersKnown = false }, nil},
		{"served by Google's controller", "", "203.0.113.1", func(in *Input) { live(*in, federation.Ingress{Google: true}) }, none},
		{"another's by now", `kubernetes.io/ingress.class: nginx`, "203.0.113.1", func(in *Input) { live(*in, federation.Ingress{ClassName: "nginx"}) }, none},
		{"Ingresses cannot be listed", "", "203.0.113.1", func(in *Input) {
			in.Facts.Clusters["a"] = federation.ClusterFacts{State: federation.ClusterReady, Synced: true, Seen: true}
		}, nil},
		{"not rendered", "", "203.0.113.1", func(in *Input) {
			live(*in, shown)
			in.Bundles[0].Err = fmt.Errorf("broken")
			in.Bundles[0].Objects = nil
		}, all},
		{"no longer in Git, and not deleted", "", "203.0.113.1", func(in *Input) { live(*in, shown); in.Bundles[0].Objects = nil }, all},
		{"load balancers are no longer asked for", "", "203.0.113.1", func(in *Input) { live(*in, shown); in.Federation.GCP = nil }, nil},
		{"and nothing of ours is shown", "", "203.0.113.1", func(in *Input) {
			live(*in, federation.Ingress{ClassName: "gce", StatusBy: untrusted.New("glbc")})
			in.Federation.GCP = nil
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := balanced(t, c.annotations, "")
			behind(&in, c.address, nil)
			c.change(&in)
			got := New().Plan(in).Clusters[0].Addresses
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("addresses of a (-want +got):\n%s", diff)
			}
		})
	}
}

func TestADrainedClusterIsEmptiedWhenItsTrafficIsAway(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Input)
		want   string // "replicas basis" of c
	}{
		{"it serves", func(in *Input) {
			behind(in, "203.0.113.1", map[string]federation.TrafficState{"a": federation.TrafficServing, "c": federation.TrafficServing})
		}, "2 weight"},
		{"its connections end", func(in *Input) {
			behind(in, "203.0.113.1", map[string]federation.TrafficState{"c": federation.TrafficDraining})
		}, "2 weight"},
		{"it is away", func(in *Input) {
			behind(in, "203.0.113.1", map[string]federation.TrafficState{"a": federation.TrafficServing, "c": federation.TrafficDrained})
		}, "0 drained"},
		{"nothing of it is balanced", func(in *Input) {
			behind(in, "203.0.113.1", map[string]federation.TrafficState{"a": federation.TrafficServing})
		}, "0 drained"},
		{"nobody has looked", func(in *Input) { in.Facts.BalancersKnown = false }, "2 weight"},
		{"fedsync makes no load balancers", func(in *Input) { in.Federation.GCP = nil }, "0 drained"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := balanced(t, "", "")
			for i := range in.Bundles {
				in.Bundles[i].Objects = append(in.Bundles[i].Objects, parse(t, fmt.Sprintf(deployment, ""))...)
			}
			in.Federation.Clusters[2].Drain = true
			c.change(&in)
			plan := New().Plan(in)
			s := plan.Replicas[0].Shares[2]
			if got := fmt.Sprintf("%d %s", s.Replicas, s.Basis); got != c.want {
				t.Errorf("c gets %s, want %s; findings %v", got, c.want, plan.Findings)
			}
			if len(plan.Findings) != 0 {
				t.Errorf("findings %v", plan.Findings)
			}
		})
	}
}

func TestTheLastClusterIsNotDrained(t *testing.T) {
	in := given(t, abc(), parse(t, fmt.Sprintf(deployment, ""))...)
	for i := range in.Federation.Clusters {
		in.Federation.Clusters[i].Drain = true
	}
	plan := New().Plan(in)
	var total int64
	for _, s := range plan.Replicas[0].Shares {
		total += s.Replicas
	}
	if total != 7 {
		t.Errorf("%d of 7 replicas are placed", total)
	}
	if len(plan.Findings) != 1 || plan.Findings[0].ID != "drain" || plan.Findings[0].Severity != federation.SeverityError ||
		!strings.Contains(plan.Findings[0].Message.String(), "a, b, c") {
		t.Errorf("findings %v, want one that names all three", plan.Findings)
	}
}
