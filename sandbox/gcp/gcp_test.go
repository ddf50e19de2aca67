package gcp

import (
	"reflect"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

func TestOperationsTakeTheirShare(t *testing.T) {
	const slowest = 300 * time.Millisecond
	for method, want := range map[string]time.Duration{
		"globalForwardingRules.insert":                 300 * time.Millisecond,
		"globalForwardingRules.setLabels":              150 * time.Millisecond,
		"backendServices.patch":                        240 * time.Millisecond,
		"networkEndpointGroups.attachNetworkEndpoints": 150 * time.Millisecond,
		"globalAddresses.delete":                       90 * time.Millisecond,
		"somethingElse.insert":                         150 * time.Millisecond,
	} {
		if got := operationTime(slowest)(method); got != want {
			t.Errorf("%s takes %s, want %s", method, got, want)
		}
	}
	if got := operationTime(0)("backendServices.insert"); got != 0 {
		t.Errorf("without a time it takes %s", got)
	}
}

func TestFaultIsThatOfTheStandIn(t *testing.T) {
	matching := Fault{Method: "a.b", Collection: "a", Name: "n", Nth: 2, Times: 3}
	for _, c := range []struct {
		json Fault
		want gcetest.Action
	}{
		{Fault{Action: "answer", Status: 503, Reason: "r", Message: "m", RetryAfter: "2s"}, gcetest.Answer{Status: 503, Reason: "r", Message: "m", RetryAfter: 2 * time.Second}},
		{Fault{Action: "loseAnswer"}, gcetest.LoseAnswer{}},
		{Fault{Action: "dropRequest"}, gcetest.DropRequest{}},
		{Fault{Action: "slowOperation", Time: "1.5s"}, gcetest.SlowOperation(1500 * time.Millisecond)},
		{Fault{Action: "failOperation", Code: "C", Message: "m"}, gcetest.FailOperation{Code: "C", Message: "m"}},
		{Fault{Action: "hang"}, gcetest.Hang{}},
	} {
		in := c.json
		in.Method, in.Collection, in.Name, in.Nth, in.Times = matching.Method, matching.Collection, matching.Name, matching.Nth, matching.Times
		got, err := in.fault()
		if err != nil {
			t.Errorf("%s: %v", c.json.Action, err)
		}
		want := gcetest.Fault{Method: "a.b", Collection: "a", Name: "n", Nth: 2, Times: 3, Action: c.want}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %+v, want %+v", c.json.Action, got, want)
		}
	}
}

func TestMachineIsReadFromTheProviderID(t *testing.T) {
	for id, want := range map[string]machine{
		"gce://p/europe-west1-b/n": {"p", "europe-west1-b", "n"},
		"gce://p/n":                {},
		"gce://p/z/n/more":         {},
		"onprem://p/z/n":           {},
		"":                         {},
	} {
		if got, ok := machineOf(id); got != want || ok != (want != machine{}) {
			t.Errorf("machineOf(%q) = %v, %t; want %v", id, got, ok, want)
		}
	}
}
