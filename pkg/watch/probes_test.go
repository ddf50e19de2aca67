package watch

import (
	"context"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/probe"
)

// probes holds the reports of a prober.
type probes struct{ reports chan probe.Probe }

// probing probes until the test ends and calls react with each report.
func probing(t *testing.T, cfg *rest.Config, react func(probe.Probe)) *probes {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reports := make(chan probe.Probe, 100) // more than a test causes
	done := make(chan struct{})
	go func() {
		defer close(done)
		probe.NewProber(cfg, probe.Options{}).Run(ctx, func(p probe.Probe) {
			react(p)
			reports <- p
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return &probes{reports}
}

// wait skips reports until one has the state and the class.
func (p *probes) wait(t *testing.T, state federation.ClusterState, failure federation.FailureClass) {
	t.Helper()
	deadline := time.NewTimer(membertest.Patience)
	defer deadline.Stop()
	var passed []probe.Probe
	for {
		select {
		case one := <-p.reports:
			if one.State == state && one.Failure == failure {
				return
			}
			passed = append(passed, one)
		case <-deadline.C:
			t.Fatalf("no report of %s %q within %v, only %+v", state, failure, membertest.Patience, passed)
		}
	}
}
