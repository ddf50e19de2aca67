package badmember

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Mode is a way to misbehave.
type Mode struct {
	Name string
	// Words are a part of what fedsync says of it; empty where no bound is exceeded
	// and the cluster may stay Ready, or fail in a usual way.
	Words string
	// answer answers in place of the store, or returns false.
	answer func(s *Server, w http.ResponseWriter, r *http.Request) bool
}

// Good is the mode of a cluster that behaves.
var Good = Mode{Name: "good"}

// Modes are all ways to misbehave.
func Modes() []Mode {
	return []Mode{
		{"endless discovery", "answers GET /api with more than 4 MiB", at(isDiscovery, endless(`{"kind":"APIVersions","versions":["`, "x"))},
		{"compressed discovery", "answers GET /api with more than 4 MiB", at(isDiscovery, bomb)},
		{"many groups", "lists 20001 API groups, more than 1000", at(isGroups, groups(20_000))},
		{"endless list", "with more than 64 MiB", both(at(isStreamed, refuse(http.StatusBadRequest, "no")), at(isList, endless(`{"kind":"List","apiVersion":"v1","metadata":{},"items":[{"a":"`, "x")))},
		{"list of small values", "with more than 1000000 values", both(at(isStreamed, refuse(http.StatusBadRequest, "no")), at(isList, endless(`{"kind":"List","apiVersion":"v1","metadata":{},"items":[`, "{},")))},
		{"endless pages", "without end", both(at(isStreamed, refuse(http.StatusBadRequest, "no")), at(isList, pages))},
		{"endless event", "sends an event of more than 4 MiB", at(isWatch, endless(`{"type":"ADDED","object":{"a":"`, "x"))},
		{"event of small values", "sends an event of more than 250000 values", at(isWatch, endless(`{"type":"ADDED","object":{"a":[`, "{},"))},
		{"endless events", "shows more than 100000", at(isWatch, events)},
		{"endless object", "answers GET /api/v1/namespaces/kube-system with more than 4 MiB", at(isGet, endless(`{"kind":"Namespace","apiVersion":"v1","metadata":{"uid":"`, "x"))},
		{"endless answer to a write", "with more than 4 MiB", at(isWrite, endless(`{"kind":"ConfigMap","apiVersion":"v1","data":{"a":"`, "x"))},
		{"endless headers", "headers of more than 256 KiB", at(isResource, headers)},
		{"redirect of reads", "with a redirect to", at(isList, redirect)},
		{"redirect of writes", "with a redirect to", at(isWrite, redirect)},
		{"redirect of everything", "with a redirect to", at(always, redirect)},
		{"long message", "", at(isResource, longMessage)},
		{"echo in refusals", "", at(isWrite, echo)},
		{"echo in objects", "", at(isWatch, echoEvents)},
		{"throttled for ever", "", at(isResource, throttle)},
		{"slow bodies", "", at(isWatch, slow)},
		{"no events", "", at(isWatch, endless("", "garbage\n"))},
		{"long version", "", at(isVersion, endless(`{"gitVersion":"v1.`, "9"))},
	}
}

type answer = func(s *Server, w http.ResponseWriter, r *http.Request)

// at answers those requests that are asked about.
func at(is func(*http.Request) bool, a answer) func(*Server, http.ResponseWriter, *http.Request) bool {
	return func(s *Server, w http.ResponseWriter, r *http.Request) bool {
		if !is(r) {
			return false
		}
		a(s, w, r)
		return true
	}
}

// both tries one after the other.
func both(first, second func(*Server, http.ResponseWriter, *http.Request) bool) func(*Server, http.ResponseWriter, *http.Request) bool {
	return func(s *Server, w http.ResponseWriter, r *http.Request) bool { return first(s, w, r) || second(s, w, r) }
}

func always(*http.Request) bool        { return true }
func isDiscovery(r *http.Request) bool { return r.URL.Path == "/api" }
func isGroups(r *http.Request) bool    { return r.URL.Path == "/apis" }
func isVersion(r *http.Request) bool   { return r.URL.Path == "/version" }
func isWatch(r *http.Request) bool     { return r.URL.Query().Has("watch") }
func isStreamed(r *http.Request) bool  { return r.URL.Query().Has("sendInitialEvents") }
func isWrite(r *http.Request) bool {
	return r.Method == http.MethodPatch || r.Method == http.MethodPost
}

func isGet(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Path == "/api/v1/namespaces/kube-system"
}

func isList(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Query().Has("limit") && !isWatch(r)
}

func isResource(r *http.Request) bool {
	return strings.Count(r.URL.Path, "/") > 2 // not the probes, not discovery
}

// endless writes a beginning, and then the same again and again until nobody reads it.
func endless(begin, again string) answer {
	block := strings.Repeat(again, 1+32<<10/len(again))
	return func(_ *Server, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, err := io.WriteString(w, begin)
		for err == nil {
			_, err = io.WriteString(w, block)
		}
	}
}

// bomb is a little on the wire and without end for who unpacks it.
func bomb(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, err := io.WriteString(z, `{"kind":"`)
	for zeros := make([]byte, 1<<20); err == nil; {
		_, err = z.Write(zeros)
	}
}

func groups(n int) answer {
	return func(_ *Server, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[`)
		for i := range n {
			if i > 0 {
				_, _ = io.WriteString(w, ",")
			}
			_, _ = fmt.Fprintf(w, `{"name":"g%d.example.com","versions":[{"groupVersion":"g%[1]d.example.com/v1","version":"v1"}]}`, i)
		}
		_, _ = io.WriteString(w, `]}`)
	}
}

// pages are lists that go on.
func pages(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	n := s.next.Add(1)
	_, _ = fmt.Fprintf(w, `{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1000","continue":"c%d"},"items":[`+
		`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"n%[1]d","namespace":"default","uid":"u%[1]d","resourceVersion":"1"}}]}`, n)
}

// events are objects without end.
func events(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for err := error(nil); err == nil; {
		_, err = fmt.Fprintf(w, `{"type":"ADDED","object":{"kind":"Thing","apiVersion":"v1","metadata":{"name":"n%d","namespace":"default","uid":"u%[1]d","resourceVersion":"1"}}}`+"\n", s.next.Add(1))
	}
}

func headers(_ *Server, w http.ResponseWriter, _ *http.Request) {
	for i := range 400 {
		w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
	}
}

func redirect(s *Server, w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, s.Elsewhere()+r.URL.Path, http.StatusTemporaryRedirect)
}

func refuse(code int, message string) answer {
	return func(_ *Server, w http.ResponseWriter, _ *http.Request) { status(w, code, message) }
}

func status(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{ // who does not read it has gone
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message,
		"reason": map[int]string{400: "BadRequest", 403: "Forbidden", 422: "Invalid", 500: "InternalError"}[code],
	})
}

func longMessage(_ *Server, w http.ResponseWriter, _ *http.Request) {
	status(w, http.StatusInternalServerError, strings.Repeat("token=x https://a:b@c/ ", 5<<20/23))
}

// Shapes returns a secret as somebody may send it back.
func Shapes(secret string) []string {
	quoted, _ := json.Marshal(secret) // a string always can be
	half := len(secret) / 2
	return []string{
		secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte("u:" + secret)), string(quoted),
		secret[:half] + "\n" + secret[half:], secret[:half] + "\u200b" + secret[half:], "Authorization: Bearer " + secret,
		"name-" + strings.ToLower(secret), `{"token":"` + secret + `"}`,
	}
}

// echo refuses every write in words that hold the token, in another shape each time.
func echo(s *Server, w http.ResponseWriter, r *http.Request) {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	shapes := Shapes(token)
	n := int(s.next.Add(1))
	text := shapes[n%len(shapes)]
	w.Header().Set("Warning", fmt.Sprintf("299 - %q", "you are "+token))
	code := []int{http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusInternalServerError}[n%3]
	if n%5 == 0 {
		http.Error(w, text, code)
		return
	}
	status(w, code, `admission webhook "a.example.com" denied the request: `+text+" and "+strings.Join(shapes, ", "))
}

// echoEvents begins every watch with an object whose words hold the token.
func echoEvents(s *Server, w http.ResponseWriter, r *http.Request) {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	w.Header().Set("Content-Type", "application/json")
	text, _ := json.Marshal(strings.Join(Shapes(token), ", ")) // a string always can be
	_, _ = fmt.Fprintf(w, `{"type":"ADDED","object":{"kind":"Service","apiVersion":"v1","metadata":{"name":"%s","namespace":"default","uid":"u","resourceVersion":"1",`+
		`"labels":{"applyset.kubernetes.io/part-of":%s}},"spec":{"type":"NodePort","ports":[{"name":%[2]s,"port":80,"nodePort":30999}]},`+
		`"status":{"loadBalancer":{"ingress":[{"hostname":%[2]s}]},"conditions":[{"type":"Ready","status":"False","message":%[2]s}]}}}`+"\n", token, text)
	_, _ = fmt.Fprintf(w, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":500,"message":%s}}`+"\n", text)
	_ = s
}

func throttle(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "1000000000")
	status(w, http.StatusTooManyRequests, "later")
}

// slow is a byte a second.
func slow(_ *Server, w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	out := http.NewResponseController(w)
	for {
		if _, err := io.WriteString(w, "{"); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}
