package daemon

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

// besideOnReal is a world with three real clusters that can be cut off.
func besideOnReal(t *testing.T) (w *world, clusters []string, cut func(string) (back func())) {
	t.Helper()
	w = faultyWorld(t)
	return w, w.sandbox.Clusters()[:3], func(cluster string) func() { return w.front.Proxy(cluster).Cut().Remove }
}

// besideInMemory is a world with three clusters in memory that can be cut off.
func besideInMemory(t *testing.T) (w *world, clusters []string, cut func(string) (back func())) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	w = &world{t: t, cfg: config.New(), repo: sourcetest.New(t), namespace: "kube-public", name: "web"}
	w.cfg.Repository, w.cfg.Instance, w.cfg.Listen, w.cfg.Interval = w.repo.Path, "first", "127.0.0.1:0", time.Second
	clusters = []string{"asia", "europe", "us"}
	stores, away := map[string]*objectstore.Store{}, map[string]*atomic.Bool{}
	config := clientcmdapi.NewConfig()
	for i, name := range clusters {
		store, down := objectstore.New(objectstore.Options{Name: name, Seed: uint64(i + 1)}), &atomic.Bool{}
		stores[name], away[name] = store, down
		config.Clusters[name] = &clientcmdapi.Cluster{Server: serveStore(t, store, down)}
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{}
		config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	}
	w.cfg.Kubeconfig = tempFile(t, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, w.cfg.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	w.direct = func(cluster string) dynamic.Interface {
		client, err := dynamic.NewForConfig(stores[cluster].Config())
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	return w, clusters, func(cluster string) func() {
		away[cluster].Store(true)
		return func() { away[cluster].Store(false) }
	}
}

// serveStore serves a cluster in memory, which refuses everything while it is down, and
// returns its address.
func serveStore(t *testing.T, store *objectstore.Store, down *atomic.Bool) string {
	t.Helper()
	transport, err := rest.TransportFor(store.Config())
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(store.Config().Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(at)
	proxy.Transport, proxy.FlushInterval = transport, -1
	proxy.ErrorLog = log.New(io.Discard, "", 0) // a daemon that ends interrupts its requests
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(rw, "down", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}
