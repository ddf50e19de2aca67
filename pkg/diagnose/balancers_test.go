package diagnose_test

import (
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// balanced makes a world in which fedsync itself makes the load balancer, and it
// serves everywhere.
func balanced(w *world) {
	w.in.Federation.GCP = &federation.GCP{LoadBalancer: federation.LoadBalancerNodePorts}
	w.plan(strings.NewReplacer(
		"  annotations: {kubernetes.io/ingress.class: gce}\n", "",
		"  tls:", "  ingressClassName: fedsync-global\n  tls:").Replace(ingressYAML))
	w.facts(func(f *federation.ClusterFacts) {
		f.IngressUID = federation.IngressUID{Known: true}
		f.Ingresses = []federation.Ingress{{Namespace: "shop", Name: "web", Ours: true, ClassName: "fedsync-global"}}
	})
	w.observe(func(o *federation.Observation) { o.Annotations, o.ClassName = nil, "fedsync-global" }, ingressRef)
	b := federation.Balancer{Ingress: ingressRef, Address: "203.0.113.10", Complete: true}
	for _, c := range w.in.Federation.Clusters {
		b.Clusters = append(b.Clusters, federation.BalancerCluster{
			Cluster: c.Name, State: federation.TrafficServing, Endpoints: 3, Healthy: 3,
		})
	}
	w.in.Facts.Balancers = []federation.Balancer{b}
}

// googles has Google's controller serve the Ingress in c2.
func googles(w *world) {
	balanced(w)
	w.plan(ingressYAML, "c2")
	w.facts(func(f *federation.ClusterFacts) {
		f.Ingresses = []federation.Ingress{{Namespace: "shop", Name: "web", Ours: true, ClassName: "gce", Google: true}}
	}, "c2")
}

// unhealthy has the probes of c2 fail.
func unhealthy(w *world) {
	c2 := &w.in.Facts.Balancers[0].Clusters[1]
	c2.State, c2.Healthy = federation.TrafficUnhealthy, 0
}

func balancerCases() []testCase {
	const (
		byHand = "Google's controller serves it in c2 in addition to fedsync's load balancer at 203.0.113.10: both serve"
		closed = "none of its 3 endpoints is healthy behind the load balancer, while 2 pods are ready behind Service/shop/web: the probes do not reach the nodes"
	)
	movable := strings.Replace(ingressYAML, "{kubernetes.io/ingress.class: gce}", "{kubernetes.io/ingress.class: gce, fedsync.dev/move: Allowed}", 1)
	clusterIP := func(w *world) {
		balanced(w)
		w.plan(strings.ReplaceAll(strings.ReplaceAll(serviceYAML, "NodePort", "ClusterIP"), ", nodePort: 30061", ""))
		w.in.Plan.Ports = nil
		w.facts(func(f *federation.ClusterFacts) {
			f.NodePorts = nil
			f.Services[0].Type, f.Services[0].NEG = "ClusterIP", `{"ingress":true}`
		})
	}
	return []testCase{
		{name: "fedsync's own load balancer serves", lasted: time.Hour, change: balanced},
		{name: "the class may stand in either place", lasted: time.Hour, change: func(w *world) {
			balanced(w)
			w.plan(strings.Replace(strings.Replace(ingressYAML, "  annotations: {kubernetes.io/ingress.class: gce}\n", "", 1),
				"  tls:", "  ingressClassName: gce\n  tls:", 1), "c2")
		}},
		{name: "as Git has it, the class is Google's or none", lasted: time.Hour, change: func(w *world) {
			balanced(w)
			w.plan(ingressYAML, "c1")
			w.plan(strings.Replace(ingressYAML, "  annotations: {kubernetes.io/ingress.class: gce}\n", "", 1), "c2")
		}},
		{name: "Google's controller is there and serves others", lasted: time.Hour, change: func(w *world) {
			balanced(w)
			w.facts(func(f *federation.ClusterFacts) {
				f.IngressUID = federation.IngressUID{Known: true, Exists: true, UID: "aaaa"}
				f.Ingresses = append(f.Ingresses, federation.Ingress{Namespace: "x", Name: "y", Google: true, URLMap: "k8s-um-x-y--aaaa"})
			})
		}},
		{name: "Google's controller left its annotations on what has another class", lasted: time.Hour, change: func(w *world) {
			balanced(w)
			w.facts(func(f *federation.ClusterFacts) { f.Ingresses[0].Google, f.Ingresses[0].URLMap = true, "k8s2-um-x" })
		}},
		{
			name:   "Google's controller serves it and ours is being made",
			lasted: time.Hour,
			change: func(w *world) {
				googles(w)
				w.in.Facts.Balancers[0].Complete = false
			},
			want: []want{{
				id: "D12", severity: note, cluster: "c2", object: ingressRef,
				message: "Google's controller serves it in c2; fedsync creates its own load balancer in addition, and changes nothing there",
			}},
		},
		{
			name:   "both serve",
			change: func(w *world) { googles(w) },
			want: []want{{
				id: "D12", severity: warning, cluster: "c2", object: ingressRef, message: byHand,
				remedy: "point DNS at 203.0.113.10; when no client uses the old address any more, set the annotation fedsync.dev/move: Allowed in apps/web/ingress-web.yaml",
			}},
		},
		{
			name: "it may move and is on its way",
			change: func(w *world) {
				googles(w)
				w.plan(movable, "c2")
			},
			want: []want{{id: "D12", severity: note, cluster: "c2", object: ingressRef, message: "*"}},
		},
		{
			name: "it may move and does not", lasted: 15 * time.Minute,
			change: func(w *world) {
				googles(w)
				w.plan(movable, "c2")
				w.in.Facts.Balancers[0].Clusters[1].State = federation.TrafficNone
			},
			want: []want{{
				id: "D12", severity: warning, cluster: "c2", object: ingressRef,
				message: "it may move to fedsync's load balancer, but Google's controller still serves it in c2: behind fedsync's load balancer it is NoEndpoints",
				remedy:  "check why they are not",
			}},
		},
		{
			name: "another controller's class in one cluster",
			change: func(w *world) {
				balanced(w)
				w.plan(strings.Replace(ingressYAML, "gce", "nginx", 1), "c2")
			},
			want: []want{{
				id: "D12", severity: warning, cluster: "c2", object: ingressRef,
				message: "cluster c2 uses nginx: cannot share the IP of c1, c3",
				remedy:  "remove the class in apps/web/ingress-web.yaml",
			}},
		},
		{
			name: "fedsync's load balancer cannot reach a Service", lasted: time.Minute,
			change: clusterIP,
			want: []want{
				{
					id: "D11c", severity: failure, cluster: "c1", object: serviceRef,
					message: "is of type ClusterIP: fedsync's load balancer of networking.k8s.io/Ingress/shop/web reaches pods only through node ports",
					remedy:  "set type: NodePort in apps/web/service-web.yaml",
				},
				{id: "D11c", severity: failure, cluster: "c2", object: serviceRef, message: "*"},
				{id: "D11c", severity: failure, cluster: "c3", object: serviceRef, message: "*"},
			},
		},
		{
			name: "one load balancer shows one certificate for all", lasted: time.Minute,
			change: func(w *world) {
				balanced(w)
				w.facts(func(f *federation.ClusterFacts) { f.Certificates[0].Digest = "fedcba9876543210" }, "c2")
			},
			want: []want{{id: "D19", severity: failure, object: secretRef, message: "*"}},
		},
		{
			name: "the probes reach no node of a cluster", lasted: time.Minute,
			change: func(w *world) {
				balanced(w)
				unhealthy(w)
			},
			want: []want{{
				id: "D16", severity: warning, cluster: "c2", message: closed,
				remedy: "allow 130.211.0.0/22 and 35.191.0.0/16 to reach the node ports: fedsync firewall shop/web prints the command",
			}},
		},
		{
			name: "the probes may be on their way",
			change: func(w *world) {
				balanced(w)
				unhealthy(w)
			},
			want: []want{{id: "D16", severity: note, cluster: "c2", message: closed}},
		},
		{
			name: "the probes reach no node of a cluster elsewhere", lasted: time.Minute,
			change: func(w *world) {
				balanced(w)
				w.in.Federation.Clusters[1].Zone = "europe-west1-b"
				unhealthy(w)
			},
			want: []want{{id: "D16", severity: warning, cluster: "c2", message: closed, remedy: "the Cloud Router must advertise both ranges"}},
		},
		{name: "some nodes answer", lasted: time.Hour, change: func(w *world) {
			balanced(w)
			unhealthy(w)
			w.in.Facts.Balancers[0].Clusters[1].Healthy = 1
		}},
		{
			name: "nobody could answer", lasted: time.Minute,
			change: func(w *world) {
				balanced(w)
				unhealthy(w)
				w.facts(noEndpoints, "c2")
			},
			want: []want{{id: "D18", severity: warning, cluster: "c2", object: serviceRef, message: "*"}},
		},
	}
}
