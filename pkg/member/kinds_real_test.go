package member

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/fedsync/fedsync/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// An APIService without a server simulates a crashed metrics-server.
func TestAGroupWhoseServerIsDownIsNotUnknownOnARealAPIServer(t *testing.T) {
	s := lab.Shared(t)
	cluster := s.Clusters()[0]
	namespace := s.Namespace(t)
	group := "down." + namespace + ".example.com"
	services := s.Dynamic(t, cluster).Resource(schema.GroupVersionResource{
		Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices",
	})
	name := "v1." + group
	_, err := services.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"group": group, "version": "v1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"insecureSkipTLSVerify": true,
			"service":               map[string]any{"name": "nobody", "namespace": namespace, "port": int64(443)},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	remove := func() {
		if err := services.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	}
	defer remove()

	for _, aggregated := range []bool{true, false} {
		c, err := NewClient(s.RESTConfig(cluster), ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Kinds.client.(*discovery.DiscoveryClient).UseLegacyDiscovery = !aggregated
		gk := schema.GroupKind{Group: group, Kind: "Thing"}
		deadline := time.Now().Add(20 * time.Second)
		var unread *DiscoveryError
		for {
			c.Kinds.Reset()
			_, err = c.Kinds.RESTMapping(gk)
			if errors.As(err, &unread) || time.Now().After(deadline) {
				break
			}
			<-time.After(100 * time.Millisecond) // the APIService is not registered yet
		}
		t.Logf("aggregated %t: %v", aggregated, err)
		if unread == nil || unread.Group != group || !apierrors.IsServiceUnavailable(err) {
			t.Errorf("aggregated %t: %v, want a DiscoveryError with the API server's 503", aggregated, err)
		}
		if _, err := c.Kinds.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"}); err != nil {
			t.Errorf("aggregated %t: another group: %v", aggregated, err)
		}
		if _, err := c.Kinds.RESTMapping(schema.GroupKind{Group: "nothing.example.com", Kind: "Thing"}); !meta.IsNoMatchError(err) {
			t.Errorf("aggregated %t: a group that does not exist: %v, want no match", aggregated, err)
		}
	}

	remove()
	c, err := NewClient(s.RESTConfig(cluster), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	deadline := time.Now().Add(90 * time.Second)
	for {
		_, err := c.Kinds.RESTMapping(schema.GroupKind{Group: group, Kind: "Thing"})
		if meta.IsNoMatchError(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after its APIService was deleted: %v, want no match", err)
		}
		<-time.After(100 * time.Millisecond)
	}
}

func TestOneClusterHasOneUIDByAnyAddress(t *testing.T) {
	s := lab.Shared(t)
	uids := map[string]string{}
	for _, cluster := range s.Clusters() {
		cfg := s.RESTConfig(cluster)
		for _, host := range []string{cfg.Host, strings.Replace(cfg.Host, "127.0.0.1", "localhost", 1)} {
			cfg.Host = host
			c, err := NewClient(cfg, ClientOptions{})
			if err != nil {
				t.Fatal(err)
			}
			uid, err := ClusterUID(t.Context(), c.Dynamic)
			c.Close()
			if err != nil {
				t.Fatalf("ClusterUID by %s: %v", host, err)
			}
			if was := uids[uid]; was != "" && was != cluster {
				t.Errorf("%s and %s have one uid", cluster, was)
			}
			uids[uid] = cluster
		}
	}
	if len(uids) != len(s.Clusters()) {
		t.Errorf("%d clusters have %d uids by two addresses each", len(s.Clusters()), len(uids))
	}
}
