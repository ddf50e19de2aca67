package keeper

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// noCloud is a Compute Engine that cannot be read, because there are no credentials.
type noCloud struct{ gcp.Cloud }

func (noCloud) Observe(context.Context, gcp.Scope) gcp.Observed {
	return gcp.Observed{At: time.Now(), Resources: map[gcp.ID]gcp.Resource{}, Errors: []gcp.ReadError{{
		What: "everything", Err: &gcp.ConnectError{Err: context.DeadlineExceeded}, Since: time.Now(),
	}}}
}

func TestWithoutCredentialsMachinesAreNotReported(t *testing.T) {
	want, seen, planned := Preview(t.Context(), noCloud{}, gcptest.NewScene(2).Input())
	if text := gcptest.Findings(want); text != "" {
		t.Errorf("findings:\n%s\nwant none: one error reports that nothing can be read", text)
	}
	if len(planned.Actions) > 0 || len(seen.Errors) != 1 {
		t.Errorf("%d actions, errors %v; want none, and one", len(planned.Actions), seen.Errors)
	}
	if remedy := remedyOf(seen.Errors[0].Err); !strings.Contains(remedy, "Application Default Credentials") {
		t.Errorf("the remedy is %q, want it to name Application Default Credentials", remedy)
	}
}

// A preview reads no keys, which is no fault of an existing Secret.
func TestAPreviewDoesNotBlameASecret(t *testing.T) {
	in := gcp.Input{
		Federation: &federation.Federation{Clusters: []federation.Cluster{{Name: "c1"}}},
		Facts: federation.Facts{Clusters: map[string]federation.ClusterFacts{"c1": {
			State: federation.ClusterReady, Synced: true,
			Certificates: []federation.Certificate{{Namespace: "default", Name: "tls", Exists: true, Digest: "d"}},
		}}},
	}
	k := newKeys(nil)
	k.readOne(t.Context(), &in, "default/tls", []string{"c1"})
	if known := k.known(); len(known) > 0 {
		t.Errorf("known of the Secret: %v, want nothing", known)
	}
	in.Facts.Clusters["c1"].Certificates[0].Exists = false
	k.readOne(t.Context(), &in, "default/tls", []string{"c1"})
	if got := k.known()["default/tls"].Error; !strings.Contains(got, "does not exist in c1") {
		t.Errorf("of a Secret that is missing: %q", got)
	}
}
