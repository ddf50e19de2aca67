package objectstore_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/objectstore"
)

// step is one request of a conformance case. In path and body, NS is the case's
// namespace, and "{name.uid}" and "{name.rv}" refer to the answer that an earlier step
// saved as name.
type step struct {
	name   string
	method string // or "apply", "merge", "json" and "strategic" for patches
	path   string
	body   string
	as     string // field manager; "kubectl" if empty
	force  bool
	query  string
	save   string
	until  string // repeats a GET until the answer contains it
	gone   bool   // repeats a GET until there is nothing
	// reads excludes the answer from the comparison, because controllers of the real
	// cluster are at work: the step only prepares the following ones.
	reads bool
	// same requires the resourceVersion of the step that was saved as that name.
	same string
}

// result is the compared part of an answer.
type result struct {
	Step   string
	Code   int
	Body   any
	Events []any
	Same   string
}

func TestStoreAnswersAsAnAPIServerDoes(t *testing.T) {
	t.Parallel()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			box := lab.Shared(t)
			ns := box.Namespace(t)
			real := run(t, box.RESTConfig(box.Clusters()[0]), ns, c.steps)
			store := objectstore.New(objectstore.Options{Pace: objectstore.Pace{Collect: 50 * time.Millisecond}, NoWorkloads: true})
			create(t, store.Config(), ns)
			got := run(t, store.Config(), ns, c.steps)
			for i := range real {
				if diff := cmp.Diff(real[i], got[i]); diff != "" {
					t.Errorf("%s: the store differs from the API server (-API server +store):\n%s", real[i].Step, diff)
				}
			}
		})
	}
}

func create(t *testing.T, config *rest.Config, ns string) {
	t.Helper()
	run(t, config, ns, []step{{name: "the namespace", method: "POST", path: "/api/v1/namespaces", body: `{metadata: {name: NS}}`}})
}

// run sends the requests of a case, and returns what is compared.
func run(t *testing.T, config *rest.Config, ns string, steps []step) []result {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{T: t, client: client, host: strings.TrimSuffix(config.Host, "/"), ns: ns, saved: map[string]string{}}
	var out []result
	for _, s := range steps {
		got := r.step(s)
		if !s.reads {
			out = append(out, got)
		}
	}
	return out
}

type runner struct {
	*testing.T
	client *http.Client
	host   string
	ns     string
	saved  map[string]string
}

func (r *runner) step(s step) result {
	r.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		code, body := r.send(s)
		if (s.until == "" || strings.Contains(string(body), s.until)) && (!s.gone || code == http.StatusNotFound) {
			return r.result(s, code, body)
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.Fatalf("%s: waited in vain; the last answer was %d %s", s.name, code, body)
		}
	}
}

var contentTypes = map[string]string{
	"apply": "application/apply-patch+yaml", "merge": "application/merge-patch+json",
	"json": "application/json-patch+json", "strategic": "application/strategic-merge-patch+json",
}

func (r *runner) send(s step) (int, []byte) {
	r.Helper()
	method, contentType := s.method, "application/yaml"
	if contentTypes[method] != "" {
		method, contentType = http.MethodPatch, contentTypes[method]
	}
	query, err := url.ParseQuery(r.fill(s.query))
	if err != nil {
		r.Fatal(err)
	}
	if method != http.MethodGet && method != http.MethodDelete {
		query.Set("fieldManager", s.as)
		if s.as == "" {
			query.Set("fieldManager", "kubectl")
		}
	}
	if s.force {
		query.Set("force", "true")
	}
	req, err := http.NewRequestWithContext(r.Context(), method, r.host+r.fill(s.path)+"?"+query.Encode(), strings.NewReader(r.fill(s.body)))
	if err != nil {
		r.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	if s.body != "" {
		req.Header.Set("Content-Type", contentType)
	}
	answer, err := r.client.Do(req)
	if err != nil {
		r.Fatalf("%s: %v", s.name, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		r.Fatalf("%s: %v", s.name, err)
	}
	return answer.StatusCode, body
}

// fill inserts the namespace and the values that earlier steps saved.
func (r *runner) fill(s string) string {
	s = strings.ReplaceAll(s, "NS", r.ns)
	for name, value := range r.saved {
		s = strings.ReplaceAll(s, "{"+name+"}", value)
	}
	return s
}

func (r *runner) result(s step, code int, body []byte) result {
	r.Helper()
	out := result{Step: s.name, Code: code}
	if strings.Contains(s.query, "watch=1") && code == http.StatusOK {
		scanner := bufio.NewScanner(bytes.NewReader(body))
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			var event any
			if err := json.Unmarshal(scanner.Bytes(), &event); err != nil {
				r.Fatalf("%s: event %q: %v", s.name, scanner.Text(), err)
			}
			if strings.Contains(scanner.Text(), `"type":"BOOKMARK"`) && !strings.Contains(scanner.Text(), "initial-events-end") {
				continue // its time is not guaranteed
			}
			out.Events = append(out.Events, r.normalize(event))
		}
		return out
	}
	var content map[string]any
	if err := json.Unmarshal(body, &content); err != nil {
		out.Body = string(body)
		return out
	}
	if m, ok := content["metadata"].(map[string]any); ok {
		version := fmt.Sprint(m["resourceVersion"])
		if s.same != "" {
			out.Same = "another resourceVersion than " + s.same
			if r.saved[s.same+".rv"] == version {
				out.Same = "the resourceVersion of " + s.same
			}
		}
		if s.save != "" {
			r.saved[s.save+".uid"], r.saved[s.save+".rv"] = fmt.Sprint(m["uid"]), version
			if spec, ok := content["spec"].(map[string]any); ok {
				if ports, ok := spec["ports"].([]any); ok && len(ports) > 0 {
					r.saved[s.save+".nodePort"] = fmt.Sprint(ports[0].(map[string]any)["nodePort"])
				}
			}
		}
	}
	out.Body = r.normalize(content)
	return out
}

var (
	uids     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times    = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	versions = regexp.MustCompile(`((?:R|r)esourceVersion[^0-9]{0,40}|record \(|current: |too old resource version: |\()(\d+)`)
	prefixes = regexp.MustCompile(`Key: /[a-z0-9-]+/`)
	numbers  = regexp.MustCompile(`^\d+$`)
)

// normalize removes the differences between any two clusters: uids, times,
// resourceVersions, addresses, and the work of the real cluster's controllers.
func (r *runner) normalize(in any) any {
	switch v := in.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			out[name] = r.normalize(value)
			switch name {
			case "resourceVersion":
				if s, ok := value.(string); ok && numbers.MatchString(s) {
					out[name] = "N"
				}
			case "clusterIP":
				if value != "None" && value != "" {
					out[name] = "IP"
				}
			case "clusterIPs":
				if list, ok := value.([]any); ok && len(list) > 0 && list[0] != "None" {
					out[name] = "IPs"
				}
			case "nodePort":
				if n, ok := value.(float64); ok && n != 30444 && n != 30445 && n != 30446 {
					out[name] = "PORT"
				}
			case "managedFields":
				out[name] = r.normalizeManaged(value)
			case "status":
				if _, ok := value.(map[string]any); ok {
					if _, known := value.(map[string]any)["storedVersions"]; !known && v["kind"] != "Namespace" {
						delete(out, name)
					}
				}
			case "items":
				if list, ok := out[name].([]any); ok {
					// The controllers create these in every namespace.
					out[name] = slices.DeleteFunc(list, func(i any) bool { return strings.Contains(fmt.Sprint(i), "kube-root-ca.crt") })
				}
			}
		}
		return out
	case []any:
		var out []any
		for _, value := range v {
			out = append(out, r.normalize(value))
		}
		return out
	case string:
		s := strings.ReplaceAll(v, r.ns, "NS")
		if port := r.saved["any.nodePort"]; port != "" {
			s = strings.ReplaceAll(s, port, "PORT")
		}
		s = prefixes.ReplaceAllString(s, "Key: /registry/")
		s = uids.ReplaceAllString(s, "UID")
		s = times.ReplaceAllString(s, "TIME")
		return versions.ReplaceAllString(s, "${1}N")
	}
	return in
}

func (r *runner) normalizeManaged(in any) any {
	list, ok := in.([]any)
	if !ok {
		return in
	}
	var out []any
	for _, e := range list {
		entry := maps.Clone(e.(map[string]any))
		if entry["subresource"] == "status" {
			continue
		}
		entry["time"] = "TIME"
		out = append(out, r.normalize(entry))
	}
	slices.SortFunc(out, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return out
}
