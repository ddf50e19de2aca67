package daemon

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

// leaves removes clusters from a load balancer, brings them back, and removes the load
// balancer.
func (w *cloudWorld) leaves() {
	clusters := w.sandbox.Clusters()
	gone, lost, last := clusters[0], clusters[1], clusters[2]
	d := w.start()
	w.push()
	address := w.served(d).Balancers[0].Address
	w.answeredBy(address, clusters)
	requests := w.load(address)
	defer requests.stop()

	w.said[gone], w.said[lost] = absent, "state: Lost"
	w.push()
	within(w.t, cloudPatience, "nothing is left of the clusters that left", func() string {
		return strings.Join(append(w.groupsOf(gone), w.groupsOf(lost)...), " ")
	})
	if left := w.groupsOf(last); len(left) == 0 {
		w.t.Errorf("nothing is left of %s, want its resources to remain", last)
	}
	w.awaitTraffic(d, last, federation.TrafficServing)
	requests.unharmed(w.t)

	w.said[last] = "drain: true"
	w.push()
	d.await("the last one is not drained", hasFinding("E drain", last, "no other cluster has healthy endpoints"))
	requests.unharmed(w.t)
	requests.heard(w.t, last)

	clear(w.said)
	w.push()
	w.served(d)
	w.answeredBy(address, clusters)
	requests.unharmed(w.t)
	requests.stop()
	w.t.Logf("clusters leave and join: %s", requests)

	w.web = absent
	d.live(w.push())
	within(w.t, cloudPatience, "nothing but the address is left", func() string {
		left := slices.DeleteFunc(w.marked(), func(name string) bool { return name == "address "+w.namespace })
		if len(left) == 0 {
			return ""
		}
		return strings.Join(left, ", ") + "\n" + w.describe(d.reports.Newest())
	})
	w.leaked()
}

// groupsOf returns the names of the federation's endpoint groups for a cluster.
func (w *cloudWorld) groupsOf(cluster string) []string {
	w.t.Helper()
	var names []string
	for _, g := range w.cloud.Snapshot(w.t).EndpointGroups {
		if m := markIn(g.Description); m.Federation == w.name && m.Cluster == cluster {
			names = append(names, g.Name)
		}
	}
	return names
}

// marked returns the resources with the federation's mark, and their kinds.
func (w *cloudWorld) marked() []string {
	w.t.Helper()
	return markedIn(w.cloud.Snapshot(w.t), w.name)
}

func markedIn(s gcetest.Snapshot, name string) []string {
	var all []string
	add := func(kind, resource, description string) {
		if markIn(description).Federation == name {
			all = append(all, kind+" "+resource)
		}
	}
	for _, r := range s.Addresses {
		add("address", r.Name, r.Description)
	}
	for _, r := range s.Firewalls {
		add("firewall rule", r.Name, r.Description)
	}
	for _, r := range s.HealthChecks {
		add("health check", r.Name, r.Description)
	}
	for _, r := range s.EndpointGroups {
		add("endpoint group", r.Name, r.Description)
	}
	for _, r := range s.BackendServices {
		add("backend service", r.Name, r.Description)
	}
	for _, r := range s.URLMaps {
		add("URL map", r.Name, r.Description)
	}
	for _, r := range s.Certificates {
		add("certificate", r.Name, r.Description)
	}
	for _, r := range s.HTTPProxies {
		add("HTTP proxy", r.Name, r.Description)
	}
	for _, r := range s.HTTPSProxies {
		add("HTTPS proxy", r.Name, r.Description)
	}
	for _, r := range s.ForwardingRules {
		add("forwarding rule", r.Name, r.Description)
	}
	return all
}

// mark is the owner of a resource, from its description.
type mark struct {
	Federation string `json:"fedsync"`
	Cluster    string `json:"cluster"`
}

func markIn(description string) mark {
	var m mark
	_ = json.Unmarshal([]byte(description), &m) // a foreign resource has another description
	return m
}

// leaked checks that every resource that the federation ever made, under any name, was
// deleted in the end, except for the address.
func (w *cloudWorld) leaked() {
	w.t.Helper()
	seen := 0
	for path, history := range w.cloud.History(w.t) {
		name := lastPart(path)
		if !w.isOurs(name) || strings.Contains(path, "/addresses/") {
			continue
		}
		seen++
		if end := history[len(history)-1]; !strings.HasSuffix(end.Method, ".delete") {
			w.t.Errorf("%s is left: %s", path, fmt.Sprint(end))
		}
	}
	if seen < 8 {
		w.t.Errorf("only %d resources were ever made", seen)
	}
}
