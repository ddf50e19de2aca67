package lab_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	compute "google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

func TestOwnSandboxWithComputeEngine(t *testing.T) {
	s := lab.Own(t, 2, lab.WithGCP(1), lab.WithOperationTime(20*time.Millisecond))
	g := s.GCP(t)
	if !slices.Equal(g.Outside, s.Clusters()[1:]) || g.OperationTimes["globalForwardingRules"] != 20*time.Millisecond {
		t.Errorf("Outside = %v, OperationTimes = %v", g.Outside, g.OperationTimes)
	}
	api, err := compute.NewService(t.Context(), option.WithEndpoint(g.Endpoint), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	insert := func(name string) error {
		op, err := api.GlobalAddresses.Insert(g.Project, &compute.Address{Name: name, IpVersion: "IPV4"}).Do()
		for err == nil && op.Status != "DONE" {
			op, err = api.GlobalOperations.Wait(g.Project, op.Name).Do()
		}
		if err == nil && op.Error != nil {
			err = errors.New(op.Error.Errors[0].Code)
		}
		return err
	}
	for _, c := range []struct {
		name   string
		action gcetest.Action
		as     func(error) bool
		made   bool
	}{
		{"answered", gcetest.Answer{Status: 503, Reason: "backendError", RetryAfter: time.Second}, isStatus(http.StatusServiceUnavailable), false},
		{"lost", gcetest.LoseAnswer{}, isBroken, true},
		{"dropped", gcetest.DropRequest{}, isBroken, false},
		{"slow", gcetest.SlowOperation(100 * time.Millisecond), func(err error) bool { return err == nil }, true},
		{"failed", gcetest.FailOperation{Code: "QUOTA_EXCEEDED"}, func(err error) bool { return err != nil && err.Error() == "QUOTA_EXCEEDED" }, false},
	} {
		fault := g.Fault(t, gcetest.Fault{Method: "globalAddresses.insert", Action: c.action})
		err := insert(c.name)
		fault.Remove(t)
		if !c.as(err) {
			t.Errorf("%s: %v", c.name, err)
		}
		path := "projects/" + g.Project + "/global/addresses/" + c.name
		made := len(g.History(t)[path]) > 0
		// Nobody waited for the operation whose answer was lost.
		for end := time.Now().Add(5 * time.Second); c.made && !made && time.Now().Before(end); {
			made = len(g.History(t)[path]) > 0
		}
		if made != c.made {
			t.Errorf("%s: made = %t, want %t", c.name, made, c.made)
		}
	}
	g.ResetCalls(t)
	if err := insert("well"); err != nil {
		t.Errorf("after the faults: %v", err)
	}
	if calls := g.Calls(t); len(calls) == 0 || calls[0].Method != "globalAddresses.insert" || calls[0].Name != "well" {
		t.Errorf("the calls are %+v", calls)
	}
	response, err := g.Get(t, "http://203.0.113.200/")
	if err == nil {
		_ = response.Body.Close()
	}
	if err == nil && response.StatusCode == http.StatusOK {
		t.Error("an address without a load balancer answered")
	}
	s.KillNodes(t, s.Clusters()[0])
	s.ReviveNodes(t, s.Clusters()[0])
}

func isStatus(code int) func(error) bool {
	return func(err error) bool {
		refusal, ok := errors.AsType[*googleapi.Error](err)
		return ok && refusal.Code == code
	}
}

func isBroken(err error) bool {
	_, refused := errors.AsType[*googleapi.Error](err)
	return err != nil && !refused && !errors.Is(err, context.DeadlineExceeded)
}
