package growth

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// statusRows are what a report may have many of.
var statusRows = []dimension{
	{"findings of a report", 2_000, reportOf(func(in *status.Input, i int) {
		in.Findings = append(in.Findings, federation.Finding{ID: "render", Severity: federation.SeverityError, App: "a", Object: ref(i), Message: untrusted.New(fmt.Sprint("wrong ", i))})
	})},
	{"changes that failed", 1_000, reportOf(func(in *status.Input, i int) {
		c := in.Clusters["c0"]
		c.Changes = append(c.Changes, federation.Change{Cluster: "c0", App: "a", Object: ref(i), Action: federation.ActionFailed, Err: errors.New("refused")})
		in.Clusters["c0"] = c
	})},
	{"objects that are not healthy", 1_000, reportOf(func(in *status.Input, i int) {
		c := in.Clusters["c0"]
		health := federation.Degraded
		if i%2 == 0 {
			health = federation.Progressing
		}
		c.Observations = append(c.Observations, federation.Observation{Cluster: "c0", App: "a", Object: ref(i), Health: health, Message: untrusted.New("no")})
		in.Clusters["c0"] = c
	})},
	{"objects that are withheld", 1_000, reportOf(func(in *status.Input, i int) {
		app := &in.Plan.Clusters[0].Apps[0]
		app.Withheld = append(app.Withheld, federation.Withheld{Object: ref(i), Reason: "no"})
	})},
	{"objects that are not seen", 1_000, reportOf(func(in *status.Input, i int) {
		app := &in.Plan.Clusters[0].Apps[0]
		app.Objects = append(app.Objects, &federation.Object{Ref: federation.ObjectRef{Kind: "Service", Namespace: "x", Name: fmt.Sprint(i)}})
	})},
	{"ports that wait", 1_000, reportOf(func(in *status.Input, i int) {
		in.Plan.Ports = append(in.Plan.Ports, federation.PortDecision{App: "a", Service: ref(i), Port: 80, Protocol: "TCP", Basis: federation.PortWaiting, Reason: "waits", Waits: []string{"c0"}})
	})},
	{"clusters of a report", 500, reportOf(func(in *status.Input, i int) {
		name := fmt.Sprint("n", i)
		in.Federation.Clusters = append(in.Federation.Clusters, federation.Cluster{Name: name})
		in.Clusters[name] = status.ClusterInput{Facts: federation.ClusterFacts{State: federation.ClusterReady, Seen: true, Synced: true}}
		in.Plan.Clusters = append(in.Plan.Clusters, federation.ClusterPlan{Cluster: name})
	})},
	{"clusters that do not answer", 500, reportOf(func(in *status.Input, i int) {
		name := fmt.Sprint("n", i)
		in.Federation.Clusters = append(in.Federation.Clusters, federation.Cluster{Name: name})
		in.Clusters[name] = status.ClusterInput{Facts: federation.ClusterFacts{State: federation.ClusterOffline, Seen: true}}
	})},
	{"addresses of Ingresses", 500, reportOf(func(in *status.Input, i int) {
		c := in.Clusters["c0"]
		c.Observations = append(c.Observations, federation.Observation{
			Cluster: "c0", App: "a", Health: federation.Healthy, Hosts: []string{fmt.Sprint("h", i)}, Addresses: []string{fmt.Sprint("192.0.2.", i)},
			Object: federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "x", Name: fmt.Sprintf("o%06d", i)},
		})
		in.Clusters["c0"] = c
	})},
}

func ref(i int) federation.ObjectRef {
	return federation.ObjectRef{Group: "apps", Kind: "Deployment", Namespace: "x", Name: fmt.Sprintf("o%06d", i)}
}

// reportOf returns the work of three reports on the same input, the last one after
// the deadline.
func reportOf(add func(in *status.Input, i int)) func(testing.TB, int) func() {
	return func(_ testing.TB, n int) func() {
		revision := federation.Revision{SHA: "0123456789012345678901234567890123456789"}
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		in := status.Input{
			Federation: &federation.Federation{Name: "web", Clusters: []federation.Cluster{{Name: "c0"}}, Apps: []federation.App{{Name: "a"}}},
			Snapshot:   federation.Snapshot{Revision: revision}, FirstSeen: now, Now: now,
			Clusters: map[string]status.ClusterInput{"c0": {
				Facts: federation.ClusterFacts{State: federation.ClusterReady, Seen: true, Synced: true}, Applied: revision, Revision: revision, Current: true,
			}},
			Plan: &federation.Plan{Revision: revision, Clusters: []federation.ClusterPlan{{Cluster: "c0", Apps: []federation.AppPlan{{App: "a"}}}}},
		}
		for i := range n {
			add(&in, i)
		}
		return func() {
			in := in
			for _, later := range []time.Duration{0, time.Second, time.Hour} {
				in.Now = now.Add(later)
				r := status.Summarise(in)
				in.Previous = &r
			}
		}
	}
}
