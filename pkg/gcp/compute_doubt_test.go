package gcp

import (
	"net/http"
	"testing"

	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

// A list that is a success and lacks what a resource of ours points at is not taken for
// the whole: neither by who knew better, nor after a start.
func TestAListThatLacksWhatIsInUseIsNotComplete(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	f.build(t, c)
	for kind, test := range map[Kind]struct{ path, items, lost string }{
		KindGroup:      {"/aggregated/networkEndpointGroups", `"items"`, `"lost"`},
		KindService:    {"/global/backendServices", `"items"`, `"lost"`},
		KindURLMap:     {"/global/urlMaps", `"items"`, `"lost"`},
		KindHTTPProxy:  {"/global/targetHttpProxies", `"items"`, `"lost"`},
		KindHTTPSProxy: {"/global/targetHttpsProxies", `"items"`, `"lost"`},
	} {
		partial, err := NewCompute(t.Context(), Options{
			Project: standProject, Endpoint: server.URL(), QPS: 1e6, Burst: 1e6,
			HTTPClient: &http.Client{Transport: rewrite{test.path, test.items, test.lost}},
		})
		if err != nil {
			t.Fatal(err)
		}
		seen := partial.Look(t.Context(), Scope{Owner: standOwner})
		if seen.Complete[kind] || len(seen.Errors) != 1 {
			t.Errorf("%s: complete %v, errors %v", kind, seen.Complete[kind], seen.Errors)
		}
	}
	if seen := mustLook(t, c, Scope{}); len(seen.Complete) != len(Kinds) {
		t.Errorf("complete: %v", seen.Complete)
	}
}
