// Package forgetest is shared by the stand-ins for forges in tests. They answer one
// request at a time, with JSON. They record the requests, and as faults those that the
// forge would not accept.
package forgetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// StandIn is embedded by each stand-in. Its mutex is held while a request is answered,
// and protects the stand-in's state.
type StandIn struct {
	sync.Mutex

	faults, asked []string
}

// Faults returns the requests in a form that the forge does not accept.
func (s *StandIn) Faults() []string {
	s.Lock()
	defer s.Unlock()
	return slices.Clone(s.faults)
}

// Asked returns the requests since the last call: method, path and answer's code.
func (s *StandIn) Asked() []string {
	s.Lock()
	defer s.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// Fault records a fault. The caller holds the mutex.
func (s *StandIn) Fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// Answer answers a request, and records it without the prefix that all paths have.
func (s *StandIn) Answer(w http.ResponseWriter, r *http.Request, prefix string, answer http.HandlerFunc) {
	s.Lock()
	defer s.Unlock()
	recorder := &recorder{ResponseWriter: w}
	defer func() {
		s.asked = append(s.asked, fmt.Sprintf("%s %s %d", r.Method, strings.TrimPrefix(r.URL.Path, prefix), recorder.code))
	}()
	answer(recorder, r)
}

type recorder struct {
	http.ResponseWriter
	code int
}

func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Read decodes a request's body. A field that the forge does not know, and would ignore,
// is a fault. So is another content type.
func Read[T any](s *StandIn, r *http.Request) (body T, ok bool) {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&body)
	if kind := r.Header.Get("Content-Type"); err == nil && kind != "application/json" {
		err = fmt.Errorf("Content-Type is %q", kind)
	}
	if err != nil {
		s.Fault("%s %s: %v", r.Method, r.URL.Path, err)
	}
	return body, err == nil
}

// Page returns the page of a list that a request asks for. The parameter of that name
// sets its size, at most most; the default is usual. next is the number of the following
// page; 0 for none.
func Page[T any](r *http.Request, all []T, parameter string, usual, most int) (part []T, size, number, next int) {
	number, _ = strconv.Atoi(r.URL.Query().Get("page"))
	size, _ = strconv.Atoi(r.URL.Query().Get(parameter))
	if size <= 0 {
		size = usual
	}
	size, number = min(size, most), max(number, 1)
	first, last := min((number-1)*size, len(all)), min(number*size, len(all))
	if last < len(all) {
		next = number + 1
	}
	return all[first:last], size, number, next
}

// WriteJSON answers with JSON.
func WriteJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client has gone
}

// Message is a refusal in the words of most forges.
func Message(text string) map[string]any { return map[string]any{"message": text} }
