package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestDiffPrintsWhatWouldBeDoneOnComputeEngine(t *testing.T) {
	for _, c := range []struct {
		name  string
		cloud *status.Cloud
		equal bool
		want  string
	}{
		{"no load balancers", nil, true, ""},
		{"nothing to do", &status.Cloud{Project: "web-prod"}, true, "\nCompute Engine, project web-prod: no difference\n"},
		{
			"it cannot be read", &status.Cloud{Project: "web-prod", Error: untrusted.New("403\nforbidden")}, false,
			"\nCompute Engine, project web-prod: not compared\n  ! 403 forbidden\n",
		},
		{"it cannot be read whole", &status.Cloud{Project: "web-prod", Error: untrusted.New("machines: 404"), Pending: []status.CloudAction{
			{Verb: "attach", Resource: "endpoint group a/g"},
		}}, false, "\nCompute Engine, project web-prod: 1 change, as far as it could be read\n  ! machines: 404\n  + attach  endpoint group a/g\n"},
		{"changes", &status.Cloud{Project: "web-prod", Pending: []status.CloudAction{
			{Verb: "create", Resource: "URL map fedsync-web", Reason: untrusted.New("missing")},
			{Verb: "update", Resource: "backend service fedsync-web-80", Reason: untrusted.New("differs in backends\x1b[2J")},
			{Verb: "delete", Resource: "health check fedsync-old", Reason: untrusted.New("left over")},
		}}, false, `
Compute Engine, project web-prod: 3 changes
  + create  URL map fedsync-web  missing
  ~ update  backend service fedsync-web-80  differs in backends [2J
  - delete  health check fedsync-old  left over
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newCloudDiff(c.cloud)
			var b strings.Builder
			d.write(printer.Plain(&b))
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Errorf("write (-want +got):\n%s", diff)
			}
			if d.equal() != c.equal {
				t.Errorf("equal() = %t, want %t", d.equal(), c.equal)
			}
		})
	}
}
