package post

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// probedForge is a forge that answers probes with the next error.
type probedForge struct {
	forge
	answers []error
	probes  []time.Time
}

func (f *probedForge) Probe(context.Context) error {
	f.probes = append(f.probes, time.Now())
	answer := f.answers[0]
	f.answers = f.answers[1:]
	return answer
}

func TestAProbeReportsAMissingPermissionUntilItIsGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &probedForge{answers: []error{
			errors.New("connection refused"),
			fmt.Errorf("%w: it needs the permission statuses=write", status.ErrUnauthorized),
			errors.New("connection refused"),
			nil,
		}}
		poster := New(f, Options{})
		done := make(chan struct{})
		go func() { defer close(done); poster.Probe(t.Context()) }()
		found := func() string {
			synctest.Wait()
			var words []string
			for _, finding := range poster.Findings() {
				words = append(words, finding.ID+": "+finding.Message.String())
			}
			return strings.Join(words, "; ")
		}
		if got := found(); got != "" {
			t.Errorf("findings of an unreachable forge: %s", got)
		}
		advance(t, probeAgain)
		if got := found(); !strings.Contains(got, "status-token: fake: no status can be posted") || !strings.Contains(got, "statuses=write") {
			t.Errorf("findings: %s, want the permission's name", got)
		}
		advance(t, probeAgain)
		if got := found(); !strings.Contains(got, "statuses=write") {
			t.Errorf("findings after the forge became unreachable: %s, want the known problem", got)
		}
		advance(t, probeAgain)
		<-done
		if got := found(); got != "" || len(f.probes) != 4 {
			t.Errorf("findings after a good probe: %s, and %d probes", got, len(f.probes))
		}
	})
}

func TestAProbeAndAPostReportAProblemOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := fmt.Errorf("%w: 401", status.ErrUnauthorized)
		f := &probedForge{forge: forge{answer: func(status.Commit) error { return refused }}, answers: []error{refused, refused}}
		poster, _ := run(t, f, Options{})
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		poster.Want(status.Commit{SHA: shaA, Context: web, State: status.Success, Description: "2/2"})
		poster.Probe(ctx)
		if found := poster.Findings(); len(found) != 1 || found[0].ID != federation.FindingStatus {
			t.Errorf("findings: %v, want one", found)
		}
	})
}
