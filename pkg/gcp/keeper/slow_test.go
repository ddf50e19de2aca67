package keeper

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

// While one operation takes minutes, and another call hangs, endpoints elsewhere
// follow the nodes within seconds, and hand edits are undone.
func TestASlowOperationDelaysNothingElse(t *testing.T) {
	for name, fault := range map[string]gcetest.Fault{
		"slow operation": {Method: `globalAddresses\.insert`, Times: 1, Action: gcetest.SlowOperation(4 * time.Minute)},
		"hanging call":   {Method: `globalAddresses\.insert`, Times: 1, Action: gcetest.Hang{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, 2, quickOperations)
				defer l.close()
				l.start()
				l.healthy()
				l.settle()
				l.server.Fault(fault)
				l.addApps(1, false) // its address takes minutes
				l.want()
				time.Sleep(5 * time.Second)
				before := l.endpoints()
				l.AddNode("c2", "r-c2-b", 7)
				l.want()
				began := time.Now()
				for l.endpoints() < before+2 && time.Since(began) < 3*time.Minute {
					time.Sleep(time.Second)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("the endpoints of a new node came after %s\n%s", took, l.status())
				}
				l.settle()
				if n := len(l.server.Snapshot().ForwardingRules); n != 2 {
					t.Errorf("%d forwarding rules in the end; want 2", n)
				}
			})
		})
	}
}

// endpoints returns how many endpoints all groups have.
func (l *lab) endpoints() int {
	n := 0
	for _, group := range l.server.Snapshot().Endpoints {
		n += len(group)
	}
	return n
}
