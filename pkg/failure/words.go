package failure

import (
	"fmt"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Words returns what a failure of this class means, as a clause about the cluster: "its
// name does not resolve".
func Words(class federation.FailureClass) string {
	switch class {
	case federation.FailureDNS:
		return "its name does not resolve"
	case federation.FailureRefused:
		return "connection refused"
	case federation.FailureTimeout:
		return "no answer in time"
	case federation.FailureNetwork:
		return "the connection fails"
	case federation.FailureTLS:
		return "its certificate is not trusted"
	case federation.FailureUnauthorised:
		return "it does not accept our credentials"
	case federation.FailureForbidden:
		return "our credentials do not allow it"
	case federation.FailureThrottled:
		return "it asks us to send fewer requests"
	case federation.FailureServer:
		return "it answers with server errors"
	case federation.FailureInvalid:
		return "it does not accept the request"
	case federation.FailureConflict:
		return "the request conflicts with the current state"
	case federation.FailureContext:
		return "no usable kubeconfig context"
	case federation.FailureFiles:
		return "a file that the kubeconfig names cannot be used"
	case federation.FailureMisbehaves:
		return "it misbehaves"
	case federation.FailureNone:
	}
	return ""
}

// Remedy returns the remedy for failures of this class in the cluster that a context of
// the kubeconfig leads to; empty for no failure.
func Remedy(class federation.FailureClass, context string) string {
	switch class {
	case federation.FailureDNS:
		return fmt.Sprintf("correct the server's host name in the kubeconfig (context %q), or DNS where fedsync runs", context)
	case federation.FailureRefused:
		return fmt.Sprintf("start the API server, or correct the server's port in the kubeconfig (context %q)", context)
	case federation.FailureTimeout:
		return "check routes and firewalls between fedsync and the API server, and the server's load"
	case federation.FailureNetwork:
		return "check the network between fedsync and the API server"
	case federation.FailureTLS:
		return fmt.Sprintf("put the cluster's own certificate authority into the kubeconfig (context %q), or renew the server's certificate", context)
	case federation.FailureUnauthorised:
		return fmt.Sprintf("renew the credentials in the kubeconfig (context %q); no replicas are moved away until then", context)
	case federation.FailureForbidden:
		return fmt.Sprintf("grant fedsync's role to the user of context %q", context)
	case federation.FailureThrottled:
		return "wait, or raise the limit for fedsync's user in the API server's priority levels or in the gateway before it"
	case federation.FailureServer:
		return untrusted.Command("kubectl --context=%s get --raw '/readyz?verbose'", context)
	case federation.FailureInvalid:
		return "correct what the message names"
	case federation.FailureConflict:
		return "find out who else changes the object: kubectl get --show-managed-fields"
	case federation.FailureContext:
		return fmt.Sprintf("add the context to the kubeconfig, and to the setting --contexts if it is set, or set the cluster's context in %s", federation.FileName)
	case federation.FailureFiles:
		return "create the named file, readable for fedsync; it takes effect immediately"
	case federation.FailureMisbehaves:
		return fmt.Sprintf("check the server that context %q leads to, and any proxy before it: "+
			"an API server does not answer like this; no replicas are moved away because of it", context)
	case federation.FailureNone:
	}
	return ""
}
