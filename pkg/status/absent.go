package status

import (
	"fmt"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
)

// absent returns the wait for a cluster that is not Ready. Each class of failure has its
// own words, because the remedies differ.
func (s *summary) absent(c Cluster) wait {
	f := federation.Finding{Cluster: c.Name, Since: c.Since}
	context := s.context(c.Name)
	state, cause := "unreachable", failure.Words(c.Failure)
	f.ID, f.Remedy = federation.FindingUnreachable, untrusted.New(failure.Remedy(c.Failure, context))
	switch c.Failure {
	case federation.FailureDNS, federation.FailureRefused, federation.FailureTimeout, federation.FailureNetwork:
	case federation.FailureTLS:
		state = "not trusted"
	case federation.FailureUnauthorised:
		f.ID, state = federation.FindingCredentials, "unauthorised"
	case federation.FailureForbidden:
		f.ID, state = federation.FindingCredentials, "forbidden"
	case federation.FailureContext:
		f.ID, state, cause = federation.FindingNoContext, "not in the kubeconfig", fmt.Sprintf("no usable kubeconfig context %q", context)
	case federation.FailureThrottled:
		f.ID, state = federation.FindingNotReady, "throttled"
	case federation.FailureServer, federation.FailureInvalid, federation.FailureConflict:
		f.ID, state = federation.FindingNotReady, "not ready"
	case federation.FailureMisbehaves:
		f.ID, state = federation.FindingNotReady, "misbehaving"
	case federation.FailureFiles:
		f.ID, state = federation.FindingNoContext, "credentials missing"
	case federation.FailureNone:
		f.ID = federation.FindingNotReady
		f.Remedy = untrusted.New(untrusted.Command("kubectl --context=%s get --raw /readyz", context))
		switch c.State {
		case federation.ClusterOffline, federation.ClusterNotReady:
			state, cause = "unreachable", "its probes fail"
		case federation.ClusterUnknown:
			state, cause = "unknown", "fedsync is not allowed to read it"
		case federation.ClusterPending, federation.ClusterReady:
			state, cause = "not probed yet", "no probe has finished yet"
		}
	}
	f.Message = untrusted.New(cause)
	if !c.Error.IsZero() {
		f.Message = untrusted.Textf("%s: %s", f.Message, c.Error)
	}
	words := c.Name + " " + state
	if age := s.Now.Sub(c.Since); !c.Since.IsZero() && age >= time.Minute {
		words += " " + short(age)
	}
	// A cluster that was not probed yet needs no warning: its first probe is due.
	return wait{finding: f, words: words, early: c.State != federation.ClusterPending}
}
