package diagnose_test

import (
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

func autoscalerCases() []testCase {
	scaled := func(change func(a *federation.Autoscaler), clusters ...string) func(w *world) {
		return func(w *world) {
			w.facts(func(f *federation.ClusterFacts) {
				a := federation.Autoscaler{Namespace: "shop", Name: "keda-hpa-web", Target: replicaSetRef, Owner: "ScaledObject/web"}
				change(&a)
				f.AutoscalersKnown, f.Autoscalers = true, []federation.Autoscaler{a}
			}, clusters...)
		}
	}
	as := func(*federation.Autoscaler) {}
	return []testCase{
		{
			name: "an autoscaler that is not in Git sets the replicas", change: scaled(as, "c2"),
			want: []want{{
				id: "autoscaler", severity: note, cluster: "c2", object: replicaSetRef,
				message: "HorizontalPodAutoscaler keda-hpa-web of ScaledObject/web, which is not in Git, sets the replicas that Git states",
				remedy:  "remove spec.replicas from apps/web/replicaset-web.yaml",
			}},
		},
		{
			name: "one in every cluster is said once", change: scaled(func(a *federation.Autoscaler) { a.Owner = "" }),
			want: []want{{
				id: "autoscaler", severity: note, object: replicaSetRef,
				message: "HorizontalPodAutoscaler keda-hpa-web, which is not in Git, sets the replicas that Git states",
			}},
		},
		{name: "one that is in Git", change: func(w *world) {
			scaled(as)(w)
			w.plan(`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {namespace: shop, name: keda-hpa-web}}`)
		}},
		{name: "one of ours that is about to go", change: scaled(func(a *federation.Autoscaler) { a.Ours = true })},
		{name: "one that sets what Git leaves to others", change: func(w *world) {
			scaled(as)(w)
			w.plan(strings.ReplaceAll(replicaSetYAML, "  replicas: 2\n", ""))
			w.in.Plan.Replicas = nil
		}},
		{name: "one of another's workload", change: scaled(func(a *federation.Autoscaler) { a.Target.Name = "other" })},
		{name: "one that was seen before they may no longer be listed", change: func(w *world) {
			scaled(as)(w)
			w.facts(func(f *federation.ClusterFacts) { f.AutoscalersKnown = false })
		}},
	}
}

func retiredCases() []testCase {
	served := func(controller string, clusters ...string) func(w *world) {
		return func(w *world) {
			w.facts(func(f *federation.ClusterFacts) {
				f.IngressesKnown = true
				f.IngressClassesKnown, f.IngressClasses = true, []federation.IngressController{
					{Class: "alb", Controller: "ingress.k8s.aws/alb"}, {Class: "gce", Controller: controller},
				}
			}, clusters...)
		}
	}
	return []testCase{
		{
			name: "a controller that is retired serves Ingresses", change: func(w *world) {
				served("k8s.io/ingress-nginx", "c1", "c3")(w)
				w.facts(func(f *federation.ClusterFacts) {
					f.Ingresses = append(f.Ingresses,
						federation.Ingress{Namespace: "shop", Name: "x", ClassName: "gce"},
						federation.Ingress{Namespace: "shop", Name: "y", ClassName: "alb", Ours: true},
						federation.Ingress{Namespace: "shop", Name: "z", ClassName: "gce", Ours: true},
					)
				}, "c3")
			},
			want: []want{{
				id: "retired", severity: note,
				message: "Ingresses are served by k8s.io/ingress-nginx, which is retired and gets no security fixes: in c1 (shop/web), c3 (shop/web, shop/z)",
				remedy:  "Gateway API",
			}},
		},
		{name: "another controller serves the class", change: served("nginx.org/ingress-controller")},
		{name: "classes may no longer be listed", change: func(w *world) {
			served("k8s.io/ingress-nginx")(w)
			w.facts(func(f *federation.ClusterFacts) { f.IngressClassesKnown = false })
		}},
		{name: "its Ingresses are another's", change: func(w *world) {
			served("k8s.io/ingress-nginx")(w)
			w.facts(func(f *federation.ClusterFacts) { f.Ingresses[0].Ours, f.Ingresses[0].URLMap = false, "" })
			w.without(ingressRef)
			w.unobserve(ingressRef)
		}},
	}
}
