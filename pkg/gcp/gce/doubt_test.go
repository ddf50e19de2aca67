package gce

import (
	"net/http"
	"testing"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// A successful list that lacks a resource which one of ours refers to counts as
// incomplete, both in a process that knew the resource and after a start.
func TestAListThatLacksAResourceInUseIsIncomplete(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	f.build(t, c)
	for kind, test := range map[gcp.Kind]struct{ path, items, lost string }{
		gcp.KindGroup:      {"/aggregated/networkEndpointGroups", `"items"`, `"lost"`},
		gcp.KindService:    {"/global/backendServices", `"items"`, `"lost"`},
		gcp.KindURLMap:     {"/global/urlMaps", `"items"`, `"lost"`},
		gcp.KindHTTPProxy:  {"/global/targetHttpProxies", `"items"`, `"lost"`},
		gcp.KindHTTPSProxy: {"/global/targetHttpsProxies", `"items"`, `"lost"`},
	} {
		partial, err := New(t.Context(), Options{
			Project: gcptest.Project, Endpoint: server.URL(), QPS: 1e6, Burst: 1e6,
			HTTPClient: &http.Client{Transport: rewrite{test.path, test.items, test.lost}},
		})
		if err != nil {
			t.Fatal(err)
		}
		seen := partial.Observe(t.Context(), gcp.Scope{Owner: standOwner})
		if seen.Complete[kind] || len(seen.Errors) != 1 {
			t.Errorf("%s: complete %v, errors %v", kind, seen.Complete[kind], seen.Errors)
		}
	}
	if seen := mustObserve(t, c, gcp.Scope{}); len(seen.Complete) != len(gcp.Kinds) {
		t.Errorf("complete: %v", seen.Complete)
	}
}
