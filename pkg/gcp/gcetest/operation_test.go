package gcetest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	compute "google.golang.org/api/compute/v1"
)

const oneID, otherID = "0f0e0d0c-0b0a-4908-8706-050403020100", "1f0e0d0c-0b0a-4908-8706-050403020100"

func TestAnOperationGoesThroughItsStates(t *testing.T) {
	s := newStandIn(t, Options{OperationTime: func(method string) time.Duration {
		if method == "firewalls.insert" {
			return 200 * time.Millisecond
		}
		return 0
	}})
	op, err := s.api.Firewalls.Insert(project, probeRule("fw")).RequestId(oneID).Do()
	if err != nil || op.Status != statusPending || op.Id < 1<<63 || op.OperationType != "insert" || op.TargetId == 0 {
		t.Fatalf("got %+v, %v", op, err)
	}
	wantRefusal(t, last(s.api.Firewalls.Get(project, "fw").Do()), 404, reasonNotFound, "")
	wantRefusal(t, last(s.api.Firewalls.Insert(project, probeRule("fw")).Do()), 409, reasonAlreadyExists, "")
	wantRefusal(t, last(s.api.Firewalls.Delete(project, "fw").Do()), 400, reasonNotReady, "")
	again, err := s.api.Firewalls.Insert(project, probeRule("fw")).RequestId(oneID).Do()
	if err != nil || again.Name != op.Name {
		t.Errorf("the same request id led to %+v, %v, want operation %s", again, err, op.Name)
	}
	wantRefusal(t, last(s.api.Firewalls.Delete(project, "fw").RequestId(oneID).Do()), 400, reasonInvalid, "requestId")
	states := []string{op.Status}
	for op.Status != statusDone {
		if op, err = s.api.GlobalOperations.Get(project, op.Name).Do(); err != nil {
			t.Fatal(err)
		}
		if op.Status == statusRunning && states[len(states)-1] != statusRunning {
			if _, err := s.api.Firewalls.Get(project, "fw").Do(); err != nil {
				t.Errorf("while it runs: %v", err)
			}
			wantRefusal(t, last(s.api.Firewalls.Patch(project, "fw", &compute.Firewall{Disabled: true}).Do()), 400, reasonNotReady, "")
		}
		if states[len(states)-1] != op.Status {
			states = append(states, op.Status)
		}
	}
	if !slices.Equal(states, []string{statusPending, statusRunning, statusDone}) {
		t.Errorf("states %v", states)
	}
	if got := s.History()[global("firewalls/fw")]; len(got) != 1 || got[0].RequestID != oneID || got[0].Method != "firewalls.insert" {
		t.Errorf("history %+v", got)
	}
}

func TestResourcesBeingCreatedOrDeletedCannotBeReferredTo(t *testing.T) {
	s := newStandIn(t, Options{OperationTime: func(method string) time.Duration {
		if method == "healthChecks.insert" || method == "urlMaps.delete" {
			return 100 * time.Millisecond
		}
		return 0
	}})
	op, err := s.api.HealthChecks.Insert(project, httpCheck("hc")).Do()
	if err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, last(s.api.BackendServices.Insert(project, service("bs")).Do()), 400, reasonNotReady, "hc")
	s.done(op, nil)
	s.done(s.api.BackendServices.Insert(project, service("bs")).Do())
	s.done(s.api.UrlMaps.Insert(project, &compute.UrlMap{Name: "um", DefaultService: global("backendServices/bs")}).Do())
	op, err = s.api.UrlMaps.Delete(project, "um").Do()
	if err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, last(s.api.BackendServices.Delete(project, "bs").Do()), 400, reasonInUse, "um")
	wantRefusal(t, last(s.api.TargetHttpProxies.Insert(project, &compute.TargetHttpProxy{Name: "tp", UrlMap: global("urlMaps/um")}).Do()), 400, reasonNotReady, "um")
	s.done(op, nil)
	s.done(s.api.BackendServices.Delete(project, "bs").Do())
}

func TestAnUpdateShowsWhenItIsDone(t *testing.T) {
	s := newStandIn(t, Options{})
	s.build()
	before, err := s.api.BackendServices.Get(project, "bs").Do()
	if err != nil {
		t.Fatal(err)
	}
	slow := s.Fault(Fault{Method: "backendServices.patch", Action: SlowOperation(100 * time.Millisecond)})
	op, err := s.api.BackendServices.Patch(project, "bs", &compute.BackendService{
		Fingerprint: before.Fingerprint, Description: "two", NullFields: []string{"PortName"},
	}).Do()
	if err != nil {
		t.Fatal(err)
	}
	slow.Remove()
	meanwhile, err := s.api.BackendServices.Get(project, "bs").Do()
	if err != nil || meanwhile.Description != "" || meanwhile.Fingerprint != before.Fingerprint {
		t.Errorf("while the operation runs: %+v, %v", meanwhile, err)
	}
	s.done(op, nil)
	after, err := s.api.BackendServices.Get(project, "bs").Do()
	if err != nil || after.Description != "two" || after.Fingerprint == before.Fingerprint || len(after.Backends) != 1 || after.Id != before.Id {
		t.Errorf("after %+v, %v", after, err)
	}
	changes := s.History()[global("backendServices/bs")]
	if got := changes[len(changes)-1].Fields; !slices.Equal(got, []string{"description", "fingerprint"}) {
		t.Errorf("fields %v", got)
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		name   string
		fault  Fault
		check  func(t *testing.T, err error)
		exists bool // when everything is done
	}{
		{"answer", Fault{Action: Answer{Status: 503, Reason: "backendError"}}, func(t *testing.T, err error) {
			t.Helper()
			wantRefusal(t, err, 503, "backendError", "Service Unavailable")
		}, false},
		{"lost answer", Fault{Action: LoseAnswer{}}, func(t *testing.T, err error) {
			t.Helper()
			if !errors.Is(err, io.EOF) {
				t.Errorf("got %v, want a broken connection", err)
			}
		}, true},
		{"dropped request", Fault{Action: DropRequest{}}, func(t *testing.T, err error) {
			t.Helper()
			if !errors.Is(err, io.EOF) {
				t.Errorf("got %v, want a broken connection", err)
			}
		}, false},
		{"failed operation", Fault{Action: FailOperation{Code: "QUOTA_EXCEEDED", Message: "no more"}}, func(t *testing.T, err error) {
			t.Helper()
			if err == nil || err.Error() != "QUOTA_EXCEEDED" {
				t.Errorf("got %v, want the operation's error", err)
			}
		}, false},
		{"the second call", Fault{Nth: 2, Action: DropRequest{}}, func(t *testing.T, err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}, true},
		{"another name", Fault{Name: "other", Action: DropRequest{}}, func(t *testing.T, err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(t, Options{})
			test.fault.Method, test.fault.Times = `firewalls\.(insert|patch)`, 1
			h := s.Fault(test.fault)
			op, err := s.api.Firewalls.Insert(project, probeRule("fw")).Do()
			if err == nil {
				err = s.wait(op)
			}
			test.check(t, err)
			for _, op := range s.Snapshot().Operations {
				_ = s.wait(op) // the one whose answer was lost
			}
			if _, err := s.api.Firewalls.Get(project, "fw").Do(); (err == nil) != test.exists {
				t.Errorf("after it: %v", err)
			}
			if test.exists {
				return
			}
			if h.Hits() != 1 {
				t.Errorf("%d hits", h.Hits())
			}
			s.done(s.api.Firewalls.Insert(project, probeRule("fw")).Do())
		})
	}
}

func TestALostAnswerIsRepeatedByItsRequestID(t *testing.T) {
	s := newStandIn(t, Options{})
	s.Fault(Fault{Method: ".*insert", Times: 1, Action: LoseAnswer{}})
	if err := last(s.api.Firewalls.Insert(project, probeRule("fw")).RequestId(oneID).Do()); err == nil {
		t.Fatal("the answer arrived")
	}
	s.done(s.api.Firewalls.Insert(project, probeRule("fw")).RequestId(oneID).Do())
	wantRefusal(t, last(s.api.Firewalls.Insert(project, probeRule("fw")).RequestId(otherID).Do()), 409, reasonAlreadyExists, "")
	if got := s.History()[global("firewalls/fw")]; len(got) != 1 {
		t.Errorf("written %d times", len(got))
	}
	calls := s.Calls()
	first := calls[slices.IndexFunc(calls, func(c Call) bool { return c.Method == "firewalls.insert" })]
	if first.Status != 0 || first.Name != "fw" || first.RequestID != oneID || first.Project != project {
		t.Errorf("logged %+v", first)
	}
}

func TestAHangingCallGoesOn(t *testing.T) {
	s := newStandIn(t, Options{})
	h := s.Fault(Fault{Collection: "firewalls", Action: Hang{}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := last(s.api.Firewalls.List(project).Context(ctx).Do()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	answered := make(chan error, 1)
	go func() { answered <- last(s.api.Firewalls.List(project).Do()) }()
	for h.Hits() < 2 {
		time.Sleep(time.Millisecond) //nolint:forbidigo // there is no event for a call that hangs
	}
	h.Remove()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestTheRateLimitIsPerSecond(t *testing.T) {
	s := newStandIn(t, Options{RateLimit: 3})
	var refused error
	for range 10 {
		if err := last(s.api.Firewalls.List(project).Do()); err != nil {
			refused = err
		}
	}
	wantRefusal(t, refused, 403, reasonRateLimit, "Queries per second")
}

// post sends a raw body and returns the code and the message.
func (s *standIn) post(path, body string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL()+"projects/"+project+"/"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // read whole below
	var out struct{ Error struct{ Message string } }
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, out.Error.Message
}

func TestUnknownFieldsParametersAndPathsAreRefused(t *testing.T) {
	s := newStandIn(t, Options{})
	s.build()
	for _, test := range []struct {
		name, path, body string
		code             int
		message          string
	}{
		{"field", "global/urlMaps", `{"name": "a", "colour": 1}`, 400, `"colour"`},
		{"case of a field", "global/urlMaps", `{"Name": "a"}`, 400, `"Name"`},
		{"field within a type that decodes itself", "global/backendServices", `{"name": "a", "backends": [{"capacity": 1}]}`, 400, `"capacity"`},
		{"kind of value", "global/urlMaps", `{"name": 1}`, 400, "payload"},
		{"no object", "global/urlMaps", `[]`, 400, "payload"},
		{"two objects", "global/urlMaps", `{"name": "a"} {}`, 400, "after"},
		{"parameter", "global/urlMaps?requestID=1", `{"name": "a"}`, 400, `"requestID"`},
		{"path", "global/urlMap", `{"name": "a"}`, 404, "no method"},
		{"global in a call of a proxy", "global/targetHttpProxies/tp/setUrlMap", `{"urlMap": "x"}`, 404, "no method"},
		{"no body", "global/urlMaps", "", 400, "Required"},
	} {
		if code, message := s.post(test.path, test.body); code != test.code || !strings.Contains(message, test.message) {
			t.Errorf("%s: got %d %q, want %d with %s", test.name, code, message, test.code, test.message)
		}
	}
}
