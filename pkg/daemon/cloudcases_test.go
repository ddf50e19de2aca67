package daemon

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

// putBack is how long a change by hand may last: everything is read every ten seconds.
const putBack = 11 * time.Second

// meddled changes a resource of each kind by hand while fedsync runs.
func (w *cloudWorld) meddled() {
	d := w.start()
	w.push()
	address := w.served(d).Balancers[0].Address
	h := w.hand()
	began := len(w.cloud.Calls(w.t))
	edited := w.edit(h)
	within(w.t, cloudPatience, "what was changed by hand is put back", func() string {
		history := w.cloud.History(w.t)
		for path, at := range edited {
			if end := history[path][len(history[path])-1]; !end.Time.After(at) {
				return path
			}
		}
		return ""
	})
	w.served(d)
	w.answeredBy(address, w.sandbox.Clusters())
	calls := w.cloud.Calls(w.t)[began:]
	for path, at := range edited {
		i := slices.IndexFunc(calls, func(c gcetest.Call) bool { return changes(c) && c.Name == lastPart(path) && c.Time.After(at) })
		took := calls[i].Time.Sub(at)
		w.t.Logf("%s: put back after %s", path, took.Round(10*time.Millisecond))
		if took > putBack {
			w.t.Errorf("%s was put back after %s", path, took)
		}
	}
	report := d.reports.Newest()
	for _, f := range report.Findings {
		if f.Severity == federation.SeverityError {
			w.t.Errorf("finding %s: %s", f.ID, f)
		}
	}
}

// edit changes one resource of each kind, and returns the times when the changes were
// done, by path.
func (w *cloudWorld) edit(h *hand) map[string]time.Time {
	w.t.Helper()
	s := w.cloud.Snapshot(w.t)
	ours := func(description string) bool { return markIn(description).Federation == w.name }
	firewall := s.Firewalls[slices.IndexFunc(s.Firewalls, func(r *compute.Firewall) bool { return ours(r.Description) })]
	check := s.HealthChecks[slices.IndexFunc(s.HealthChecks, func(r *compute.HealthCheck) bool { return ours(r.Description) })]
	service := s.BackendServices[slices.IndexFunc(s.BackendServices, func(r *compute.BackendService) bool { return ours(r.Description) })]
	urlMap := s.URLMaps[slices.IndexFunc(s.URLMaps, func(r *compute.UrlMap) bool { return ours(r.Description) })]
	rule := s.ForwardingRules[slices.IndexFunc(s.ForwardingRules, func(r *compute.ForwardingRule) bool { return ours(r.Description) })]
	group := s.EndpointGroups[slices.IndexFunc(s.EndpointGroups, func(r *compute.NetworkEndpointGroup) bool {
		return markIn(r.Description) == mark{w.name, w.sandbox.Clusters()[1]}
	})]
	began := time.Now()
	w.by(h,
		h.BackendServices.Insert(h.project, &compute.BackendService{Name: "their-" + w.name, LoadBalancingScheme: "EXTERNAL_MANAGED"}),
		h.Firewalls.Patch(h.project, firewall.Name, &compute.Firewall{SourceRanges: []string{"130.211.0.0/22"}}),
		h.HealthChecks.Patch(h.project, check.Name, &compute.HealthCheck{HttpHealthCheck: &compute.HTTPHealthCheck{RequestPath: "/other"}}),
		h.BackendServices.Patch(h.project, service.Name, &compute.BackendService{
			Fingerprint: service.Fingerprint, Backends: service.Backends[1:],
		}),
		h.UrlMaps.Patch(h.project, urlMap.Name, &compute.UrlMap{
			Fingerprint: urlMap.Fingerprint, DefaultService: h.global("backendServices/their-" + w.name),
		}),
		h.GlobalForwardingRules.Delete(h.project, rule.Name),
		h.NetworkEndpointGroups.DetachNetworkEndpoints(h.project, lastPart(group.Zone), group.Name,
			&compute.NetworkEndpointGroupsDetachEndpointsRequest{NetworkEndpoints: s.Endpoints[group.SelfLink]}),
	)
	at, history := map[string]time.Time{}, w.cloud.History(w.t)
	for _, link := range []string{firewall.SelfLink, check.SelfLink, service.SelfLink, urlMap.SelfLink, rule.SelfLink, group.SelfLink} {
		_, path, _ := strings.Cut(link, "/compute/v1/")
		// Later changes are by fedsync, which may have been faster than the last edit.
		for _, one := range slices.Backward(history[path]) {
			if one.Time.After(began) {
				at[path] = one.Time
			}
		}
	}
	return at
}

// yields lets a second instance take the federation over: the first writes nothing more.
func (w *cloudWorld) yields() {
	writes := &writes{}
	older := *w.cfg
	older.Kubeconfig = w.kubeconfig(nil)
	older.GCPEndpoint = w.through(writes)
	d1 := w.startWith(&older)
	w.push()
	w.served(d1)

	newer := *w.cfg
	newer.Instance = "second"
	d2 := w.startWith(&newer)
	w.served(d2)
	for _, cluster := range w.sandbox.Clusters() {
		d1.await("the older says that it is fenced", hasFinding("E fenced "+cluster, "instance second,"))
	}
	writes.reset()
	w.cloud.ResetCalls(w.t)

	w.web = w.ingressWith("{defaultBackend: {service: {name: web, port: {number: 80}}}, rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}",
		map[string]string{federation.AnnotationClass: federation.ClassGoogle, glbcAddress: w.namespace})
	sha := w.push()
	w.served(d2)
	d1.await("the older sees the push", func(r *status.Report) string {
		if r.Revision.SHA != sha {
			return "it does not"
		}
		return ""
	})
	w.by(w.hand(), w.hand().GlobalForwardingRules.Delete(w.cloud.Project, w.rule()))
	within(w.t, cloudPatience, "the rule is back", func() string {
		if w.rule() == "" {
			return "it is not"
		}
		return ""
	})
	w.served(d2)
	<-time.After(2 * time.Second) // there is no event to wait for when nothing is written
	if all := writes.take(); len(all) > 0 {
		w.t.Errorf("the older instance wrote: %s", strings.Join(all, ", "))
	}
	times := map[string]int{}
	for _, c := range w.mutations() {
		times[c.Method+" "+c.Zone+" "+c.Name]++
	}
	for what, n := range times {
		if n > 1 {
			w.t.Errorf("%d times: %s", n, what)
		}
	}
	if len(times) == 0 {
		w.t.Error("nothing was written at all")
	}
}

// rule is the name of the federation's forwarding rule; empty while there is none.
func (w *cloudWorld) rule() string {
	w.t.Helper()
	for _, r := range w.cloud.Snapshot(w.t).ForwardingRules {
		if markIn(r.Description).Federation == w.name {
			return r.Name
		}
	}
	return ""
}

// writes records requests that change something.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) reset() { w.take() }

// take returns and clears the recorded requests.
func (w *writes) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	w.all = nil
	return all
}

var readingPath = regexp.MustCompile(`/(wait|getHealth|listNetworkEndpoints|listInstances|validate|testIamPermissions)$`)

// through returns an endpoint of Compute Engine that records writes.
func (w *cloudWorld) through(all *writes) string {
	w.t.Helper()
	to, err := url.Parse(w.cloud.Endpoint)
	if err != nil {
		w.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: to.Scheme, Host: to.Host})
		r.Out.Host = r.In.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && !readingPath.MatchString(r.URL.Path) {
			all.mu.Lock()
			all.all = append(all.all, r.Method+" "+r.URL.Path)
			all.mu.Unlock()
		}
		proxy.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(server.Close)
	return server.URL + to.Path
}

// once brings a commit to the clusters with RunOnce, which returns when the load balancer
// serves.
func (w *cloudWorld) once() {
	fault := w.cloud.Fault(w.t, gcetest.Fault{Method: "globalForwardingRules.insert", Action: gcetest.Hang{}})
	w.push()
	d, err := New(w.cfg, Options{Version: testVersion, Log: w.log()})
	if err != nil {
		w.t.Fatal(err)
	}
	var report *status.Report
	ended := make(chan struct{})
	ctx, cancel := context.WithTimeout(w.t.Context(), cloudPatience)
	go func() {
		defer close(ended)
		defer cancel()
		report, err = d.RunOnce(ctx)
	}()
	eventually(w.t, "everything but the forwarding rule is done", func() string {
		calls := w.cloud.Calls(w.t)
		if r := d.reports.Newest(); r == nil || len(r.Balancers) != 1 {
			return "no balancer"
		} else if w.learn(r); !slices.ContainsFunc(calls, func(c gcetest.Call) bool { return c.Method == "targetHttpProxies.insert" && w.isOurs(c.Name) }) {
			return w.describe(r)
		}
		return ""
	})
	select {
	case <-ended:
		w.t.Errorf("it ended before there was a forwarding rule: %v\n%s", err, w.describe(report))
	case <-time.After(2 * time.Second):
	}
	fault.Remove(w.t)
	<-ended
	if err != nil || report.State != status.Success {
		w.t.Fatalf("RunOnce = %v\n%s", err, w.describe(report))
	}
	w.answeredBy(report.Balancers[0].Address, w.sandbox.Clusters())
}
