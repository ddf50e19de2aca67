package member

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	fault "github.com/fedsync/fedsync/pkg/failure"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

func TestNoRequestFollowsARedirect(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		var followed atomic.Int32
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
		t.Cleanup(other.Close)
		away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, code)
		}))
		t.Cleanup(away.Close)
		c, err := NewClient(&rest.Config{Host: away.URL, BearerToken: "canary"}, ClientOptions{Timeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		objects := c.Dynamic.Resource(configMaps).Namespace("default")
		for name, ask := range map[string]func() error{
			"get":   func() error { _, err := objects.Get(t.Context(), "a", metav1.GetOptions{}); return err },
			"list":  func() error { _, err := objects.List(t.Context(), metav1.ListOptions{}); return err },
			"watch": func() error { _, err := objects.Watch(t.Context(), metav1.ListOptions{}); return err },
			"create": func() error {
				u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"}}}
				_, err := objects.Create(t.Context(), u, metav1.CreateOptions{})
				return err
			},
			"discovery": func() error {
				_, err := c.Kinds.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"})
				return err
			},
		} {
			err := ask()
			m, ok := errors.AsType[*fault.Misbehaviour](err)
			if want := fmt.Sprintf("with a redirect to %s (%d ", strings.TrimPrefix(other.URL, "http://"), code); !ok || !strings.Contains(m.What, want) {
				t.Errorf("%s after %d: %v, want %q", name, code, err, want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: the error holds the token: %v", name, err)
			}
		}
		if n := followed.Load(); n > 0 {
			t.Errorf("%d: %d requests came to the other host", code, n)
		}
	}
}

func TestAllPartsOfAClientShareItsConnections(t *testing.T) {
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c, err := NewClient(&rest.Config{Host: s.URL}, ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for range 3 {
		_, _ = c.Dynamic.Resource(configMaps).Namespace("default").Get(t.Context(), "a", metav1.GetOptions{})
		_, _ = c.Kinds.RESTMapping(schema.GroupKind{Kind: "ConfigMap"})
		c.Kinds.Reset()
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections were opened one after the other, want 1", n)
	}
}
