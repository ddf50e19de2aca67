package growth

import (
	"fmt"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/diagnose"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule"
)

// diagnoseRows are what a diagnosis may have many of.
var diagnoseRows = []dimension{
	{"Services that run", 250, diagnosisOf(world{}, func(i int) map[string]any { return service(i, 2, 0) })},
	{"Services that wait", 1_000, diagnosisOf(world{unknown: true}, func(i int) map[string]any { return service(i, 2, 0) })},
	{"Ingresses that run", 250, diagnosisOf(world{balancers: true}, ingress)},
	{"workloads that run", 250, diagnosisOf(world{}, func(i int) map[string]any { return deployment(i, "") })},
	{"clusters that are seen", 150, func(t testing.TB, n int) func() {
		return world{clusters: n, balancers: true}.diagnosis(t, service(0, 2, 0), ingress(0), deployment(0, ""))
	}},
	{"clusters that are not", 150, func(t testing.TB, n int) func() {
		return world{clusters: n, away: true}.diagnosis(t, service(0, 2, 0), deployment(0, ""))
	}},
}

func diagnosisOf(w world, object func(i int) map[string]any) func(testing.TB, int) func() {
	return func(t testing.TB, n int) func() { return w.diagnosis(t, all(n, object)...) }
}

// diagnosis returns the work of three diagnoses of objects that run with a different
// node port in each cluster.
func (w world) diagnosis(t testing.TB, contents ...map[string]any) func() {
	planned := w.input(t, contents)
	in := diagnose.Input{
		Federation: planned.Federation, Facts: planned.Facts, Plan: schedule.New().Plan(planned),
		Observations: map[string][]federation.Observation{}, Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	for at, c := range planned.Federation.Clusters {
		facts := in.Facts.Clusters[c.Name]
		facts.ServicesKnown = true
		for i, o := range planned.Bundles[0].Objects {
			in.Observations[c.Name] = append(in.Observations[c.Name], federation.Observation{
				Cluster: c.Name, App: "app0", Object: o.Ref, Health: federation.Degraded, Message: untrusted.New("no"),
			})
			switch o.Ref.Kind {
			case "Service":
				facts.Services = append(facts.Services, federation.Service{Namespace: "default", Name: o.Ref.Name, Type: "NodePort"})
				facts.NodePorts = append(facts.NodePorts, federation.NodePort{
					Protocol: "TCP", ServicePort: 1, Port: int32(30000 + i + at), Namespace: "default", Service: o.Ref.Name,
				})
			case "Ingress":
				facts.Ingresses = append(facts.Ingresses, federation.Ingress{
					Namespace: "default", Name: o.Ref.Name, Ours: true, Google: true, Addresses: []string{fmt.Sprint("192.0.2.", at)},
				})
			}
		}
		in.Facts.Clusters[c.Name] = facts
	}
	return func() {
		var d diagnose.Diagnoser
		for _, later := range []time.Duration{0, time.Minute, time.Hour} {
			in := in
			in.Now = in.Now.Add(later)
			d.Diagnose(in)
		}
	}
}
