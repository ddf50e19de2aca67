package health

import (
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/sandboxtest"
	"github.com/fedsync/fedsync/pkg/federation"
)

func TestProberAsksARealAPIServer(t *testing.T) {
	s := sandboxtest.Shared(t)
	cfg := s.RESTConfig(s.Clusters()[0])
	reports := probe(t, cfg, func(Probe) {})
	if first := reports.wait(t, federation.ClusterReady, federation.FailureNone); first.Probes != 1 {
		t.Errorf("Ready after %d probes, want after the first", first.Probes)
	}
	second := reports.wait(t, federation.ClusterReady, federation.FailureNone)
	if !strings.HasPrefix(second.Version, "v1.") {
		t.Errorf("version = %q, want the API server's", second.Version)
	}
}

func TestProberTellsARefusedTokenFromAnAbsentCluster(t *testing.T) {
	s := sandboxtest.Shared(t)
	cfg := s.RESTConfig(s.Clusters()[0])
	cfg.BearerToken = "expired-in-spring"
	got := probe(t, cfg, func(Probe) {}).wait(t, federation.ClusterUnknown, federation.FailureUnauthorised)
	if got.Error != "GET /readyz: 401 Unauthorized: Unauthorized" {
		t.Errorf("error = %q", got.Error)
	}
}
