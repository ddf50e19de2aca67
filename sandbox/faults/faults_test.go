package faults_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/sandbox/faults"
)

// apiServer is a stand-in for an API server: it speaks HTTP/2 over TLS and echoes each request.
type apiServer struct {
	*httptest.Server
	requests atomic.Int32
	done     chan string   // the path of a request that was answered
	next     chan struct{} // has a watch send its next event
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{done: make(chan string, 100), next: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.URL.Query().Get("watch") == "true" {
			_ = http.NewResponseController(w).Flush()
			for i := 0; ; i++ {
				select {
				case <-s.next:
				case <-r.Context().Done():
					return
				}
				_, _ = fmt.Fprintf(w, "event %d\n", i)
				_ = http.NewResponseController(w).Flush()
			}
		}
		w.Header().Set("Proto", r.Proto)
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
		s.done <- r.URL.Path
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *apiServer) target(cluster string) faults.Target {
	der := s.Certificate().Raw
	return faults.Target{
		Cluster:     cluster,
		Server:      s.URL,
		Authority:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Certificate: s.TLS.Certificates[0],
	}
}

// world is a front with one cluster, and a client.
type world struct {
	t      *testing.T
	api    *apiServer
	front  *faults.Front
	client *http.Client
}

const cluster = "asia"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, api: newAPIServer(t)}
	w.front = open(t, nil, w.api.target(cluster))
	w.client = client(t, w.api, true)
	return w
}

func open(t *testing.T, planes faults.Planes, targets ...faults.Target) *faults.Front {
	t.Helper()
	front, err := faults.Open("test", targets, planes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := front.Close(); err != nil {
			t.Error(err)
		}
	})
	return front
}

func client(t *testing.T, api *apiServer, http2 bool) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(api.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (w *world) add(r faults.Rule) faults.Rule {
	w.t.Helper()
	added, err := w.front.Add(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return added
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	proto  string
	body   string
	err    error
}

func (w *world) do(ctx context.Context, method, path, body string) answer {
	return request(ctx, w.client, method, w.front.Servers()[cluster]+path, body)
}

func (w *world) get(path string) answer {
	w.t.Helper()
	return w.do(w.t.Context(), http.MethodGet, path, "")
}

func request(ctx context.Context, c *http.Client, method, url, body string) answer {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	got, err := c.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = got.Body.Close() }()
	b, err := io.ReadAll(got.Body)
	return answer{got.StatusCode, got.Header, got.Proto, string(b), err}
}

// watch starts a watch and returns its body.
func (w *world) watch() io.ReadCloser {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.front.Servers()[cluster]+"/api/v1/pods?watch=true", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = got.Body.Close() })
	return got.Body
}

func (w *world) event(from io.Reader, want string) {
	w.t.Helper()
	w.api.next <- struct{}{}
	line := make([]byte, len(want))
	if _, err := io.ReadFull(from, line); err != nil || string(line) != want {
		w.t.Fatalf("the watch brings %q, %v, want %q", line, err, want)
	}
}

func TestWithoutARuleEverythingGoesThrough(t *testing.T) {
	w := newWorld(t)
	got := w.do(t.Context(), http.MethodPatch, "/api/v1/namespaces/a/configmaps/b?fieldManager=c", "body")
	want := answer{status: 200, proto: "HTTP/2.0", body: "PATCH /api/v1/namespaces/a/configmaps/b?fieldManager=c body"}
	if got.err != nil || got.status != want.status || got.proto != want.proto || got.body != want.body {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := got.header.Get("Proto"); got != "HTTP/2.0" {
		t.Errorf("the API server received %s, want HTTP/2.0", got)
	}
}

func TestWatchIsSentAsItComes(t *testing.T) {
	w := newWorld(t)
	events := w.watch()
	w.event(events, "event 0\n")
	w.event(events, "event 1\n")
	if n := w.api.requests.Load(); n != 1 {
		t.Errorf("%d requests, want one", n)
	}
}

func TestRuleAppliesToWhatItMatches(t *testing.T) {
	for name, c := range map[string]struct {
		rule   faults.Rule
		method string
		path   string
		body   string
		want   bool
	}{
		"everything":                  {faults.Rule{}, "GET", "/readyz", "", true},
		"its cluster":                 {faults.Rule{Cluster: cluster}, "GET", "/", "", true},
		"one of its methods":          {faults.Rule{Method: "PATCH|POST"}, "POST", "/", "", true},
		"not half a method":           {faults.Rule{Method: "P"}, "POST", "/", "", false},
		"a part of the path":          {faults.Rule{Path: "/configmaps(/|$)"}, "GET", "/api/v1/configmaps", "", true},
		"not another path":            {faults.Rule{Path: "^/configmaps"}, "GET", "/api/v1/configmaps", "", false},
		"a parameter":                 {faults.Rule{Query: "watch=true"}, "GET", "/?a=b&watch=true", "", true},
		"not another parameter":       {faults.Rule{Query: "watch=true"}, "GET", "/?watch=false", "", false},
		"not one parameter of two":    {faults.Rule{Query: "watch=true&a=b"}, "GET", "/?a=b", "", false},
		"the body":                    {faults.Rule{Body: `"name":\s*"two"`}, "PATCH", "/", `{"name": "two"}`, true},
		"not another body":            {faults.Rule{Body: "two"}, "PATCH", "/", "one", false},
		"not what matches by halves":  {faults.Rule{Method: "PATCH", Body: "two"}, "POST", "/", "two", false},
		"a body that is a long one":   {faults.Rule{Body: "a$"}, "PATCH", "/", strings.Repeat("a", 3<<20), true},
		"not what is far in the body": {faults.Rule{Body: "needle"}, "PATCH", "/", strings.Repeat("a", 1<<20) + "needle", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.rule.Action, c.rule.Status = faults.Answer, http.StatusTeapot
			rule := w.add(c.rule)
			got := w.do(t.Context(), c.method, c.path, c.body)
			if applied := got.status == http.StatusTeapot; got.err != nil || applied != c.want {
				t.Fatalf("answered %d (%v); applied %t, want %t", got.status, got.err, applied, c.want)
			}
			if want := c.method + " " + c.path + " " + c.body; !c.want && got.body != want {
				t.Errorf("the inspected body reached the API server with %d bytes, want %d", len(got.body), len(want))
			}
			if applied := w.front.Rules()[0].Applied == 1; w.front.Rules()[0].ID != rule.ID || applied != c.want {
				t.Errorf("the rules are %+v", w.front.Rules())
			}
		})
	}
}

func TestRuleOfAnotherClusterDoesNotApply(t *testing.T) {
	api := newAPIServer(t)
	front := open(t, nil, api.target("asia"), api.target("europe"))
	if _, err := front.Add(faults.Rule{Cluster: "asia", Action: faults.Answer, Status: 503}); err != nil {
		t.Fatal(err)
	}
	c := client(t, api, true)
	for name, want := range map[string]int{"asia": 503, "europe": 200} {
		if got := request(t.Context(), c, http.MethodGet, front.Servers()[name]+"/", ""); got.status != want {
			t.Errorf("%s answers %d, want %d", name, got.status, want)
		}
	}
	if got := front.Requests().Requests; len(got) != 2 || got[0].Cluster == got[1].Cluster {
		t.Errorf("the log is %+v, want one request to each", got)
	}
}

func TestNewestRuleAppliesAndASpentOneNoLonger(t *testing.T) {
	w := newWorld(t)
	w.add(faults.Rule{Action: faults.Answer, Status: 500})
	w.add(faults.Rule{Action: faults.Answer, Status: 503, Skip: 1, Count: 2})
	exception := w.add(faults.Rule{Path: "^/readyz$", Action: faults.Forward})
	var got []int
	for range 4 {
		got = append(got, w.get("/").status)
	}
	got = append(got, w.get("/readyz").status)
	w.front.Remove(exception.ID)
	got = append(got, w.get("/readyz").status)
	if want := []int{500, 503, 503, 500, 200, 500}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the answers are %v, want %v", got, want)
	}
}

func TestRuleThatMakesNoSenseIsAnError(t *testing.T) {
	w := newWorld(t)
	for want, r := range map[string]faults.Rule{
		`unknown action "explode"`: {Action: "explode"},
		`unknown action ""`:        {},
		"0 is out of range":        {Action: faults.Answer},
		"path: error parsing":      {Action: faults.Drop, Path: "("},
		"body: error parsing":      {Action: faults.Drop, Body: "("},
		`for action "answer"`:      {Action: faults.Drop, Status: 500},
		"must not be negative":     {Action: faults.Drop, Count: -1},
		`"mars" not found`:         {Action: faults.Drop, Cluster: "mars"},
	} {
		if _, err := w.front.Add(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("add %+v: %v, want %q", r, err, want)
		}
	}
	if got := w.front.Rules(); len(got) != 0 {
		t.Errorf("the rules in force are %v", got)
	}
}

func TestAnswerIsAStatusOfTheAPI(t *testing.T) {
	for _, c := range []struct {
		rule   faults.Rule
		method string
		is     func(error) bool
	}{
		{faults.Rule{Status: 403}, "GET", apierrors.IsForbidden},
		{faults.Rule{Status: 404}, "GET", apierrors.IsNotFound},
		{faults.Rule{Status: 409}, "POST", apierrors.IsAlreadyExists},
		{faults.Rule{Status: 409}, "PATCH", apierrors.IsConflict},
		{faults.Rule{Status: 410}, "GET", apierrors.IsResourceExpired},
		{faults.Rule{Status: 422}, "PATCH", apierrors.IsInvalid},
		{faults.Rule{Status: 429, Header: map[string]string{"Retry-After": "7"}}, "GET", func(err error) bool {
			after, ok := apierrors.SuggestsClientDelay(err)
			return ok && after == 7 && apierrors.IsTooManyRequests(err)
		}},
		{faults.Rule{Status: 500}, "GET", apierrors.IsInternalError},
		{faults.Rule{Status: 503}, "GET", apierrors.IsServiceUnavailable},
		{faults.Rule{Status: 500, Reason: "Timeout", Message: "$RESOURCE $NAME: etcdserver: request timed out"}, "GET", func(err error) bool {
			return apierrors.IsTimeout(err) && err.Error() == "configmaps b: etcdserver: request timed out"
		}},
	} {
		w := newWorld(t)
		c.rule.Action = faults.Answer
		w.add(c.rule)
		got := w.do(t.Context(), c.method, "/api/v1/namespaces/a/configmaps/b", "{}")
		var status metav1.Status
		if err := json.Unmarshal([]byte(got.body), &status); err != nil {
			t.Errorf("%d: the body is %q: %v", c.rule.Status, got.body, err)
			continue
		}
		if err := apierrors.FromObject(&status); got.status != c.rule.Status || status.Kind != "Status" || !c.is(err) {
			t.Errorf("%s answered with %d and %+v", c.method, got.status, status)
		}
		if got, want := got.header.Get("Retry-After"), c.rule.Header["Retry-After"]; got != want {
			t.Errorf("Retry-After is %q, want %q", got, want)
		}
		if n := w.api.requests.Load(); n != 0 {
			t.Errorf("%d requests reached the API server", n)
		}
	}
}

func TestAnswerOfAnyContent(t *testing.T) {
	w := newWorld(t)
	w.add(faults.Rule{Action: faults.Answer, Status: 200, Content: "<html>", Header: map[string]string{"Content-Type": "text/html"}})
	if got := w.get("/"); got.status != 200 || got.body != "<html>" || got.header.Get("Content-Type") != "text/html" {
		t.Errorf("got %+v", got)
	}
}

func TestDelay(t *testing.T) {
	const d = 60 * time.Millisecond
	for name, r := range map[string]faults.Rule{
		"before it is forwarded": {Action: faults.Forward, Delay: faults.Duration(d)},
		"of the answer":          {Action: faults.Forward, AnswerDelay: faults.Duration(d)},
		"of an answer of ours":   {Action: faults.Answer, Status: 200, Delay: faults.Duration(d)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.add(r)
			began := time.Now()
			got := w.get("/")
			if took := time.Since(began); got.status != 200 || took < d {
				t.Errorf("%+v after %s, want 200 after %s", got, took, d)
			}
		})
	}
	t.Run("ends with its rule", func(t *testing.T) {
		w := newWorld(t)
		r := w.add(faults.Rule{Action: faults.Forward, Delay: faults.Duration(time.Hour)})
		got := w.begin(http.MethodGet, "/", "")
		w.applied(r)
		w.front.Remove(r.ID)
		if got := <-got; got.status != 200 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("of a request that is given up", func(t *testing.T) {
		w := newWorld(t)
		r := w.add(faults.Rule{Action: faults.Forward, Delay: faults.Duration(time.Hour)})
		ctx, cancel := context.WithCancel(t.Context())
		given := make(chan answer)
		go func() { given <- w.do(ctx, http.MethodPatch, "/", "") }()
		w.applied(r)
		cancel()
		<-given
		w.ended()
		if n := w.api.requests.Load(); n != 0 {
			t.Errorf("%d requests were forwarded", n)
		}
	})
}

// begin does a request and returns its answer later.
func (w *world) begin(method, path, body string) <-chan answer {
	got := make(chan answer, 1) // it ends although nobody asks
	go func() { got <- w.do(w.t.Context(), method, path, body) }()
	return got
}

// applied waits until a rule was applied.
func (w *world) applied(r faults.Rule) {
	w.t.Helper()
	eventually(w.t, "the rule applies", func() bool {
		for _, now := range w.front.Rules() {
			if now.ID == r.ID {
				return now.Applied > 0
			}
		}
		return false
	})
}

// ended waits until the only request has ended.
func (w *world) ended() {
	w.t.Helper()
	eventually(w.t, "the request ends", func() bool {
		all := w.front.Requests().Requests
		return len(all) == 1 && all[0].Ended
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so after 20 s: %s", what)
		}
	}
}

func TestHangEndsWithItsRule(t *testing.T) {
	w := newWorld(t)
	r := w.add(faults.Rule{Action: faults.Hang})
	got := w.begin(http.MethodPatch, "/x", "body")
	w.applied(r)
	if n := w.api.requests.Load(); n != 0 {
		t.Errorf("%d requests came through a hang", n)
	}
	w.front.Remove(r.ID)
	if got := <-got; got.body != "PATCH /x body" {
		t.Errorf("got %+v", got)
	}
}

func TestHangEndsWithItsClient(t *testing.T) {
	w := newWorld(t)
	w.add(faults.Rule{Action: faults.Hang})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := w.do(ctx, http.MethodGet, "/", ""); !errors.Is(got.err, context.DeadlineExceeded) {
		t.Errorf("got %+v, want the deadline", got)
	}
	w.ended()
	if n := w.api.requests.Load(); n != 0 {
		t.Errorf("%d requests came through a hang", n)
	}
}

func TestLostAnswerWasGiven(t *testing.T) {
	for _, c := range []struct{ connection, http2 bool }{{false, true}, {true, true}, {false, false}, {true, false}} {
		w := newWorld(t)
		w.client = client(t, w.api, c.http2)
		w.add(faults.Rule{Method: "PATCH", Action: faults.Lose, Connection: c.connection})
		got := w.do(t.Context(), http.MethodPatch, "/x", "body")
		if got.err == nil || got.status != 0 {
			t.Errorf("%+v: got %+v, want an error", c, got)
		}
		if path := <-w.api.done; path != "/x" {
			t.Errorf("%+v: the API server answered %s", c, path)
		}
		w.ended()
		if q := w.front.Requests().Requests[0]; q.Backend != 200 || q.Status != 0 {
			t.Errorf("%+v: the log has %+v, want an answer that was not sent", c, q)
		}
	}
}

func TestLostAnswerIsGivenAlsoIfTheClientDoesNotWait(t *testing.T) {
	w := newWorld(t)
	w.add(faults.Rule{Action: faults.Lose, Delay: faults.Duration(200 * time.Millisecond)})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := w.do(ctx, http.MethodPatch, "/late", "body"); !errors.Is(got.err, context.DeadlineExceeded) {
		t.Errorf("got %+v, want the deadline", got)
	}
	if path := <-w.api.done; path != "/late" {
		t.Errorf("the API server answered %s", path)
	}
}

func TestWithheldAnswerComesWithTheEndOfTheRule(t *testing.T) {
	w := newWorld(t)
	r := w.add(faults.Rule{Action: faults.Withhold})
	got := w.begin(http.MethodPatch, "/x", "body")
	<-w.api.done
	w.front.Remove(r.ID)
	if got := <-got; got.body != "PATCH /x body" {
		t.Errorf("got %+v", got)
	}
}

func TestDropBreaksTheStreamOrTheConnection(t *testing.T) {
	for _, connection := range []bool{false, true} {
		w := newWorld(t)
		events := w.watch()
		w.event(events, "event 0\n")
		w.add(faults.Rule{Path: "^/x", Count: 1, Action: faults.Drop, Connection: connection})
		if got := w.do(t.Context(), http.MethodPatch, "/x", "body"); got.err == nil {
			t.Errorf("got %+v, want an error", got)
		}
		if n := w.api.requests.Load(); n != 1 {
			t.Errorf("%d requests were forwarded, want the watch alone", n)
		}
		if connection {
			if b, err := io.ReadAll(events); err == nil {
				t.Errorf("the watch on the broken connection ended with %q and no error", b)
			}
		} else {
			w.event(events, "event 1\n")
		}
	}
}

func TestTruncatedAnswerIsAnError(t *testing.T) {
	for _, connection := range []bool{false, true} {
		for _, http2 := range []bool{true, false} {
			w := newWorld(t)
			w.client = client(t, w.api, http2)
			w.add(faults.Rule{Action: faults.Truncate, Bytes: 5, Connection: connection})
			got := w.get("/truncated")
			if got.err == nil || !connection && got.body != "GET /" {
				t.Errorf("HTTP/2 %t, connection %t: got %+v, want 5 bytes and an error", http2, connection, got)
			}
		}
	}
}

func TestTruncatedWatch(t *testing.T) {
	w := newWorld(t)
	w.add(faults.Rule{Query: "watch=true", Action: faults.Truncate, Bytes: 12})
	events := w.watch()
	w.event(events, "event 0\n")
	w.event(events, "even")
	if b, err := io.ReadAll(events); err == nil || len(b) != 0 {
		t.Errorf("it goes on with %q, %v, want an error", b, err)
	}
}

func TestDisconnectBreaksAllConnections(t *testing.T) {
	w := newWorld(t)
	events := w.watch()
	w.event(events, "event 0\n")
	if err := w.front.Disconnect(cluster); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(events); err == nil {
		t.Error("the watch ended without an error")
	}
	eventually(t, "it answers on a new one", func() bool { return w.get("/").status == 200 })
}

func TestServerThatIsDownBreaksTheConnection(t *testing.T) {
	w := newWorld(t)
	w.api.CloseClientConnections()
	w.api.Close()
	if got := w.get("/"); got.err == nil {
		t.Errorf("got %+v, want an error", got)
	}
	if q := w.front.Requests().Requests; len(q) == 0 || q[0].Status != 0 {
		t.Errorf("the log has %+v", q)
	}
}

func TestLogRecordsRequests(t *testing.T) {
	w := newWorld(t)
	w.add(faults.Rule{Path: "/services/", Action: faults.Answer, Status: 403})
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/readyz", "get   //  200"},
		{"GET", "/apis/apps/v1", "get   //  200"},
		{"GET", "/api/v1/pods", "list pods  //  200"},
		{"GET", "/apis/apps/v1/namespaces/a/replicasets?limit=1", "list replicasets.apps  a//  200"},
		{"GET", "/apis/apps/v1/namespaces/a/replicasets/b", "get replicasets.apps  a/b/  200"},
		{"PATCH", "/apis/apps/v1/namespaces/a/replicasets/b/scale", "patch replicasets.apps  a/b/scale  200"},
		{"POST", "/api/v1/namespaces", "create namespaces  //  200"},
		{"GET", "/api/v1/namespaces/a", "get namespaces  /a/  200"},
		{"PUT", "/api/v1/namespaces/a/finalize", "update namespaces  /a/finalize  200"},
		{"DELETE", "/api/v1/namespaces/a/configmaps", "deletecollection configmaps  a//  200"},
		{"DELETE", "/api/v1/namespaces/a/configmaps/b", "delete configmaps  a/b/  200"},
		{"PATCH", "/api/v1/namespaces/a/services/b", "patch services  a/b/  403 by 1"},
	} {
		w.front.ForgetRequests()
		if got := w.do(t.Context(), c.method, c.path, ""); got.err != nil {
			t.Fatal(got.err)
		}
		w.ended()
		all := w.front.Requests()
		if len(all.Requests) != 1 || all.Forgotten != 0 {
			t.Fatalf("the log is %+v, want one request", all)
		}
		q := all.Requests[0]
		got := fmt.Sprintf("%s %s  %s/%s/%s  %d", q.Verb, q.Resource, q.Namespace, q.Name, q.Subresource, q.Status)
		if q.Rule != 0 {
			got += fmt.Sprintf(" by %d", q.Rule)
		}
		if got != c.want {
			t.Errorf("%s %s is logged as %q, want %q", c.method, c.path, got, c.want)
		}
		if q.Method != c.method || !strings.HasPrefix(c.path, q.Path) || q.Time.IsZero() || q.Query != strings.TrimPrefix(strings.TrimPrefix(c.path, q.Path), "?") {
			t.Errorf("%s %s is logged as %+v", c.method, c.path, q)
		}
	}
	w.front.ForgetRequests()
	events := w.watch()
	w.event(events, "event 0\n")
	if q := w.front.Requests().Requests; len(q) != 1 || q[0].Verb != "watch" || q[0].Status != 200 || q[0].Ended {
		t.Errorf("a watch under way is logged as %+v", q)
	}
}

// spares are control planes that are API servers of the test.
type spares struct {
	t    *testing.T
	mu   sync.Mutex // protects what follows
	log  []string
	next *apiServer
}

func (s *spares) Backup(context.Context) (string, error) { return s.t.TempDir(), nil }

func (s *spares) Start(_ context.Context, cluster, backup string) (faults.Plane, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf("start %s, backup %t", cluster, backup != ""))
	return spare{s}, nil
}

type spare struct{ *spares }

func (s spare) Server() string { return s.next.URL }

func (s spare) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, "stop")
	return nil
}

func TestAnotherBackendIsBehindTheSameAddress(t *testing.T) {
	first, second := newAPIServer(t), newAPIServer(t)
	planes := &spares{t: t, next: second}
	w := &world{t: t, api: first, front: open(t, planes, first.target(cluster)), client: client(t, first, true)}
	server := w.front.Servers()[cluster]
	events := w.watch()
	w.event(events, "event 0\n")

	if _, err := w.front.Restore(t.Context(), cluster, 1); err == nil {
		t.Error("a backup that nobody took was restored")
	}
	backup, err := w.front.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		do   func() (string, error)
		want *apiServer
	}{
		{"restore", func() (string, error) { return w.front.Restore(t.Context(), cluster, backup) }, second},
		{"rebuild", func() (string, error) { return w.front.Rebuild(t.Context(), cluster) }, second},
		{"return", func() (string, error) { return w.front.Return(cluster) }, first},
	} {
		got, err := c.do()
		if err != nil || got != c.want.URL {
			t.Fatalf("%s: %s, %v, want %s", c.name, got, err, c.want.URL)
		}
		before := c.want.requests.Load()
		// The client may not have noticed yet that its connection is broken.
		eventually(t, "it answers after "+c.name, func() bool { return w.get("/").status == 200 })
		if c.want.requests.Load() != before+1 {
			t.Errorf("after %s requests go elsewhere", c.name)
		}
	}
	if _, err := io.ReadAll(events); err == nil {
		t.Error("the watch of the first API server ended without an error")
	}
	if got := w.front.Servers()[cluster]; got != server {
		t.Errorf("the address was %s and is %s", server, got)
	}
	want := "[start asia, backup true start asia, backup false stop stop]"
	if got := fmt.Sprint(planes.log); got != want {
		t.Errorf("the calls of Planes were %s, want %s", got, want)
	}
}

func TestFrontsOverHTTP(t *testing.T) {
	api := newAPIServer(t)
	fronts := faults.NewFronts([]faults.Target{api.target(cluster)}, &spares{t: t, next: api})
	control := httptest.NewServer(fronts)
	t.Cleanup(control.Close)
	t.Cleanup(func() { _ = fronts.Close() })

	lend := func(ctx context.Context) (faults.Description, io.Closer) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, control.URL+"/fronts", nil)
		if err != nil {
			t.Fatal(err)
		}
		lent, err := control.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var d faults.Description
		if err := json.NewDecoder(lent.Body).Decode(&d); err != nil {
			t.Fatal(err)
		}
		return d, lent.Body
	}
	call := func(method, path, body string, into any) int {
		t.Helper()
		got := request(t.Context(), control.Client(), method, control.URL+path, body)
		if got.err != nil {
			t.Fatal(got.err)
		}
		if into != nil {
			d := json.NewDecoder(bytes.NewReader([]byte(got.body)))
			if err := d.Decode(into); err != nil {
				t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
			}
		}
		return got.status
	}

	one, first := lend(t.Context())
	two, second := lend(t.Context())
	defer func() { _ = second.Close() }()
	path := "/fronts/" + one.Front
	var rule faults.Rule
	if got := call(http.MethodPost, path+"/rules", `{"path":"^/x","action":"answer","status":503,"delay":"1ms"}`, &rule); got != 200 || rule.ID == 0 || rule.Delay != faults.Duration(time.Millisecond) {
		t.Fatalf("add a rule: %d, %+v", got, rule)
	}
	c := client(t, api, true)
	for server, want := range map[string]int{one.Servers[cluster]: 503, two.Servers[cluster]: 200} {
		if got := request(t.Context(), c, http.MethodGet, server+"/x", ""); got.status != want {
			t.Errorf("%s answers %d (%v), want %d: a front's rules are its own", server, got.status, got.err, want)
		}
	}
	var rules []faults.Rule
	if call(http.MethodGet, path+"/rules", "", &rules); len(rules) != 1 || rules[0].Applied != 1 {
		t.Errorf("the rules are %+v", rules)
	}
	var requests faults.Requests
	if call(http.MethodGet, path+"/requests", "", &requests); len(requests.Requests) != 1 || requests.Requests[0].Status != 503 {
		t.Errorf("the log is %+v", requests)
	}
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{http.MethodPost, path + "/rules", `{"action":"explode"}`, 400},
		{http.MethodPost, path + "/rules", `{"action":"drop","verb":"get"}`, 400},
		{http.MethodDelete, path + "/rules/7", "", 404},
		{http.MethodGet, "/fronts/7", "", 404},
		{http.MethodPost, path + "/clusters/mars/restore", "", 404},
		{http.MethodPost, path + "/clusters/asia/explode", "", 404},
		{http.MethodPost, path + "/clusters/asia/restore?backup=1", "", 500},
		{http.MethodPost, path + "/backups", "", 200},
		{http.MethodPost, path + "/clusters/asia/restore?backup=1", "", 200},
		{http.MethodPost, path + "/clusters/asia/rebuild", "", 200},
		{http.MethodPost, path + "/clusters/asia/return", "", 200},
		{http.MethodPost, path + "/clusters/asia/disconnect", "", 200},
		{http.MethodDelete, path + "/requests", "", 200},
		{http.MethodDelete, fmt.Sprintf("%s/rules/%d", path, rule.ID), "", 200},
		{http.MethodDelete, path + "/rules", "", 200},
		{http.MethodGet, path, "", 200},
	} {
		if got := call(c.method, c.path, c.body, nil); got != c.want {
			t.Errorf("%s %s %s: %d, want %d", c.method, c.path, c.body, got, c.want)
		}
	}
	_ = first.Close()
	eventually(t, "the front ends with its request", func() bool { return call(http.MethodGet, path, "", nil) == 404 })
	if got := call(http.MethodDelete, "/fronts/"+two.Front, "", nil); got != 200 {
		t.Errorf("close a front: %d", got)
	}
	if got := call(http.MethodGet, "/fronts/"+two.Front, "", nil); got != 404 {
		t.Errorf("get a closed front: %d", got)
	}
	if got := request(t.Context(), c, http.MethodGet, two.Servers[cluster], ""); got.err == nil {
		t.Errorf("a closed front answers %+v", got)
	}
}
