package status

import (
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestADeploymentHasTheAddressOfTheFederation(t *testing.T) {
	tests := []struct {
		state     State
		addresses []string
		want      string
	}{
		{Success, []string{"203.0.113.10"}, "http://203.0.113.10/"},
		{Success, []string{"203.0.113.10", "203.0.113.10"}, "http://203.0.113.10/"},
		{Success, []string{"2001:db8::1"}, "http://[2001:db8::1]/"},
		{Success, []string{"lb-1.example.com"}, "http://lb-1.example.com/"},
		{Success, []string{"203.0.113.10", "203.0.113.11"}, ""},
		{Success, []string{"user:password@evil.example/?"}, ""},
		{Success, []string{"fe80::1%eth0"}, ""},
		{Success, nil, ""},
		{Pending, []string{"203.0.113.10"}, ""}, // not yet
	}
	for _, tt := range tests {
		r := Report{Federation: "web", Revision: federation.Revision{SHA: shaA}, State: tt.state}
		for _, a := range tt.addresses {
			r.Addresses = append(r.Addresses, Address{Address: a})
		}
		want := Commit{SHA: shaA, Context: "federation/web", State: tt.state, TargetURL: tt.want}
		if got := Deployment(r); got != want {
			t.Errorf("Deployment of %s at %v = %+v, want %+v", tt.state, tt.addresses, got, want)
		}
	}
	if got := Deployment(Report{Revision: federation.Revision{SHA: shaA}, State: Failure}); got != (Commit{}) {
		t.Errorf("Deployment of a revision whose federation is unknown = %+v, want none", got)
	}
}
