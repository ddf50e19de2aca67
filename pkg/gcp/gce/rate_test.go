package gce

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// direct calls a handler without a network, so that it works in a synctest bubble.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// newDirect returns a stand-in and a client of it with the usual pace and limits, for use
// in a synctest bubble.
func newDirect(t *testing.T) (*gcetest.Server, *Client) {
	t.Helper()
	server := gcetest.New(gcetest.Options{Projects: []string{gcptest.Project}})
	c, err := New(t.Context(), Options{
		Project: gcptest.Project, Endpoint: "http://127.0.0.1:1", HTTPClient: &http.Client{Transport: direct{server.Handler()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return server, c
}

func TestAttemptsAndOperationsAreWaitedForWithinBounds(t *testing.T) {
	create := newFrontend(t).check
	tests := map[string]struct {
		fault    gcetest.Fault
		class    gcp.Class
		min, max time.Duration
		calls    int // minimum number of inserts
	}{
		"an error that stays": {
			gcetest.Fault{Method: `.*insert`, Action: gcetest.Answer{Status: 503}}, gcp.ClassRetry, 20 * time.Second, 2 * time.Minute, 4,
		},
		"Retry-After": {
			gcetest.Fault{Method: `.*insert`, Times: 1, Action: gcetest.Answer{Status: 429, RetryAfter: 40 * time.Second}}, "", 40 * time.Second, 42 * time.Second, 2,
		},
		"Retry-After that is too long": {
			gcetest.Fault{Method: `.*insert`, Action: gcetest.Answer{Status: 429, RetryAfter: time.Hour}}, gcp.ClassRetry, 0, time.Second, 1,
		},
		"a slow operation": {
			gcetest.Fault{Method: `.*insert`, Action: gcetest.SlowOperation(3 * time.Minute)}, "", 3 * time.Minute, 3*time.Minute + time.Second, 1,
		},
		"an operation that does not end": {
			gcetest.Fault{Method: `.*insert`, Action: gcetest.SlowOperation(6 * time.Minute)}, gcp.ClassRetry, 5 * time.Minute, 5*time.Minute + time.Second, 1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, c := newDirect(t)
				defer server.Close()
				fault := server.Fault(tt.fault)
				start := time.Now()
				err := c.Do(t.Context(), gcp.Action{Verb: gcp.Create, ID: create.ID, Want: create})
				took, calls := time.Since(start), c.Calls()["healthChecks.insert"]
				if classOf(err) != tt.class || took < tt.min || took > tt.max || calls < tt.calls {
					t.Errorf("%v (%s) after %v and %d calls, want %q after %v to %v and %d", err, classOf(err), took, calls, tt.class, tt.min, tt.max, tt.calls)
				}
				fault.Remove()
				mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: create.ID, Want: create})
				if changes := server.History()["projects/shop-prod/global/healthChecks/web-hc"]; len(changes) != 1 {
					t.Errorf("history %v, want one insert", changes)
				}
			})
		})
	}
}

// The bound is in the documentation: a read every 10 seconds, 13 clusters of 20 nodes in a
// zone each, and 20 Services.
func TestReadingManyGroupsStaysWithinTheLimit(t *testing.T) {
	const clusters, services, nodes, minutes = 13, 20, 20, 4
	synctest.Test(t, func(t *testing.T) {
		server, c := newDirect(t)
		defer server.Close()
		scope := gcp.Scope{Owner: standOwner}
		for cluster := range clusters {
			zone := fmt.Sprintf("z%d-a", cluster)
			for node := range nodes {
				name := fmt.Sprintf("c%d-n%d", cluster, node)
				server.SetInstance(gcetest.Instance{
					Project: gcptest.Project, Zone: zone, Name: name, Network: "net", Subnetwork: "sub", Address: fmt.Sprintf("10.%d.0.%d", cluster, node),
				})
				scope.Nodes = append(scope.Nodes, "gce://"+gcptest.Project+"/"+zone+"/"+name)
			}
			for service := range services {
				group := gcp.Resource{ID: gcp.ID{Kind: gcp.KindGroup, Zone: zone, Name: fmt.Sprintf("neg-%d", service)}, Mark: gcptest.Mark, Spec: gcp.Group{
					Type: gcp.GroupOfMachines, Network: standNetwork, Subnetwork: fmt.Sprintf("projects/%s/regions/z%d/subnetworks/sub", gcptest.Project, cluster),
				}}
				mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: group.ID, Want: group})
				endpoints := []gcp.Endpoint{{Instance: fmt.Sprintf("c%d-n1", cluster), Address: fmt.Sprintf("10.%d.0.1", cluster), Port: 30080}}
				mustDo(t, c, gcp.Action{Verb: gcp.Attach, ID: group.ID, Want: group, Endpoints: endpoints})
			}
		}
		minute := func() map[string]int {
			before := c.Calls()
			for end := time.Now().Add(time.Minute); time.Now().Before(end); {
				next := time.Now().Add(10 * time.Second)
				scope.Earlier = mustObserve(t, c, scope)
				time.Sleep(time.Until(next))
			}
			made := maps.Clone(c.Calls())
			for method, n := range before {
				made[method] -= n
			}
			return made
		}
		first := minute()
		if got := first["networkEndpointGroups.listNetworkEndpoints"]; got != clusters*services {
			t.Errorf("endpoints of %d groups read in the first minute, want all %d once", got, clusters*services)
		}
		if got := first["instances.list"] + first["instances.get"]; got != clusters {
			t.Errorf("%d reads of machines in the first minute, want one for each zone", got)
		}
		var worst, total int
		for range minutes {
			made := 0
			for _, n := range minute() {
				made += n
			}
			worst, total = max(worst, made), total+made
		}
		t.Logf("%d groups, %d machines: %d reads a minute on average, %d at most", clusters*services, clusters*nodes, total/minutes, worst)
		if worst > 250 {
			t.Errorf("%d reads in a minute", worst)
		}
	})
}
