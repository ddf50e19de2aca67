package bounds

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/pkg/failure"
)

const token = "canary-0123456789-abcdefghijklmnop"

// served is a guarded client of an HTTP/2 server with TLS.
type served struct {
	*http.Client

	url    string
	caught atomic.Pointer[failure.Misbehaviour] // by the guard
}

func serve(t *testing.T, handler http.HandlerFunc) *served {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	cfg := &rest.Config{Host: server.URL, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	s := &served{url: server.URL}
	client, err := rest.HTTPClientFor(New(cfg, s.caught.Store).Attach(cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	s.Client = client
	return s
}

// get reads an answer to its end.
func (s *served) get(ctx context.Context, path string) (body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := s.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	return string(content), err
}

// endless writes a text repeatedly until it is no longer read.
func endless(w io.Writer, begin, again string) {
	_, err := io.WriteString(w, begin)
	for block := strings.Repeat(again, 1+4096/len(again)); err == nil; {
		_, err = io.WriteString(w, block)
	}
}

func TestEndlessAnswersAreCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		answer http.HandlerFunc
		want   string
	}{
		"discovery": {"/apis", func(w http.ResponseWriter, _ *http.Request) {
			endless(w, `{"groups":["`, "x")
		}, "answers GET /apis with more than 4 MiB"},
		"an object of small values": {"/api/v1/namespaces/a", func(w http.ResponseWriter, _ *http.Request) {
			endless(w, `{"a":[`, "{},")
		}, "answers GET /api/v1/namespaces/a with more than 250000 values"},
		"a list": {"/api/v1/services?limit=500", func(w http.ResponseWriter, _ *http.Request) {
			endless(w, `{"items":["`, "x")
		}, "answers GET /api/v1/services with more than 64 MiB"},
		"a list of small values": {"/api/v1/services?limit=500", func(w http.ResponseWriter, _ *http.Request) {
			endless(w, `{"items":[`, "{},")
		}, "answers GET /api/v1/services with more than 1000000 values"},
		"a compressed answer": {"/api", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				t.Error("compression is not negotiated")
			}
			w.Header().Set("Content-Encoding", "gzip")
			z, _ := gzip.NewWriterLevel(w, gzip.BestCompression)
			endless(z, `"`, "\x00")
		}, "answers GET /api with more than 4 MiB"},
		"an announced length": {"/api", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000000")
			_, _ = io.WriteString(w, "{")
			w.(http.Flusher).Flush()
		}, "answers GET /api with more than 4 MiB"},
		"an event": {"/api/v1/services?watch=true", func(w http.ResponseWriter, _ *http.Request) {
			endless(w, `{"type":"ADDED","object":{"a":"}{`, "\n")
		}, "sends an event of more than 4 MiB on the watch GET /api/v1/services"},
		"an event of small values": {"/api/v1/services?watch=1", func(w http.ResponseWriter, _ *http.Request) {
			endless(w, `{"type":"ADDED","object":{"a":[`, "[],")
		}, "sends an event of more than 250000 values on the watch GET /api/v1/services"},
		"what is no event": {"/api/v1/services?watch=1", func(w http.ResponseWriter, _ *http.Request) {
			endless(w, "", "x ")
		}, "sends an event of more than 4 MiB on the watch GET /api/v1/services"},
		"headers": {"/api", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 400 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
			}
		}, "headers of more than 256 KiB"},
		"a redirect": {"/api", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.example/?"+token, http.StatusTemporaryRedirect)
		}, "answers GET /api with a redirect to elsewhere.example (307 Temporary Redirect)"},
	} {
		s := serve(t, c.answer)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := s.get(ctx, c.path)
		m, ok := errors.AsType[*failure.Misbehaviour](err)
		if !ok || !strings.Contains(m.What, c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if caught := s.caught.Load(); caught == nil || caught != m {
			t.Errorf("%s: the guard reported %v, want the same", name, caught)
		}
		// A caller that catches it is notified instead of the guard.
		s.caught.Store(nil)
		var own *failure.Misbehaviour
		_, _ = s.get(failure.Catching(ctx, func(m *failure.Misbehaviour) { own = m }), c.path)
		if own == nil || s.caught.Load() != nil {
			t.Errorf("%s: the caller got %v, the guard reported %v", name, own, s.caught.Load())
		}
		cancel()
	}
}

func TestWhatAnAPIServerAnswersPasses(t *testing.T) {
	event := `{"type":"MODIFIED","object":{"data":"` + strings.Repeat(`}\"{`, 200_000) + `"}}` + "\n"
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("watch"):
			for range 30 { // together more than the limit of one answer
				_, _ = io.WriteString(w, event)
			}
		case r.URL.Query().Has("limit"):
			_, _ = io.WriteString(w, `{"items":["`+strings.Repeat(token, 1_000_000)+`"]}`)
		default:
			_, _ = io.WriteString(w, `"`+strings.Repeat("x", ObjectBytes-2)+`"`)
		}
	})
	for path, want := range map[string]int{
		"/api/v1/services?watch=true": 30 * len(event),
		"/api/v1/services?limit=500":  len(token)*1_000_000 + len(`{"items":[""]}`),
		"/api":                        ObjectBytes,
	} {
		if body, err := s.get(t.Context(), path); err != nil || len(body) != want || strings.Contains(body, "***") {
			t.Errorf("%s: %d bytes, %v, want %d as they were sent", path, len(body), err, want)
		}
	}
}

func TestLargeAnswersAreReadOneAfterTheOther(t *testing.T) {
	var sent, open, most atomic.Int64
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat(" ", 3*largeFrom))
		sent.Add(1)
	})
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if _, err := s.get(ctx, "/api"); err != nil {
				t.Error(err)
			}
			now := open.Add(1)
			for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
			}
			runtime.Gosched()
			open.Add(-1)
		})
	}
	calls.Wait()
	if most.Load() != 1 || sent.Load() != 8 {
		t.Errorf("%d large answers were held at once, of %d; want 1 of 8", most.Load(), sent.Load())
	}
}

// Watches hold buffers as large as their largest event until they end.
func TestTheLargestEventsOfAllWatchesAreBounded(t *testing.T) {
	// Eight of them exceed the limit by more than one read: ReadFull ignores an error
	// that comes with the last bytes.
	large := `{"type":"ADDED","object":{"a":"` + strings.Repeat("x", 3<<20+128<<10) + `"}}` + "\n"
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, large)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	// watch reads one event, and continues to read until ctx ends.
	watch := func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/services?watch=1", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := s.Do(req) //nolint:bodyclose // the goroutine closes it
		if err != nil {
			return err
		}
		if _, err = io.ReadFull(resp.Body, make([]byte, len(large))); err != nil {
			_ = resp.Body.Close()
			return err
		}
		go func() {
			_, _ = io.Copy(io.Discard, resp.Body) // until it ends
			_ = resp.Body.Close()
		}()
		return nil
	}
	// One after another, they count as one.
	for range 2 * WatchBytes / (3 << 20) {
		ctx, cancel := context.WithCancel(t.Context())
		if err := watch(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	n, err := 0, error(nil)
	for ; err == nil && n < 20; n++ {
		err = watch(t.Context())
	}
	if m, ok := errors.AsType[*failure.Misbehaviour](err); !ok || n != 8 || !strings.Contains(m.What, "large events on all watches, of more than 24 MiB together") {
		t.Errorf("watch %d: %v", n, err)
	}
}

func TestRefusalsHoldNoSecretsAndNoMoreThanIsRead(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("u:" + token))
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"a Status": {
			`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no ` + token + ` and \u0063` + token[1:] +
				` and ` + encoded + `","reason":"Forbidden","details":{"name":"` + token + `","causes":[{"reason":"x","message":"` + token + `","field":"` + token + `"}]},"code":403}`,
			[]string{`"message":"no *** and *** and ***"`, `"name":"***"`, `"field":"***"`, `"code":403`},
		},
		"a text":       {"<b>" + token[:9] + "\n" + token[9:] + "</b>", []string{"<b>***</b>"}},
		"a long one":   {`{"kind":"Status","message":"` + strings.Repeat("words ", 100_000) + `","code":500}`, []string{`…"`, `"code":500`}},
		"one too long": {`{"kind":"Status","message":"` + strings.Repeat(token+" ", 200_000) + `","code":500}`, []string{"***"}},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Warning", `299 - "`+r.Header.Get("Authorization")+`"`)
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, c.body)
		})
		resp, err := s.Get(s.url + "/api")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		for _, want := range c.want {
			if err != nil || !strings.Contains(string(body), want) {
				t.Errorf("%s: %.300s, %v, want %s", name, body, err, want)
			}
		}
		if len(body) > 2*messageMost || strings.Contains(string(body), token[:8]) || strings.Contains(string(body), encoded[8:20]) {
			t.Errorf("%s: %d bytes: %.500s", name, len(body), body)
		}
		if got := resp.Header.Get("Warning"); got != `299 - "Bearer ***"` {
			t.Errorf("%s: Warning: %s", name, got)
		}
	}
}

func TestACleanedObjectHoldsNoSecret(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"metadata":{"name":"a","annotations":{"holder":"`+token+`"},"generation":12345678901234567}}`)
	})
	const want = `{"metadata":{"annotations":{"holder":"***"},"generation":12345678901234567,"name":"a"}}`
	if got, err := s.get(Cleaned(t.Context()), "/api/v1/namespaces/a"); err != nil || got != want {
		t.Errorf("cleaned: %s, %v, want %s", got, err, want)
	}
	if got, err := s.get(t.Context(), "/api/v1/namespaces/a"); err != nil || !strings.Contains(got, token) {
		t.Errorf("as it was sent: %s, %v", got, err)
	}
}

func BenchmarkCount(b *testing.B) {
	object := []byte(`{"metadata":{"name":"web","labels":{"app":"web"}},"spec":{"ports":[{"port":80,"name":"http"}],"note":"a text of some length"}}`)
	b.SetBytes(int64(len(object)))
	for b.Loop() {
		var c count
		c.add(object, true)
	}
}
