package health

import (
	"context"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/pkg/federation"
)

// probes keeps what a prober reports.
type probes struct{ reports chan Probe }

// probe probes until the test ends and also calls react with each report.
func probe(t *testing.T, cfg *rest.Config, react func(Probe)) *probes {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &probes{reports: make(chan Probe, 100)} // more than a test makes happen
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewProber(cfg, ProberOptions{}).Run(ctx, func(probe Probe) {
			react(probe)
			p.reports <- probe
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return p
}

// wait passes reports by until one has the state and the class.
func (p *probes) wait(t *testing.T, state federation.ClusterState, failure federation.FailureClass) Probe {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	var passed []Probe
	for {
		select {
		case probe := <-p.reports:
			if probe.State == state && probe.Failure == failure {
				return probe
			}
			passed = append(passed, probe)
		case <-deadline.C:
			t.Fatalf("no report of %s %q within %v, only %+v", state, failure, patience, passed)
		}
	}
}
