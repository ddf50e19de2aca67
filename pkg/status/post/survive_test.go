package post

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/status"
)

// A forge's answer may make a client panic, but ends nothing: the request is repeated.
func TestAProviderThatPanicsEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panics := 2 // changed while the forge's lock is held
		f := &forge{}
		f.answer = func(status.Commit) error {
			if panics--; panics >= 0 {
				var nothing *status.Commit
				_ = nothing.SHA
			}
			return nil
		}
		p, _ := run(t, f, Options{Context: web})
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		advance(t, time.Hour)
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.posted) != 1 || len(f.attempts) != 3 {
			t.Errorf("posted %v after %d attempts, want the status after three", f.posted, len(f.attempts))
		}
	})
	err := status.Survive(zap.NewNop(), func() error { panic("password=hunter2 of somebody") })
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("Survive = %v, want a panic without its secret", err)
	}
}
