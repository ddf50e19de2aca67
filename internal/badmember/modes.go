package badmember

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/canary"
)

// Mode is a way to misbehave.
type Mode struct {
	Name string
	// Words are a part of fedsync's message about it; empty if no bound is exceeded and
	// the cluster may stay Ready, or fails in a usual way.
	Words string
	// Start means that it affects only new connections, as discovery does.
	Start bool
	// Away means that it does not answer probes either, so that it is Offline.
	Away bool
	// Long means that it takes a while to be seen completely.
	Long bool
	// Old means that it does not support HTTP/2.
	Old bool
	// answer answers instead of the store, or returns false.
	answer func(s *Server, w http.ResponseWriter, r *http.Request) bool
	// frames implements HTTP/2 instead of the server; nil for none.
	frames func(*framer)
}

// Good is the mode of a cluster that behaves.
var Good = Mode{Name: "good"}

// Modes returns all ways to misbehave.
func Modes() []Mode {
	return slices.Concat(discoveryModes(), listModes(), eventModes(), objectModes(), crowdModes(), writeModes(), answerModes(), frameModes(), oldModes())
}

func discoveryModes() []Mode {
	return []Mode{
		{Name: "endless discovery", Start: true, Words: "answers GET /api with more than 4 MiB", answer: at(isDiscovery, endless(`{"kind":"APIVersions","versions":["`, "x"))},
		{Name: "compressed discovery", Start: true, Words: "answers GET /api with more than 4 MiB", answer: at(isDiscovery, bomb)},
		{Name: "many groups", Start: true, Words: "lists 20001 API groups, more than 1000", answer: at(isGroups, groups(20_000))},
		{Name: "odd groups", Start: true, answer: at(isGroups, oddGroups)},
		{Name: "long version", Start: true, answer: at(isVersion, endless(`{"gitVersion":"v1.`, "9"))},
	}
}

func listModes() []Mode {
	// A client lists without streaming if streams are refused.
	lists := func(a answer) func(*Server, http.ResponseWriter, *http.Request) bool {
		return both(at(isStreamed, refuse(http.StatusBadRequest, "no")), at(isList, a))
	}
	return []Mode{
		{Name: "endless list", Words: "with an object of more than 4 MiB", answer: lists(endless(`{"kind":"List","apiVersion":"v1","metadata":{},"items":[{"a":"`, "x"))},
		{Name: "list of small values", Words: "with more than 1000000 values", answer: lists(endless(`{"kind":"List","apiVersion":"v1","metadata":{},"items":[{"a":[`, "{},"))},
		{Name: "list of small objects", Words: "shows an object without a name", answer: lists(endless(`{"kind":"List","apiVersion":"v1","metadata":{},"items":[`, "{},"))},
		{Name: "endless objects of a list", Words: "misbehaves", answer: lists(objects)},
		{Name: "endless rest of a list", Words: "with an object of more than 4 MiB", answer: lists(rest)},
		{Name: "endless pages", Words: "without end", answer: lists(pages)},
		{Name: "empty pages", Words: "without end, on more than 1000 pages", answer: lists(emptyPages)},
		{Name: "the same page", Words: "without end: a page repeats objects of the page before it", answer: lists(samePage)},
		{Name: "long continue token", Words: "with a continue token of more than", answer: lists(longToken)},
		{Name: "other lists each time", answer: both(at(isWatch, refuse(http.StatusBadRequest, "no")), at(isList, otherList))},
	}
}

func eventModes() []Mode {
	return []Mode{
		{Name: "endless event", Words: "sends an event of more than 4 MiB", answer: at(isWatch, endless(`{"type":"ADDED","object":{"a":"`, "x"))},
		{Name: "event of small values", Words: "sends an event of more than 250000 values", answer: at(isWatch, endless(`{"type":"ADDED","object":{"a":[`, "{},"))},
		{Name: "deep events", answer: at(isWatch, deep)},
		{Name: "huge numbers", answer: at(isWatch, numbers)},
		{Name: "duplicate keys", answer: at(isWatch, duplicates)},
		{Name: "endless events", Words: "shows more than 1", answer: at(isWatch, events)},
		{Name: "large events", Words: "shows objects of more than 256 MiB", answer: at(isWatch, largeEvents)},
		{Name: "one large event on each watch", Words: "sends large events on all watches, of more than 24 MiB together", answer: at(isWatch, oneLargeEvent)},
		{Name: "the same event", answer: at(isWatch, sameEvent)},
		{Name: "bookmarks", answer: at(isWatch, endless("", bookmark))},
		{Name: "error events", answer: at(isWatch, errorEvents)},
		{Name: "short watches", answer: at(isWatch, shortWatch)},
		{Name: "older and older", answer: at(isWatch, older)},
		{Name: "no events", answer: at(isWatch, endless("", "garbage\n"))},
		{Name: "slow bodies", answer: at(isWatch, slow)},
		{Name: "echo in objects", answer: at(isWatch, echoEvents)},
	}
}

func objectModes() []Mode {
	return []Mode{
		{Name: "endless object", Start: true, Words: "answers GET /api/v1/namespaces/kube-system with more than 4 MiB", answer: at(isGet, endless(`{"kind":"Namespace","apiVersion":"v1","metadata":{"uid":"`, "x"))},
		{Name: "another uid each time", Start: true, answer: at(isGet, otherUID)},
		{Name: "odd names", answer: at(isWatch, oddNames)},
		{Name: "flapping workloads", answer: at(isWatchOf("replicasets"), flapping)},
		{Name: "forged inventories", answer: at(isWatchOf("configmaps"), inventories)},
		{Name: "odd leases", answer: at(isWatchOf("leases"), leases)},
	}
}

func writeModes() []Mode {
	return []Mode{
		{Name: "endless answer to a write", Words: "with more than 4 MiB", answer: at(isWrite, endless(`{"kind":"ConfigMap","apiVersion":"v1","data":{"a":"`, "x"))},
		{Name: "another object for a write", answer: at(isWrite, otherObject)},
		{Name: "another content for a write", answer: otherContent},
		{Name: "conflicts", answer: at(isWrite, refuse(http.StatusConflict, "the object has been modified"))},
		{Name: "nothing for a write", answer: at(isWrite, refuse(http.StatusNotFound, "it is not there"))},
		{Name: "writes that do nothing", answer: at(isWrite, unwritten)},
		{Name: "deletions without end", answer: at(isDelete, undeleted)},
		{Name: "echo in refusals", answer: at(isWrite, echo)},
	}
}

func answerModes() []Mode {
	return []Mode{
		{Name: "endless headers", Words: "headers of more than 256 KiB", answer: at(isResource, headers)},
		{Name: "endless trailers", answer: at(isResource, trailers)},
		{Name: "informational answers", Words: "misbehaves", answer: at(isResource, informational)},
		{Name: "redirect of reads", Words: "with a redirect to", answer: both(at(isStreamed, refuse(http.StatusBadRequest, "no")), at(isList, redirect))},
		{Name: "redirect of writes", Words: "with a redirect to", answer: at(isWrite, redirect)},
		{Name: "redirect of watches", Words: "with a redirect to", answer: at(isWatch, redirects)},
		{Name: "redirect of everything", Words: "with a redirect to", answer: at(always, redirects)},
		{Name: "other hosts in headers", answer: elsewhere},
		{Name: "challenges", answer: at(isResource, challenge)},
		{Name: "web pages", Words: "with text/html; charset=utf-8, which is not JSON", answer: at(isResource, signInPage)},
		{Name: "other encodings", Words: "with application/cbor-seq, which is not JSON", answer: at(isWatch, encoded)},
		{Name: "long message", answer: at(isResource, longMessage)},
		{Name: "throttled forever", answer: at(isResource, throttle("1000000000"))},
		{Name: "throttled for less than nothing", answer: at(isResource, throttle("-1"))},
		{Name: "throttled for no time", answer: at(isResource, throttle("0"))},
		{Name: "slow answers", answer: at(isResource, slow)},
		{Name: "comes and goes", Away: true, answer: comesAndGoes},
	}
}

type answer = func(s *Server, w http.ResponseWriter, r *http.Request)

// at answers the requests that match.
func at(is func(*http.Request) bool, a answer) func(*Server, http.ResponseWriter, *http.Request) bool {
	return func(s *Server, w http.ResponseWriter, r *http.Request) bool {
		if !is(r) {
			return false
		}
		a(s, w, r)
		return true
	}
}

// both tries one answer after the other.
func both(first, second func(*Server, http.ResponseWriter, *http.Request) bool) func(*Server, http.ResponseWriter, *http.Request) bool {
	return func(s *Server, w http.ResponseWriter, r *http.Request) bool { return first(s, w, r) || second(s, w, r) }
}

func always(*http.Request) bool        { return true }
func isDiscovery(r *http.Request) bool { return r.URL.Path == "/api" }
func isGroups(r *http.Request) bool    { return r.URL.Path == "/apis" }
func isVersion(r *http.Request) bool   { return r.URL.Path == "/version" }
func isWatch(r *http.Request) bool     { return r.URL.Query().Has("watch") }
func isStreamed(r *http.Request) bool  { return r.URL.Query().Has("sendInitialEvents") }
func isDelete(r *http.Request) bool    { return r.Method == http.MethodDelete }
func isWatchOf(resource string) func(*http.Request) bool {
	return func(r *http.Request) bool { return isWatch(r) && path.Base(r.URL.Path) == resource }
}

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

// endless writes a beginning, and then repeats a block until the client stops reading.
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

// bomb is small on the wire, but endless when decompressed.
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
	_ = json.NewEncoder(w).Encode(map[string]any{ // an error means that the client has gone
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message,
		"reason": map[int]string{400: "BadRequest", 403: "Forbidden", 422: "Invalid", 500: "InternalError"}[code],
	})
}

func longMessage(_ *Server, w http.ResponseWriter, _ *http.Request) {
	status(w, http.StatusInternalServerError, strings.Repeat("token=x https://a:b@c/ ", 5<<20/23))
}

// Shapes returns a secret in all shapes in which a server may send it back.
func Shapes(secret string) []string {
	var all []string
	for _, shape := range canary.Shapes() {
		all = append(all, shape.Write(secret))
	}
	return all
}

// echo refuses every write with a message that holds the token, in another shape each
// time.
func echo(s *Server, w http.ResponseWriter, r *http.Request) {
	token := canary.Credential(r)
	shapes := Shapes(token)
	n := int(s.next.Add(1))
	text := shapes[n%len(shapes)]
	w.Header().Set("Warning", fmt.Sprintf("299 - %q", "you are "+strings.NewReplacer("\n", " ", "\u202e", "").Replace(text)))
	code := []int{http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusInternalServerError}[n%3]
	if n%5 == 0 {
		http.Error(w, text, code)
		return
	}
	status(w, code, `admission webhook "a.example.com" denied the request: `+text)
}

// echoEvents starts every watch with an object whose texts hold the token.
func echoEvents(s *Server, w http.ResponseWriter, r *http.Request) {
	token := canary.Credential(r)
	w.Header().Set("Content-Type", "application/json")
	text, _ := json.Marshal(strings.Join(Shapes(token), ", ")) // a string always encodes
	_, _ = fmt.Fprintf(w, `{"type":"ADDED","object":{"kind":"Service","apiVersion":"v1","metadata":{"name":"%s","namespace":"default","uid":"u","resourceVersion":"1",`+
		`"labels":{"applyset.kubernetes.io/part-of":%s}},"spec":{"type":"NodePort","ports":[{"name":%[2]s,"port":80,"nodePort":30999}]},`+
		`"status":{"loadBalancer":{"ingress":[{"hostname":%[2]s}]},"conditions":[{"type":"Ready","status":"False","message":%[2]s}]}}}`+"\n", token, text)
	_, _ = fmt.Fprintf(w, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":500,"message":%s}}`+"\n", text)
	_ = s
}

func throttle(after string) answer {
	return func(_ *Server, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after)
		status(w, http.StatusTooManyRequests, "later")
	}
}
