package daemon

import (
	"errors"
	"testing"

	"github.com/fedsync/fedsync/pkg/config"
)

func TestASinglePassDoesNotFenceTheDaemonBesideIt(t *testing.T) {
	d := &Daemon{duplicate: true, kubeconfig: &config.Kubeconfig{}} // it has no clients of clusters: it must fail before it needs them
	if report, err := d.RunOnce(t.Context()); !errors.Is(err, errDuplicate) || report != nil {
		t.Errorf("RunOnce = %v, %v, want %v", report, err, errDuplicate)
	}
}
