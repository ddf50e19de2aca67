package gcp

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestWhatCannotBeKnownStays(t *testing.T) {
	inventory := func(s *scene) {
		for _, c := range []string{"c1", "c2"} {
			s.change(c, func(f *federation.ClusterFacts) {
				f.Inventory = map[string][]federation.ObjectRef{"nginx": {sceneIngress}}
			})
		}
	}
	for name, change := range map[string]func(*scene){
		"broken in one cluster": func(s *scene) { s.app["c1"] = federation.AppPlan{Broken: true} },
		"broken in all clusters": func(s *scene) {
			s.app["c1"], s.app["c2"] = federation.AppPlan{Broken: true}, federation.AppPlan{Broken: true}
		},
		"excluded": func(s *scene) { s.plans["c1"] = federation.ClusterPlan{Excluded: "its UID is another"} },
		"gone, and one is excluded": func(s *scene) {
			delete(s.objects, "Ingress/nginx")
			s.plans["c1"] = federation.ClusterPlan{Excluded: "its UID is another"}
		},
		"gone by a plan made early": func(s *scene) {
			delete(s.objects, "Ingress/nginx")
			s.plans["c1"] = federation.ClusterPlan{Early: true}
		},
		"provisional": func(s *scene) { s.plans["c1"] = federation.ClusterPlan{Provisional: true} },
		"withheld": func(s *scene) {
			s.app["c1"] = federation.AppPlan{Withheld: []federation.Withheld{{Object: sceneIngress, Reason: "not now"}}}
			s.instead("c1", "Ingress/nginx", "")
		},
		"the Service is withheld": func(s *scene) {
			ref := federation.ObjectRef{Kind: "Service", Namespace: "default", Name: "nginx"}
			s.app["c1"] = federation.AppPlan{Withheld: []federation.Withheld{{Object: ref, Reason: "nodePort 30080 held by Service/default/x"}}}
			s.instead("c1", "Service/nginx", "")
		},
		"the deletion is held": func(s *scene) {
			inventory(s)
			delete(s.objects, "Ingress/nginx")
			s.app["c1"] = federation.AppPlan{Prune: federation.PruneHeld}
		},
		"refused by an annotation": func(s *scene) { s.annotate("networking.gke.io/managed-certificates", "x") },
		"the node port waits":      func(s *scene) { s.edit("Service/nginx", ", nodePort: 30080", "") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(2)
			s.settle(t)
			change(s)
			for range 3 {
				want, planned, err := s.round()
				if err != nil || len(planned.Actions) > 0 {
					t.Fatalf("error %v, actions %v", err, planned.Actions)
				}
				if len(want.Balancers) != 1 || len(want.Balancers[0].Services) != 1 || len(want.Balancers[0].Groups["c1"]) != 2 {
					t.Errorf("balancers: %+v", want.Balancers)
				}
			}
			if got := s.state("c1"); got.State != federation.TrafficServing {
				t.Errorf("state: %+v", got)
			}
		})
	}
}

func TestNoPlanChangesNothing(t *testing.T) {
	s := newScene(2)
	s.settle(t)
	in := s.input()
	in.Plan = federation.Plan{}
	want := Build(in, s.look())
	if planned := Plan(want, s.look()); len(planned.Actions) > 0 {
		t.Errorf("actions: %v", planned.Actions)
	}
}

func TestHeldGroupsFollowTheirNodes(t *testing.T) {
	s := newScene(2)
	s.settle(t)
	s.app["c1"] = federation.AppPlan{Broken: true}
	s.addNode("c1", "r-c1-b", 3)
	want := s.settle(t)
	if got := endpointsOf(want, "c1"); !slices.Contains(got, "gke-c1-3") {
		t.Errorf("endpoints %v lack the new node", got)
	}
}

func TestIngressThatIsGoneTakesAllWithIt(t *testing.T) {
	s := newScene(2)
	s.settle(t)
	delete(s.objects, "Ingress/nginx")
	s.settle(t)
	for id := range s.cloud.resources {
		if id.Kind != KindAddress {
			t.Errorf("%s is left over", id)
		}
	}
	if len(s.cloud.resources) != 1 {
		t.Errorf("the address is gone: %v", s.cloud.resources)
	}
}

func TestLookThatFailedRemovesNothing(t *testing.T) {
	for _, kind := range Kinds {
		for _, all := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, all %v", kind, all), func(t *testing.T) {
				s := newScene(2)
				s.annotate("ingress.gcp.kubernetes.io/pre-shared-cert", "shop")
				s.cloud.resources[ID{Kind: KindCertificate, Name: "shop"}] = Resource{ID: ID{Kind: KindCertificate, Name: "shop"}, Spec: Certificate{}}
				s.settle(t)
				s.partial = func(o *Observed) {
					delete(o.Complete, kind)
					for id := range o.Resources {
						if id.Kind == kind && (all || id == slices.MinFunc(sortedIDs(o.Resources), ID.Compare)) {
							delete(o.Resources, id)
						}
					}
				}
				look := s.look()
				want := Build(s.input(), look)
				for _, a := range Plan(want, look).Actions {
					t.Errorf("action: %s %s %v", a.Verb, a.ID, a.Fields)
				}
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*scene)
		want   string
	}{
		"BackendConfig": {
			func(s *scene) {
				s.edit("Service/nginx", "namespace: default}", `namespace: default, annotations: {cloud.google.com/backend-config: "{}"}}`)
			}, "such as IAP, Cloud Armor and CDN",
		},
		"FrontendConfig":      {func(s *scene) { s.annotate("networking.gke.io/v1beta1.FrontendConfig", "x") }, "SSL policy"},
		"managed certificate": {func(s *scene) { s.annotate("networking.gke.io/managed-certificates", "x") }, "managed certificates"},
		"regional address":    {func(s *scene) { s.annotate("kubernetes.io/ingress.regional-static-ip-name", "x") }, "regional address"},
		"app protocols": {
			func(s *scene) {
				s.edit("Service/nginx", "namespace: default}", `namespace: default, annotations: {cloud.google.com/app-protocols: "{}"}}`)
			}, "its protocol to the pods",
		},
		"ClusterIP":    {func(s *scene) { s.edit("Service/nginx", "NodePort", "ClusterIP") }, "is of type ClusterIP"},
		"ExternalName": {func(s *scene) { s.edit("Service/nginx", "NodePort", "ExternalName") }, "is of type ExternalName"},
		"headless":     {func(s *scene) { s.edit("Service/nginx", "selector", "clusterIP: None\n  selector") }, "is headless"},
		"no such port": {func(s *scene) { s.edit("Ingress/nginx", "number: 80", "number: 81") }, "Service/default/nginx has no port 81"},
		"no such name": {func(s *scene) { s.edit("Ingress/nginx", "number: 80", "name: grpc") }, "has no port grpc"},
		"no Service":   {func(s *scene) { delete(s.objects, "Service/nginx") }, "is not in Git"},
		"resource backend": {
			func(s *scene) {
				s.edit("Ingress/nginx", "{service: {name: nginx, port: {number: 80}}}", "{resource: {kind: Bucket, name: x}}")
			}, "resource backend",
		},
		"wildcard inside": {
			func(s *scene) {
				s.edit("Ingress/nginx", "spec:", "spec:\n  rules: [{http: {paths: [{path: /a/*/b, backend: {service: {name: nginx, port: {number: 80}}}}]}}]")
			}, `path "/a/*/b" cannot be matched`,
		},
		"probes that differ": {
			func(s *scene) {
				s.instead("c2", "ReplicaSet/nginx", strings.Replace(replicasYAML, "/healthz", "/other", 1))
			},
			"differ between clusters c1 and c2",
		},
		"Ingress that differs": {
			func(s *scene) {
				s.instead("c2", "Ingress/nginx", strings.Replace(ingressYAML, "number: 80", "name: http", 1))
			},
			"differs between clusters c1 and c2",
		},
		"nothing to listen at": {func(s *scene) { s.annotate("kubernetes.io/ingress.allow-http", "false") }, "it would listen at no port"},
		"redirect to nothing":  {func(s *scene) { s.annotate("fedsync.dev/https-redirect", "true") }, "has no certificate"},
		"no such certificate":  {func(s *scene) { s.annotate("ingress.gcp.kubernetes.io/pre-shared-cert", "x") }, "certificate x does not exist"},
		"port refused": {
			func(s *scene) {
				s.edit("Service/nginx", ", nodePort: 30080", "")
				s.ports = []federation.PortDecision{{
					Service: federation.ObjectRef{Kind: "Service", Namespace: "default", Name: "nginx"}, Port: 80,
					Basis: federation.PortRefused, Reason: "30080 is taken everywhere",
				}}
			}, "30080 is taken everywhere",
		},
		"too many groups": {
			func(s *scene) {
				for i := 3; i <= 26; i++ {
					s.join(fmt.Sprintf("c%d", i))
				}
			}, "52 endpoint groups would stand behind port 80",
		},
		"too many certificates": {
			func(s *scene) {
				var names []string
				for i := range 16 {
					id := ID{Kind: KindCertificate, Name: fmt.Sprintf("x%d", i)}
					s.cloud.resources[id] = Resource{ID: id, Spec: Certificate{}}
					names = append(names, id.Name)
				}
				s.annotate("ingress.gcp.kubernetes.io/pre-shared-cert", strings.Join(names, ","))
			}, "has 16 certificates, and Google Cloud allows 15",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(2)
			test.change(s)
			want := s.build()
			if again := s.build(); !reflect.DeepEqual(want, again) {
				t.Errorf("the second look leads to another end:\n%s\n%s", findings(want), findings(again))
			}
			text := findings(want)
			if !strings.HasPrefix(text, "E ") || !strings.Contains(text, test.want) {
				t.Errorf("findings:\n%s\nwant one of severity E with %q", text, test.want)
			}
			for id := range made(want) {
				t.Errorf("half a load balancer: %s", id)
			}
			if len(want.Balancers) != 1 || want.Balancers[0].Refused == "" {
				t.Errorf("balancers: %+v", want.Balancers)
			}
			for _, f := range want.Findings {
				if f.App != "nginx" || f.File == "" || f.Object != sceneIngress || f.Remedy.IsZero() {
					t.Errorf("finding without its place or a remedy: %+v", f)
				}
			}
		})
	}
}

func TestNodePortThatIsNotDecidedIsWaitedFor(t *testing.T) {
	s := newScene(2)
	s.edit("Service/nginx", ", nodePort: 30080", "")
	want := s.build()
	if len(want.Resources) > 0 || len(want.Findings) > 0 || !strings.Contains(want.Balancers[0].Refused, "waits for the node port") {
		t.Errorf("wanted %v, findings %s, refused %q", want.Resources, findings(want), want.Balancers[0].Refused)
	}
}

func TestTwoIngressesShareABackendService(t *testing.T) {
	s := newScene(2)
	s.objects["Ingress/second"] = strings.Replace(strings.Replace(ingressYAML, "name: nginx", "name: second", 1), "number: 80", "name: http", 1)
	want := s.settle(t)
	if n := len(kindOf(want, KindService)); n != 1 || len(kindOf(want, KindURLMap)) != 2 {
		t.Errorf("%d backend services, %d URL maps", n, len(kindOf(want, KindURLMap)))
	}
	// One of them is refused later: the other goes on, and nothing of either goes.
	s.objects["Ingress/second"] = strings.Replace(s.objects["Ingress/second"], "annotations: {", `annotations: {networking.gke.io/managed-certificates: "x", `, 1)
	s.addNode("c1", "r-c1-b", 3)
	for _, a := range Plan(s.build(), s.look()).Actions {
		if a.Verb != Attach && a.ID.Kind != KindService { // whose rates follow
			t.Errorf("action: %s %s %v", a.Verb, a.ID, a.Fields)
		}
	}
	s.settle(t)
	delete(s.objects, "Ingress/nginx")
	if _, planned, _ := s.round(); len(planned.Actions) == 0 {
		t.Error("nothing goes of an Ingress that is gone")
	}
	s.settle(t)
	if n := len(s.cloud.look().Resources); n == 0 {
		t.Error("all is gone")
	}
	for _, r := range s.cloud.resources {
		if r.Mark.Ingress == sceneIngress.String() && r.ID.Kind != KindAddress {
			t.Errorf("%s is left over", r.ID)
		}
	}
}
