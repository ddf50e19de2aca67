package probe

import (
	"context"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/pkg/federation"
)

// reported runs a prober until it has reported n times.
func reported(t *testing.T, cfg *rest.Config, n int) []Probe {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), membertest.Patience)
	defer cancel()
	var list []Probe
	NewProber(cfg, Options{}).Run(ctx, func(p Probe) {
		if list = append(list, p); len(list) == n {
			cancel()
		}
	})
	if len(list) < n {
		t.Fatalf("%d reports within %v, want %d: %+v", len(list), membertest.Patience, n, list)
	}
	return list
}

func TestProberAsksARealAPIServer(t *testing.T) {
	s := lab.Shared(t)
	list := reported(t, s.RESTConfig(s.Clusters()[0]), 2)
	for i, p := range list {
		if p.State != federation.ClusterReady || p.Failure != federation.FailureNone {
			t.Errorf("report %d = %+v, want Ready", i, p)
		}
	}
	if list[0].Probes != 1 {
		t.Errorf("Ready after %d probes, want after the first", list[0].Probes)
	}
	if !strings.HasPrefix(list[1].Version, "v1.") {
		t.Errorf("version = %q, want the API server's", list[1].Version)
	}
}

func TestProberDistinguishesARefusedTokenFromAnAbsentCluster(t *testing.T) {
	s := lab.Shared(t)
	cfg := s.RESTConfig(s.Clusters()[0])
	cfg.BearerToken = "expired-in-spring"
	got := reported(t, cfg, 1)[0]
	if got.State != federation.ClusterUnknown || got.Failure != federation.FailureUnauthorised {
		t.Errorf("report = %+v, want Unknown, unauthorised", got)
	}
	if got.Error != "GET /readyz: 401 Unauthorized: Unauthorized" {
		t.Errorf("error = %q", got.Error)
	}
}
