// Package forgetest is what the stand-ins of forges for tests have in common: they answer
// one request at a time, with JSON, and keep a record of what they were asked and of what
// of that their forge does not take.
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

// Stand is what a stand-in embeds. Its mutex is held while a request is answered, and
// protects what the stand-in has.
type Stand struct {
	sync.Mutex

	faults, asked []string
}

// Faults returns what was asked in a form that the forge does not take.
func (s *Stand) Faults() []string {
	s.Lock()
	defer s.Unlock()
	return slices.Clone(s.faults)
}

// Asked returns the requests since the last call: method, path and answer's code.
func (s *Stand) Asked() []string {
	s.Lock()
	defer s.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// Fault notes a fault. The caller holds the mutex.
func (s *Stand) Fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// Answer answers a request, and notes it without the beginning that all paths have.
func (s *Stand) Answer(w http.ResponseWriter, r *http.Request, prefix string, answer http.HandlerFunc) {
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
// is a fault, as is another content type.
func Read[T any](s *Stand, r *http.Request) (body T, ok bool) {
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

// Page returns the part of a list that a request asks for: as many as the parameter of that
// name says, at most most, and usual where it says nothing. Next is the number of the page
// after it; 0 for none.
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

// Say answers with JSON.
func Say(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // who does not read it has gone
}

// Message is a refusal in the words of most forges.
func Message(text string) map[string]any { return map[string]any{"message": text} }
