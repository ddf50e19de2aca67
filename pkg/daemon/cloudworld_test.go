package daemon

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

// cloudPatience is how long a load balancer may take: two cores run the stand-ins for all
// machines of all clusters, and their load balancer.
const cloudPatience = 2 * time.Minute

// cloudWorld is a world whose federation is behind a load balancer.
type cloudWorld struct {
	*world

	cloud *lab.GCP

	// What push writes. Said is what fedsync.yaml has about a cluster in addition to its
	// name, or absent; Web is the Ingress, and empty means the usual one.
	said  map[string]string
	web   string
	noGCP bool   // there is no gcp: block
	head  string // prefix of the names of the federation's resources; set by learn
}

// absent leaves a cluster out of fedsync.yaml, and the Ingress out of the app.
const absent = "-"

func newCloudWorld(t *testing.T, s *lab.Sandbox) *cloudWorld {
	w := &cloudWorld{world: newWorld(t, s), cloud: s.GCP(t), said: map[string]string{}}
	w.cfg.GCPEndpoint = w.cloud.Endpoint
	w.cfg.GCPRate = 1000 // the test does not measure the limit
	// Every result is reported as soon as it is known: no test waits for a timer.
	w.change = func(d *Daemon) { d.turnEvery = time.Hour }
	return w
}

// push pushes the federation with its app, and returns the commit.
func (w *cloudWorld) push() string {
	var clusters strings.Builder
	for _, c := range w.sandbox.Clusters() {
		if w.said[c] == absent {
			continue
		}
		fields := []string{"name: " + c}
		if w.said[c] != "" {
			fields = append(fields, w.said[c])
		}
		if slices.Contains(w.cloud.Outside, c) {
			fields = append(fields, "zone: "+zoneOf(c))
		}
		fmt.Fprintf(&clusters, "  - {%s}\n", strings.Join(fields, ", "))
	}
	block := ""
	if !w.noGCP {
		block = fmt.Sprintf("  gcp: {project: %s, network: %s}\n", w.cloud.Project, w.cloud.Network)
	}
	files := map[string]string{
		"fedsync.yaml": fmt.Sprintf(`apiVersion: fedsync.dev/v1alpha1
kind: Federation
metadata: {name: %s}
spec:
%s  clusters:
%s  apps:
  - {name: web, path: apps/web}
`, w.name, block, clusters.String()),
		"apps/web/service.yaml": w.service(),
		"apps/web/web.yaml":     w.replicaSet(2),
		"apps/web/ingress.yaml": w.ingress(),
	}
	switch w.web {
	case "":
	case absent:
		delete(files, "apps/web/ingress.yaml")
		w.repo.InWork("rm", "--quiet", "apps/web/ingress.yaml")
	default:
		files["apps/web/ingress.yaml"] = w.web
	}
	return w.repo.Push("push", files)
}

// zoneOf returns the zone that a sandbox names a cluster after: "europe-west1-b" for
// "gce-europe-west1b".
func zoneOf(cluster string) string {
	place := strings.TrimPrefix(cluster, "gce-")
	return place[:len(place)-1] + "-" + place[len(place)-1:]
}

// ingressWith returns an Ingress of the app with annotations, and a spec in one line.
func (w *cloudWorld) ingressWith(spec string, annotations map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web\n  namespace: %s\n  annotations:\n", w.namespace)
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		fmt.Fprintf(&b, "    %s: %q\n", name, annotations[name])
	}
	fmt.Fprintf(&b, "spec: %s\n", spec)
	return b.String()
}

// served waits until the newest commit is a success, which it is when every cluster
// takes traffic.
func (w *cloudWorld) served(d *ran) *status.Report {
	w.t.Helper()
	var report *status.Report
	within(w.t, cloudPatience, "every cluster takes traffic", func() string {
		report = d.reports.Newest()
		switch {
		case report == nil || report.Revision.SHA != w.repo.Head():
			return "no report"
		case report.State != status.Success:
			return w.describe(report)
		case len(report.Balancers) != 1 || report.Balancers[0].Address == "":
			return "no address"
		}
		return ""
	})
	w.learn(report)
	return report
}

// learn records the prefix of the names of the federation's resources.
func (w *cloudWorld) learn(r *status.Report) {
	const digest = len("fedsync-12345678-")
	for _, resource := range r.Balancers[0].Resources {
		if name, ok := strings.CutPrefix(resource, "URL map "); ok {
			w.head = name[:digest]
		}
	}
}

// isOurs reports whether a resource on Compute Engine is the federation's, or an
// address that it names.
func (w *cloudWorld) isOurs(name string) bool {
	return w.head != "" && strings.HasPrefix(name, w.head) || strings.HasPrefix(name, "fedsync-"+w.name+"-") || strings.HasPrefix(name, w.namespace)
}

func (w *cloudWorld) describe(r *status.Report) string {
	text := describe(r)
	for _, b := range r.Balancers {
		text += fmt.Sprintf("  %s %s complete %t refused %q\n", b.Ingress, b.Address, b.Complete, b.Refused)
		for _, c := range b.Clusters {
			text += fmt.Sprintf("    %s %s %d/%d %s\n", c.Cluster, c.State, c.Healthy, c.Endpoints, c.Reason)
		}
	}
	if r.Cloud != nil {
		text += fmt.Sprintf("  cloud %s, pending %v\n", r.Cloud.Error, r.Cloud.Pending)
	}
	return text
}

func (w *cloudWorld) awaitTraffic(d *ran, cluster string, want federation.TrafficState) {
	w.t.Helper()
	within(w.t, cloudPatience, fmt.Sprintf("%s is %s", cluster, want), func() string {
		r := d.reports.Newest()
		for _, b := range r.Balancers {
			if c, ok := b.Cluster(cluster); ok && c.State == want {
				return ""
			}
		}
		return w.describe(r)
	})
}

// mutations returns the calls that change the federation's resources.
func (w *cloudWorld) mutations() []gcetest.Call {
	return slices.DeleteFunc(w.cloud.Calls(w.t), func(c gcetest.Call) bool { return !changes(c) || !w.isOurs(c.Name) })
}

// shownInEveryCluster waits until kubectl get ingress shows the address everywhere.
func (w *cloudWorld) shownInEveryCluster(address string) {
	w.t.Helper()
	for _, cluster := range w.sandbox.Clusters() {
		eventually(w.t, "the Ingress in "+cluster+" shows "+address, func() string {
			u := w.get(cluster, "Ingress", "web")
			ingresses, _, _ := unstructured.NestedSlice(u.Object, "status", "loadBalancer", "ingress")
			if got := fmt.Sprint(ingresses); got != fmt.Sprintf("[map[ip:%s]]", address) {
				return got
			}
			return ""
		})
	}
}

// answeredBy sends requests to the address until every cluster has answered.
func (w *cloudWorld) answeredBy(address string, clusters []string) {
	w.t.Helper()
	missing := slices.Clone(clusters)
	eventually(w.t, "every cluster answers at "+address, func() string {
		response, err := w.cloud.Get(w.t, "http://"+address+"/")
		if err != nil {
			return err.Error()
		}
		_ = response.Body.Close()
		by := response.Header.Get("X-Cluster")
		missing = slices.DeleteFunc(missing, func(c string) bool { return c == by })
		return strings.Join(missing, " ")
	})
}

// unchanged checks that nothing was changed on Compute Engine since.
func (w *cloudWorld) unchanged(t *testing.T, before []gcetest.Call) {
	t.Helper()
	after := w.mutations()
	for _, c := range after[min(len(before), len(after)):] {
		t.Errorf("%s %s was called", c.Method, c.Name)
	}
}

var reading = regexp.MustCompile(`\.(get|list|aggregatedList|wait|getHealth|listNetworkEndpoints|listInstances|validate|testIamPermissions)$`)

// changes reports whether a call changes something.
func changes(c gcetest.Call) bool { return !reading.MatchString(c.Method) }
