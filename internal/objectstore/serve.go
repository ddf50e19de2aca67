package objectstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RoundTrip implements http.RoundTripper.
func (s *Store) RoundTrip(in *http.Request) (*http.Response, error) {
	r, err := parseRequest(in)
	if err != nil {
		return nil, err
	}
	noted := s.note(r)
	answer, err := s.attempt(r)
	if err != nil {
		return nil, err
	}
	s.noteCode(noted, answer.StatusCode)
	answer.Request = in
	return answer, nil
}

// attempt answers a request, subject to the network and the faults.
func (s *Store) attempt(r *Request) (*http.Response, error) {
	ctx := r.HTTP.Context()
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	a := s.fault(r)
	if err := a.before(ctx); err != nil {
		return nil, err
	}
	if a.Status != nil {
		return a.answer(), nil
	}
	answer, err := s.serve(r)
	if a.LoseAnswer && err == nil {
		_ = answer.Body.Close()
		return nil, errReset
	}
	return answer, err
}

// serve answers a request as an API server without faults does.
func (s *Store) serve(r *Request) (*http.Response, error) {
	if r.Resource.Resource == "" {
		return s.serveFixed(r), nil
	}
	if answer := s.serveReview(r); answer != nil {
		return answer, nil
	}
	if r.Verb == "watch" {
		return s.serveWatch(r)
	}
	if r.Verb == "list" {
		if err := s.waitFresh(r); err != nil {
			return failed(err), nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	code, body, err := s.resource(r)
	if err != nil {
		return failed(err), nil
	}
	return answered(code, "application/json", body), nil
}

// resource answers a request about the objects of a resource.
func (s *Store) resource(r *Request) (int, []byte, error) {
	k := s.kindAt(r.Resource)
	if k == nil || (r.Name != "" && k.namespaced && r.Namespace == "") || (r.Namespace != "" && !k.namespaced) {
		return 0, nil, errNoSuchPath
	}
	switch r.Verb {
	case "get":
		return s.get(r, k)
	case "list":
		return s.list(r, k)
	case "create":
		return s.post(r, k)
	case "update":
		return s.put(r, k)
	case "patch":
		return s.patch(r, k)
	case "delete":
		return s.delete(r, k)
	case "deletecollection":
		return s.deleteCollection(r, k)
	}
	return 0, nil, apierrors.NewMethodNotSupported(r.Resource.GroupResource(), r.Verb)
}

// errNoSuchPath is the answer of an API server for a path that it does not serve: plain
// text, which clients turn into an error of their own.
var errNoSuchPath = errors.New("404 page not found")

// failed answers with an error in the format of the API server.
func failed(err error) *http.Response {
	if errors.Is(err, errNoSuchPath) {
		return answered(http.StatusNotFound, "text/plain; charset=utf-8", []byte(err.Error()+"\n"))
	}
	return failedWith(statusOf(err), nil)
}

func failedWith(status metav1.Status, header http.Header) *http.Response {
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	status.Status = metav1.StatusFailure
	body, err := json.Marshal(status)
	if err != nil {
		panic(err) // a Status is always JSON
	}
	answer := answered(int(status.Code), "application/json", body)
	if d := status.Details; d != nil && d.RetryAfterSeconds > 0 {
		answer.Header.Set("Retry-After", strconv.Itoa(int(d.RetryAfterSeconds)))
	}
	maps.Copy(answer.Header, header)
	return answer
}

// statusOf returns the API server's status for an error.
func statusOf(err error) metav1.Status {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status()
	}
	return metav1.Status{Code: http.StatusInternalServerError, Message: err.Error()}
}

func answered(code int, contentType string, body []byte) *http.Response {
	return &http.Response{
		StatusCode: code, Status: strconv.Itoa(code) + " " + http.StatusText(code),
		Proto: "HTTP/2.0", ProtoMajor: 2,
		Header:        http.Header{"Content-Type": {contentType}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}
