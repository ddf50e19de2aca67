package balancer_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
)

func TestWhatCannotBeKnownStays(t *testing.T) {
	inventory := func(s *gcptest.Scene) {
		for _, c := range []string{"c1", "c2"} {
			s.Change(c, func(f *federation.ClusterFacts) {
				f.Inventory = map[string][]federation.ObjectRef{"nginx": {gcptest.SceneIngress}}
			})
		}
	}
	for name, change := range map[string]func(*gcptest.Scene){
		"broken in one cluster": func(s *gcptest.Scene) { s.App["c1"] = federation.AppPlan{Broken: true} },
		"broken in all clusters": func(s *gcptest.Scene) {
			s.App["c1"], s.App["c2"] = federation.AppPlan{Broken: true}, federation.AppPlan{Broken: true}
		},
		"excluded": func(s *gcptest.Scene) { s.Plans["c1"] = federation.ClusterPlan{Excluded: "its UID is another"} },
		"gone, and one is excluded": func(s *gcptest.Scene) {
			delete(s.Objects, "Ingress/nginx")
			s.Plans["c1"] = federation.ClusterPlan{Excluded: "its UID is another"}
		},
		"gone by a plan made early": func(s *gcptest.Scene) {
			delete(s.Objects, "Ingress/nginx")
			s.Plans["c1"] = federation.ClusterPlan{Early: true}
		},
		"provisional": func(s *gcptest.Scene) { s.Plans["c1"] = federation.ClusterPlan{Provisional: true} },
		"withheld": func(s *gcptest.Scene) {
			s.App["c1"] = federation.AppPlan{Withheld: []federation.Withheld{{Object: gcptest.SceneIngress, Reason: "not now"}}}
			s.Instead("c1", "Ingress/nginx", "")
		},
		"the Service is withheld": func(s *gcptest.Scene) {
			ref := federation.ObjectRef{Kind: "Service", Namespace: "default", Name: "nginx"}
			s.App["c1"] = federation.AppPlan{Withheld: []federation.Withheld{{Object: ref, Reason: "nodePort 30080 held by Service/default/x"}}}
			s.Instead("c1", "Service/nginx", "")
		},
		"the deletion is held": func(s *gcptest.Scene) {
			inventory(s)
			delete(s.Objects, "Ingress/nginx")
			s.App["c1"] = federation.AppPlan{Prune: federation.PruneHeld}
		},
		"refused by an annotation": func(s *gcptest.Scene) { s.Annotate("networking.gke.io/managed-certificates", "x") },
		"the node port waits":      func(s *gcptest.Scene) { s.Edit("Service/nginx", ", nodePort: 30080", "") },
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(2)
			s.Settle(t)
			change(s)
			for range 3 {
				want, planned, err := s.Round()
				if err != nil || len(planned.Actions) > 0 {
					t.Fatalf("error %v, actions %v", err, planned.Actions)
				}
				if len(want.Balancers) != 1 || len(want.Balancers[0].Services) != 1 || len(want.Balancers[0].Groups["c1"]) != 2 {
					t.Errorf("balancers: %+v", want.Balancers)
				}
			}
			if got := s.State("c1"); got.State != federation.TrafficServing {
				t.Errorf("state: %+v", got)
			}
		})
	}
}

func TestNoPlanChangesNothing(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Settle(t)
	in := s.Input()
	in.Plan = federation.Plan{}
	want := balancer.Build(in, s.Observe())
	if planned := planner.Plan(want, s.Observe()); len(planned.Actions) > 0 {
		t.Errorf("actions: %v", planned.Actions)
	}
}

func TestHeldGroupsFollowTheirNodes(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Settle(t)
	s.App["c1"] = federation.AppPlan{Broken: true}
	s.AddNode("c1", "r-c1-b", 3)
	want := s.Settle(t)
	if got := gcptest.EndpointsOf(want, "c1"); !slices.Contains(got, "gke-c1-3") {
		t.Errorf("endpoints %v lack the new node", got)
	}
}

func TestDeletedIngressRemovesAllItsResources(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Settle(t)
	delete(s.Objects, "Ingress/nginx")
	s.Settle(t)
	for id := range s.Cloud.Resources {
		if id.Kind != gcp.KindAddress {
			t.Errorf("%s is left over", id)
		}
	}
	if len(s.Cloud.Resources) != 1 {
		t.Errorf("the address is gone: %v", s.Cloud.Resources)
	}
}

func TestAFailedReadRemovesNothing(t *testing.T) {
	for _, kind := range gcp.Kinds {
		for _, all := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, all %v", kind, all), func(t *testing.T) {
				s := gcptest.NewScene(2)
				s.Annotate("ingress.gcp.kubernetes.io/pre-shared-cert", "shop")
				s.Cloud.Resources[gcp.ID{Kind: gcp.KindCertificate, Name: "shop"}] = gcp.Resource{ID: gcp.ID{Kind: gcp.KindCertificate, Name: "shop"}, Spec: gcp.Certificate{}}
				s.Settle(t)
				s.Partial = func(o *gcp.Observed) {
					delete(o.Complete, kind)
					for id := range o.Resources {
						if id.Kind == kind && (all || id == slices.MinFunc(gcp.SortedIDs(o.Resources), gcp.ID.Compare)) {
							delete(o.Resources, id)
						}
					}
				}
				look := s.Observe()
				want := balancer.Build(s.Input(), look)
				for _, a := range planner.Plan(want, look).Actions {
					t.Errorf("action: %s %s %v", a.Verb, a.ID, a.Fields)
				}
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*gcptest.Scene)
		want   string
	}{
		"BackendConfig": {
			func(s *gcptest.Scene) {
				s.Edit("Service/nginx", "namespace: default}", `namespace: default, annotations: {cloud.google.com/backend-config: "{}"}}`)
			}, "such as IAP, Cloud Armor and CDN",
		},
		"FrontendConfig":      {func(s *gcptest.Scene) { s.Annotate("networking.gke.io/v1beta1.FrontendConfig", "x") }, "SSL policy"},
		"managed certificate": {func(s *gcptest.Scene) { s.Annotate("networking.gke.io/managed-certificates", "x") }, "managed certificates"},
		"regional address":    {func(s *gcptest.Scene) { s.Annotate("kubernetes.io/ingress.regional-static-ip-name", "x") }, "regional address"},
		"app protocols": {
			func(s *gcptest.Scene) {
				s.Edit("Service/nginx", "namespace: default}", `namespace: default, annotations: {cloud.google.com/app-protocols: "{}"}}`)
			}, "its protocol to the pods",
		},
		"ClusterIP":    {func(s *gcptest.Scene) { s.Edit("Service/nginx", "NodePort", "ClusterIP") }, "is of type ClusterIP"},
		"ExternalName": {func(s *gcptest.Scene) { s.Edit("Service/nginx", "NodePort", "ExternalName") }, "is of type ExternalName"},
		"headless":     {func(s *gcptest.Scene) { s.Edit("Service/nginx", "selector", "clusterIP: None\n  selector") }, "is headless"},
		"no such port": {func(s *gcptest.Scene) { s.Edit("Ingress/nginx", "number: 80", "number: 81") }, "Service/default/nginx has no port 81"},
		"no such name": {func(s *gcptest.Scene) { s.Edit("Ingress/nginx", "number: 80", "name: grpc") }, "has no port grpc"},
		"no Service":   {func(s *gcptest.Scene) { delete(s.Objects, "Service/nginx") }, "is not in Git"},
		"resource backend": {
			func(s *gcptest.Scene) {
				s.Edit("Ingress/nginx", "{service: {name: nginx, port: {number: 80}}}", "{resource: {kind: Bucket, name: x}}")
			}, "resource backend",
		},
		"wildcard inside": {
			func(s *gcptest.Scene) {
				s.Edit("Ingress/nginx", "spec:", "spec:\n  rules: [{http: {paths: [{path: /a/*/b, backend: {service: {name: nginx, port: {number: 80}}}}]}}]")
			}, `path "/a/*/b" cannot be matched`,
		},
		"probes that differ": {
			func(s *gcptest.Scene) {
				s.Instead("c2", "ReplicaSet/nginx", strings.Replace(gcptest.ReplicasYAML, "/healthz", "/other", 1))
			},
			"differ between clusters c1 and c2",
		},
		"Ingress that differs": {
			func(s *gcptest.Scene) {
				s.Instead("c2", "Ingress/nginx", strings.Replace(gcptest.IngressYAML, "number: 80", "name: http", 1))
			},
			"differs between clusters c1 and c2",
		},
		"nothing to listen at": {func(s *gcptest.Scene) { s.Annotate("kubernetes.io/ingress.allow-http", "false") }, "it would listen on no port"},
		"redirect to nothing":  {func(s *gcptest.Scene) { s.Annotate("fedsync.dev/https-redirect", "true") }, "has no certificate"},
		"no such certificate":  {func(s *gcptest.Scene) { s.Annotate("ingress.gcp.kubernetes.io/pre-shared-cert", "x") }, "certificate x does not exist"},
		"port refused": {
			func(s *gcptest.Scene) {
				s.Edit("Service/nginx", ", nodePort: 30080", "")
				s.Ports = []federation.PortDecision{{
					Service: federation.ObjectRef{Kind: "Service", Namespace: "default", Name: "nginx"}, Port: 80,
					Basis: federation.PortRefused, Reason: "30080 is taken everywhere",
				}}
			}, "30080 is taken everywhere",
		},
		"too many groups": {
			func(s *gcptest.Scene) {
				for i := 3; i <= 26; i++ {
					s.Join(fmt.Sprintf("c%d", i))
				}
			}, "would have 52 endpoint groups",
		},
		"too many certificates": {
			func(s *gcptest.Scene) {
				var names []string
				for i := range 16 {
					id := gcp.ID{Kind: gcp.KindCertificate, Name: fmt.Sprintf("x%d", i)}
					s.Cloud.Resources[id] = gcp.Resource{ID: id, Spec: gcp.Certificate{}}
					names = append(names, id.Name)
				}
				s.Annotate("ingress.gcp.kubernetes.io/pre-shared-cert", strings.Join(names, ","))
			}, "has 16 certificates; Google Cloud allows 15",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(2)
			test.change(s)
			want := s.Build()
			if again := s.Build(); !reflect.DeepEqual(want, again) {
				t.Errorf("the second read leads to another result:\n%s\n%s", gcptest.Findings(want), gcptest.Findings(again))
			}
			text := gcptest.Findings(want)
			if !strings.HasPrefix(text, "E ") || !strings.Contains(text, test.want) {
				t.Errorf("findings:\n%s\nwant one of severity E with %q", text, test.want)
			}
			for id := range gcptest.Made(want) {
				t.Errorf("half a load balancer: %s", id)
			}
			if len(want.Balancers) != 1 || want.Balancers[0].Refused == "" {
				t.Errorf("balancers: %+v", want.Balancers)
			}
			for _, f := range want.Findings {
				if f.App != "nginx" || f.File == "" || f.Object != gcptest.SceneIngress || f.Remedy.IsZero() {
					t.Errorf("finding without its place or a remedy: %+v", f)
				}
			}
		})
	}
}

func TestNodePortThatIsNotDecidedIsWaitedFor(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Edit("Service/nginx", ", nodePort: 30080", "")
	want := s.Build()
	if len(want.Resources) > 0 || len(want.Findings) > 0 || !strings.Contains(want.Balancers[0].Refused, "waits for the node port") {
		t.Errorf("wanted %v, findings %s, refused %q", want.Resources, gcptest.Findings(want), want.Balancers[0].Refused)
	}
}

func TestTwoIngressesShareABackendService(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Objects["Ingress/second"] = strings.Replace(strings.Replace(gcptest.IngressYAML, "name: nginx", "name: second", 1), "number: 80", "name: http", 1)
	want := s.Settle(t)
	if n := len(gcptest.KindOf(want, gcp.KindService)); n != 1 || len(gcptest.KindOf(want, gcp.KindURLMap)) != 2 {
		t.Errorf("%d backend services, %d URL maps", n, len(gcptest.KindOf(want, gcp.KindURLMap)))
	}
	// One of them is refused later: the other continues, and nothing of either is removed.
	s.Objects["Ingress/second"] = strings.Replace(s.Objects["Ingress/second"], "annotations: {", `annotations: {networking.gke.io/managed-certificates: "x", `, 1)
	s.AddNode("c1", "r-c1-b", 3)
	for _, a := range planner.Plan(s.Build(), s.Observe()).Actions {
		if a.Verb != gcp.Attach && a.ID.Kind != gcp.KindService { // whose rates follow
			t.Errorf("action: %s %s %v", a.Verb, a.ID, a.Fields)
		}
	}
	s.Settle(t)
	delete(s.Objects, "Ingress/nginx")
	if _, planned, _ := s.Round(); len(planned.Actions) == 0 {
		t.Error("nothing goes of an Ingress that is gone")
	}
	s.Settle(t)
	if n := len(s.Cloud.Observe().Resources); n == 0 {
		t.Error("all is gone")
	}
	for _, r := range s.Cloud.Resources {
		if r.Mark.Ingress == gcptest.SceneIngress.String() && r.ID.Kind != gcp.KindAddress {
			t.Errorf("%s is left over", r.ID)
		}
	}
}
