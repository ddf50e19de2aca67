package watch

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/internal/membertest"
)

// answers are the ways in which a server can fail to fulfil a request.
var answers = map[string]http.HandlerFunc{
	"400":                 answered(400, "BadRequest", ""),
	"401":                 answered(401, "Unauthorized", ""),
	"403":                 answered(403, "Forbidden", ""),
	"404":                 answered(404, "NotFound", ""),
	"405":                 answered(405, "MethodNotAllowed", ""),
	"410":                 answered(410, "Expired", ""),
	"422":                 answered(422, "Invalid", ""),
	"429":                 answered(429, "TooManyRequests", ""),
	"500":                 answered(500, "InternalError", ""),
	"503":                 answered(503, "ServiceUnavailable", ""),
	"504":                 answered(504, "Timeout", ""),
	"504, future":         answered(504, "Timeout", `"details":{"retryAfterSeconds":1,"causes":[{"reason":"ResourceVersionTooLarge"}]},`),
	"429, later":          after("1", answered(429, "TooManyRequests", "")),
	"429, at once":        after("0", answered(429, "TooManyRequests", "")),
	"429, in years":       after("1000000000", answered(429, "TooManyRequests", "")),
	"500, later":          after("1", answered(500, "InternalError", "")),
	"503 of a gateway":    after("1", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusServiceUnavailable) }),
	"a page of HTML":      func(w http.ResponseWriter, _ *http.Request) { send(w, "<html>welcome</html>") },
	"nothing":             func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/json") },
	"nothing for 30 s":    func(w http.ResponseWriter, r *http.Request) { hold(r, 30*time.Second) },
	"a closed connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"an endless list":     endless,
	"an empty list": func(w http.ResponseWriter, _ *http.Request) {
		send(w, `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[]}`)
	},
	"a bookmark":           stream1(bookmark),
	"a bookmark, then 410": stream1(bookmark + failed410),
	"an object":            stream1(object7),
	"an object, then 500":  stream1(object7 + failed500),
	"an older object":      stream1(strings.ReplaceAll(object7, `"7"`, `"1"`)),
	"an event of no kind":  stream1(`{"type":"ODD","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}}`),
	"a broken event":       stream1(`{"type":"ADDED","object":{"kind":`),
	"410 in the stream":    stream1(failed410),
	"500 in the stream":    stream1(failed500),
	"429 in the stream":    stream1(strings.ReplaceAll(strings.ReplaceAll(failed500, "500", "429"), "InternalError", "TooManyRequests")),
	"a list, and its end":  func(w http.ResponseWriter, _ *http.Request) { listedAt5(w) },
	"a list, then 410":     func(w http.ResponseWriter, _ *http.Request) { listedAt5(w); send(w, failed410) },
	"a list, then an older": func(w http.ResponseWriter, _ *http.Request) {
		listedAt5(w)
		send(w, strings.ReplaceAll(object7, `"7"`, `"1"`))
	},
}

const (
	bookmark  = `{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"6"}}}`
	object7   = `{"type":"MODIFIED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"web","uid":"u","resourceVersion":"7"}}}`
	failed410 = `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":410,"reason":"Expired","message":"too old"}}`
	failed500 = `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":500,"reason":"InternalError","message":"etcd"}}`
)

func answered(code int, reason, more string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,%s"code":%d,"message":"no"}`, reason, more, code)
	}
}

func after(value string, respond http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", value)
		respond(w, r)
	}
}

func stream1(events string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { send(w, events) }
}

func hold(r *http.Request, d time.Duration) {
	select {
	case <-r.Context().Done():
	case <-time.After(d):
	}
}

// endless answers each page of a list with the token of another.
func endless(w http.ResponseWriter, _ *http.Request) {
	send(w, `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"5","continue":"more"},`+
		`"items":[{"metadata":{"name":"a","namespace":"web","uid":"u","resourceVersion":"3"}}]}`)
}

// TestNoAnswerCausesEndlessRequests answers streamed lists, lists and watches in every
// way, and counts the requests of twenty watches of one cluster.
func TestNoAnswerCausesEndlessRequests(t *testing.T) {
	listed := func(w http.ResponseWriter, _ *http.Request) {
		send(w, `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"a","namespace":"web","uid":"u","resourceVersion":"3"}}]}`)
	}
	for name, answer := range answers {
		for where, respond := range map[string]http.HandlerFunc{
			"everything":                                answer,
			"lists that are not streamed":               byRequest(answers["422"], answer, stayOpen),
			"watches after lists that are not streamed": byRequest(answers["422"], listed, answer),
			"resumed watches": byRequest(func(w http.ResponseWriter, r *http.Request) {
				listedAt5(w)
				seconds, _ := strconv.Atoi(r.URL.Query().Get("timeoutSeconds"))
				hold(r, time.Duration(seconds)*time.Second)
			}, listed, answer),
		} {
			t.Run(name+" to "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { countRequests(t, where, respond) })
			})
		}
	}
}

// byRequest answers the three kinds of requests.
func byRequest(streamed, list, watch http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch query := r.URL.Query(); {
		case query.Get("sendInitialEvents") != "":
			streamed(w, r)
		case query.Get("watch") != "":
			watch(w, r)
		default:
			list(w, r)
		}
	}
}

func countRequests(t *testing.T, where string, respond http.HandlerFunc) {
	const watches, minutes = 20, 12
	cluster := membertest.NewPipe(t)
	var mu sync.Mutex
	perMinute := make([]int, minutes+1)
	cluster.Set(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		perMinute[int(time.Since(cluster.Started)/time.Minute)]++
		mu.Unlock()
		respond(w, r)
	})
	client, _ := membertest.NewClient(t, cluster.Config())
	var all []Watch
	for i := range watches {
		all = append(all, Watch{Resource: membertest.ConfigMaps, Namespace: fmt.Sprint("n", i)})
	}
	events := newRecorder()
	w := start(t, client, events.sink, all...)
	<-time.After(minutes * time.Minute)
	synctest.Wait()
	mu.Lock()
	got := slices.Clone(perMinute[:minutes])
	mu.Unlock()

	// If lists are not streamed, each try is up to three requests. If a watch stays open
	// for a while, the remaining ones try each minute.
	most := 30
	switch {
	case slices.Contains(events.all(), "listed"):
		most = 100
	case where != "everything":
		most = 60
	}
	if busiest := slices.Max(got[2:]); busiest > most {
		t.Errorf("requests in each minute: %v; want %d at most, after the first two", got, most)
	}
	if slices.Max(got) > 250 {
		t.Errorf("requests in each minute: %v; want 250 at most at the start", got)
	}
	failures := 0
	for _, watch := range all {
		state := w.State(watch)
		if state.Synced != (state.Err == nil) && state.Failures > 0 {
			t.Errorf("State(%v) = %+v, want an error, or synced", watch, state)
		}
		if state.Err != nil && state.Err.Lasting() {
			failures++
		}
	}
	if where == "everything" && failures < watches {
		t.Errorf("%d of %d watches are reported to fail", failures, watches)
	}
}
