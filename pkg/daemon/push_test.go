package daemon

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/sandboxtest"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestAPushGoesLiveAndTheNextChangesOnlyWhatChanged(t *testing.T) {
	w := newWorld(t, sandboxtest.Shared(t))
	d := w.start()
	first := w.repo.Push("first", map[string]string{
		"fedsync.yaml":         w.file("web"),
		"apps/web/all.yaml":    w.service() + "---\n" + w.replicaSet(2) + "---\n" + w.ingress(),
		"apps/web/config.yaml": w.settings("config", "one"),
	})
	report := d.live(first)
	if len(report.Addresses) != 1 || len(report.Addresses[0].Clusters) != len(w.sandbox.Clusters()) {
		t.Errorf("addresses = %+v, want one that all clusters report", report.Addresses)
	}
	for _, c := range report.Clusters {
		if c.Ready != 2 || c.Desired != 2 || !c.Current || c.Applied.SHA != first {
			t.Errorf("cluster %s: %d/%d ready, current %t at %s; want 2/2, current at %s", c.Name, c.Ready, c.Desired, c.Current, c.Applied, first)
		}
	}

	before := w.versions()
	second := w.repo.Push("second", map[string]string{"apps/web/config.yaml": w.settings("config", "two")})
	report = d.live(second)
	for _, c := range report.Clusters {
		if diff := cmp.Diff([]string{"configured ConfigMap/config"}, changesOf(c)); diff != "" {
			t.Errorf("changes in %s (-want +got):\n%s", c.Name, diff)
		}
		w.awaitValue(c.Name, "config", "two")
	}
	for object, version := range w.versions() {
		// The status of a ReplicaSet or an Ingress is others' to write.
		ours := strings.Contains(object, "/Service/") || strings.Contains(object, "/ConfigMap/fedsync-system/")
		if ours && version != before[object] {
			t.Errorf("%s was written, want it left alone", object)
		}
	}

	// The API tells the same, at the address that was chosen.
	response, err := http.Get(d.publicURL() + "/api/v1/report")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	var told status.Report
	if err := json.Unmarshal(body, &told); err != nil {
		t.Fatalf("GET /api/v1/report: %v: %s", err, body)
	}
	if told.Revision.SHA != second || told.State != status.Success {
		t.Errorf("GET /api/v1/report: %s %s, want %s a success", told.Revision, told.State, second)
	}
}

func TestARestartWithNothingChangedWritesNothing(t *testing.T) {
	s := sandboxtest.Shared(t)
	w := newWorld(t, s)
	w.cfg.Instance = ""                                       // its own name, which a restart finds again
	w.change = func(d *Daemon) { d.turnEvery = 2 * patience } // what is to be told is not left to the clock
	proxies := newProxies(t, s)
	w.cfg.Kubeconfig = proxies.kubeconfig
	sha := w.repo.Push("first", map[string]string{
		"fedsync.yaml":       w.file("web", "more"),
		"apps/web/all.yaml":  w.service() + "---\n" + w.replicaSet(1) + "---\n" + w.ingress(),
		"apps/more/all.yaml": w.settings("a", "1") + "---\n" + w.settings("b", "2"),
	})
	d := w.start()
	d.live(sha)
	d.stop()
	if len(proxies.takeWrites()) == 0 {
		t.Fatal("the proxies saw no write at the first start, want those of the sync")
	}
	before := w.versions()

	for range 2 {
		d = w.start()
		d.live(sha)
		d.stop()
		if writes := proxies.takeWrites(); len(writes) > 0 {
			t.Errorf("requests that write after a restart: %v, want none", writes)
		}
		if diff := cmp.Diff(before, w.versions()); diff != "" {
			t.Errorf("resourceVersions after a restart (-want +got):\n%s", diff)
		}
	}
}

// proxies stand before the clusters and note requests that write.
type proxies struct {
	kubeconfig string

	mu     sync.Mutex // protects writes
	writes []string
}

func newProxies(t *testing.T, s *sandboxtest.Sandbox) *proxies {
	t.Helper()
	p := &proxies{kubeconfig: tempFile(t, "kubeconfig")}
	config := clientcmdapi.NewConfig()
	for _, cluster := range s.Clusters() {
		cfg := s.RESTConfig(cluster)
		transport, err := rest.TransportFor(cfg)
		if err != nil {
			t.Fatal(err)
		}
		at, err := url.Parse(cfg.Host)
		if err != nil {
			t.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(at)
		proxy.ErrorLog = log.New(io.Discard, "", 0) // a daemon that ends interrupts its requests
		proxy.Transport, proxy.FlushInterval = transport, -1
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				p.mu.Lock()
				p.writes = append(p.writes, cluster+" "+r.Method+" "+r.URL.Path)
				p.mu.Unlock()
			}
			proxy.ServeHTTP(rw, r)
		}))
		t.Cleanup(server.Close)
		config.Clusters[cluster] = &clientcmdapi.Cluster{Server: server.URL}
		config.AuthInfos[cluster] = &clientcmdapi.AuthInfo{}
		config.Contexts[cluster] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: cluster}
	}
	if err := clientcmd.WriteToFile(*config, p.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return p
}

// takeWrites gives the requests since the last call.
func (p *proxies) takeWrites() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	writes := p.writes
	p.writes = nil
	return writes
}
