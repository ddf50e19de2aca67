package badmember

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// ask sends a request to the store and returns its answer.
func (s *Server) ask(method, target string, header http.Header, body []byte) (code int, answer []byte) {
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	r.Header = header.Clone()
	w := httptest.NewRecorder()
	s.Store.ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

// object returns an object of the store; empty if there is none.
func (s *Server) object(target string) map[string]any {
	_, body := s.ask(http.MethodGet, target, http.Header{}, nil)
	var object map[string]any
	_ = json.Unmarshal(body, &object) // a refusal has no object
	return object
}

// otherContent answers writes, and shows in watches, other content each time than what
// was written. The store still has the written content.
func otherContent(s *Server, w http.ResponseWriter, r *http.Request) bool {
	switch {
	case isWrite(r) && strings.Contains(r.URL.Path, "/configmaps/settings"):
		body, _ := io.ReadAll(r.Body) // a part is enough
		code, answer := s.ask(r.Method, r.URL.String(), r.Header, body)
		var object map[string]any
		if json.Unmarshal(answer, &object) != nil {
			return false
		}
		s.garble(object)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(object) // an error means that the client has gone
		return true
	case isWatchOf("configmaps")(r) && r.URL.Query().Get("labelSelector") == "applyset.kubernetes.io/part-of":
		w.Header().Set("Content-Type", "application/json")
		out := http.NewResponseController(w)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		marked := false
		for {
			if object := s.object("/api/v1/namespaces/default/configmaps/settings"); object["kind"] == "ConfigMap" {
				s.garble(object)
				text, _ := json.Marshal(object) // it was JSON before
				_, _ = fmt.Fprintf(w, event, "MODIFIED", text)
			}
			if !marked {
				marked = true
				_, _ = io.WriteString(w, `{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"1","annotations":{"k8s.io/initial-events-end":"true"}}}}`+"\n")
			}
			if out.Flush() != nil {
				return true
			}
			select {
			case <-r.Context().Done():
				return true
			case <-tick.C:
			}
		}
	}
	return false
}

// garble replaces the content and the version of an object.
func (s *Server) garble(object map[string]any) {
	n := s.next.Add(1)
	object["data"] = map[string]any{"value": fmt.Sprintf("garbled %d", n)}
	if meta, ok := object["metadata"].(map[string]any); ok {
		meta["resourceVersion"] = fmt.Sprint(1_000_000 + n)
	}
}

// otherObject answers a write with another object.
func otherObject(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"kind":"Secret","apiVersion":"v9","metadata":{"name":"other%d","namespace":"kube-system","uid":"u%[1]d","resourceVersion":"%[1]d"},"data":{}}`, s.next.Add(1))
}

// unwritten answers a write with the sent object, but writes nothing.
func unwritten(s *Server, w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a part is enough
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		status(w, http.StatusUnprocessableEntity, "invalid JSON")
		return
	}
	if meta, ok := object["metadata"].(map[string]any); ok {
		meta["uid"], meta["resourceVersion"] = fmt.Sprintf("u%d", s.next.Add(1)), fmt.Sprint(s.next.Load())
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object) // an error means that the client has gone
}

// undeleted confirms a deletion, but does not delete.
func undeleted(_ *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
}

// otherUID gives the cluster another identity each time.
func otherUID(s *Server, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system","uid":"u%d","resourceVersion":"1"}}`, s.next.Add(1))
}
