package failure

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/pkg/federation"
)

var pods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// TestEachRequestIsSentOnce sends each verb through a real client. By itself the client
// repeats requests that are answered with Retry-After, and requests whose connection
// ends.
func TestEachRequestIsSentOnce(t *testing.T) {
	for name, c := range map[string]struct {
		respond http.HandlerFunc
		want    Failure
		words   string
	}{
		"throttled": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "1")
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(429)
				_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests","code":429,"message":"slow down"}`)
			}, Failure{federation.FailureThrottled, time.Second}, "slow down",
		},
		"throttled by a gateway for years": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "1000000000")
				http.Error(w, "<html>come back later</html>", http.StatusServiceUnavailable)
			}, Failure{federation.FailureThrottled, MaxRetryAfter}, "come back later",
		},
		"server error with a time": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "2")
				w.WriteHeader(500)
			}, Failure{federation.FailureServer, 2 * time.Second}, "",
		},
		"endless answer": {
			func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(500)
				for r.Context().Err() == nil {
					if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
						return
					}
				}
			}, Failure{Class: federation.FailureServer}, "",
		},
		"closed": {
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			Failure{Class: federation.FailureNetwork},
			"EOF",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				c.respond(w, r)
			}))
			defer server.Close()
			cfg := &rest.Config{Host: server.URL}
			cfg.Wrap(Once)
			client, err := dynamic.NewForConfig(cfg)
			if err != nil {
				t.Fatal(err)
			}
			for verb, request := range map[string]func() error{
				"list": func() error { _, err := client.Resource(pods).List(t.Context(), metav1.ListOptions{}); return err },
				"watch": func() error {
					w, err := client.Resource(pods).Watch(t.Context(), metav1.ListOptions{})
					if err == nil {
						w.Stop()
					}
					return err
				},
				"delete": func() error { return client.Resource(pods).Delete(t.Context(), "a", metav1.DeleteOptions{}) },
			} {
				requests.Store(0)
				err := request()
				if got := Of(err); got != c.want {
					t.Errorf("%s: failure = %v (%v), want %v", verb, got, err, c.want)
				}
				if err == nil || !strings.Contains(err.Error(), c.words) {
					t.Errorf("%s: error = %v, want %q in it", verb, err, c.words)
				}
				if n := requests.Load(); n != 1 {
					t.Errorf("%s: %d requests, want 1", verb, n)
				}
			}
		})
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestHiddenErrorsKeepTheirClass(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want federation.FailureClass
	}{
		"reset":       {fmt.Errorf("read: %w", syscall.ECONNRESET), federation.FailureNetwork},
		"eof":         {io.EOF, federation.FailureNetwork},
		"timeout":     {fmt.Errorf("dial: %w", syscall.ETIMEDOUT), federation.FailureTimeout},
		"refused":     {fmt.Errorf("dial: %w", syscall.ECONNREFUSED), federation.FailureRefused},
		"goaway":      {errors.New("http2: server sent GOAWAY and closed the connection"), federation.FailureNetwork},
		"http2 lost":  {errors.New("http2: client connection lost"), federation.FailureNetwork},
		"certificate": {errors.New("x509: unknown"), federation.FailureTLS},
	} {
		client := http.Client{Transport: Once(failing{c.err})}
		_, err := client.Get("http://cluster") //nolint:bodyclose // There is none.
		if got := Of(err).Class; got != c.want {
			t.Errorf("%s: class of %v = %q, want %q", name, err, got, c.want)
		}
	}
}
