package membertest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/pkg/bounds"
)

// Served returns how many requests of the restricted user an API server has counted as
// dispatched. Its flow schema has no other users: all programs of a sandbox, and the
// tests' other clients, are administrators.
func Served(t *testing.T, cfg *rest.Config) int {
	t.Helper()
	cfg, connections := bounds.TrackConnections(cfg)
	defer connections.Close()
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cfg.Host+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // It was only read.
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s, %v", resp.Status, err)
	}
	total := 0
	for line := range strings.Lines(string(body)) {
		labels, count, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasPrefix(labels, "apiserver_flowcontrol_dispatched_requests_total{") ||
			!strings.Contains(labels, `flow_schema="global-default"`) {
			continue
		}
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("read %q: %v", line, err)
		}
		total += n
	}
	return total
}
