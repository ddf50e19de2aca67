package daemon

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// emptyCloud is a Compute Engine without resources.
type emptyCloud struct{ gcp.Cloud }

func (emptyCloud) Observe(context.Context, gcp.Scope) gcp.Observed {
	return gcp.Observed{At: time.Now(), Resources: map[gcp.ID]gcp.Resource{}, Complete: map[gcp.Kind]bool{}}
}

// Load balancers that no instance maintains any more are reported, until one does again.
func TestLoadBalancersThatAreLeftAreNamed(t *testing.T) {
	all := []federation.Balancer{{Ingress: federation.ObjectRef{Kind: "Ingress", Namespace: "default", Name: "web"}, Address: "192.0.2.1"}}
	f, stays := leftBehind("shop", all)
	if !stays || !strings.Contains(f.Message.String(), "default/web at 192.0.2.1") || !strings.Contains(f.Message.String(), "project shop") {
		t.Errorf("finding %v: %+v", stays, f)
	}
	if _, stays = leftBehind("shop", []federation.Balancer{{}}); stays {
		t.Error("a resource that never existed is reported as left")
	}
	g := &googleCloud{
		newCloud: func(string) gcp.Cloud { return emptyCloud{} }, log: zap.NewNop(),
		behind: map[string]federation.Finding{"shop": f},
	}
	if found := g.state().Findings; len(found) != 1 {
		t.Errorf("findings without a keeper: %v", found)
	}
	in := func(project string) gcp.Input {
		return gcp.Input{Federation: &federation.Federation{Name: "web", GCP: &federation.GCP{
			Project: project, LoadBalancer: federation.LoadBalancerNodePorts,
		}}}
	}
	g.want(t.Context(), in("other"))
	if found := g.state().Findings; len(found) == 0 || found[len(found)-1].Message != f.Message {
		t.Errorf("findings with another project: %v", found)
	}
	g.want(t.Context(), in("shop"))
	g.wait()
	if found := g.state().Findings; len(found) != 0 {
		t.Errorf("findings of a maintained project: %v", found)
	}
}

// A federation without load balancers that fedsync makes needs no credentials: fedsync
// sends no requests to Compute Engine.
func TestComputeEngineIsAskedOnlyForLoadBalancers(t *testing.T) {
	for name, block := range map[string]*federation.GCP{
		"no block":  nil,
		"None":      {Project: "shop", LoadBalancer: federation.LoadBalancerNone},
		"SharedUID": {Project: "shop", LoadBalancer: federation.LoadBalancerSharedUID},
	} {
		g := &googleCloud{log: zap.NewNop(), newCloud: func(string) gcp.Cloud {
			t.Errorf("%s: Compute Engine is asked", name)
			return nil
		}}
		g.want(t.Context(), gcp.Input{Federation: &federation.Federation{Name: "web", GCP: block}})
		if g.report() != nil {
			t.Errorf("%s: the report mentions Compute Engine", name)
		}
		g.wait()
	}
}
