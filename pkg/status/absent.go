package status

import (
	"fmt"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// absent says of a cluster that is not Ready what is wrong with it and what to
// do: each class of failure has words of its own, for the remedies differ.
func (s *summary) absent(c Cluster) wait {
	f := federation.Finding{Cluster: c.Name, Since: c.Since}
	context := s.context(c.Name)
	var state, cause string
	switch c.Failure {
	case federation.FailureDNS:
		f.ID, state, cause = idUnreachable, "unreachable", "its name does not resolve"
		f.Remedy = fmt.Sprintf("correct the server's host name in the kubeconfig (context %q), or DNS where fedsync runs", context)
	case federation.FailureRefused:
		f.ID, state, cause = idUnreachable, "unreachable", "connection refused"
		f.Remedy = fmt.Sprintf("start the API server, or correct the server's port in the kubeconfig (context %q)", context)
	case federation.FailureTimeout:
		f.ID, state, cause = idUnreachable, "unreachable", "no answer in time"
		f.Remedy = "check routes and firewalls between fedsync and the API server, and the server's load"
	case federation.FailureNetwork:
		f.ID, state, cause = idUnreachable, "unreachable", "the connection fails"
		f.Remedy = "check the network between fedsync and the API server"
	case federation.FailureTLS:
		f.ID, state, cause = idUnreachable, "not trusted", "its certificate is not trusted"
		f.Remedy = fmt.Sprintf("put the cluster's own certificate authority into the kubeconfig (context %q), or renew the server's certificate", context)
	case federation.FailureUnauthorised:
		f.ID, state, cause = idCredentials, "unauthorised", "it does not accept our credentials"
		f.Remedy = fmt.Sprintf("renew the credentials in the kubeconfig (context %q); nothing is moved away meanwhile", context)
	case federation.FailureForbidden:
		f.ID, state, cause = idCredentials, "forbidden", "our credentials are not allowed to look"
		f.Remedy = fmt.Sprintf("grant fedsync's role to the user of context %q", context)
	case federation.FailureContext:
		f.ID, state, cause = idContext, "not in the kubeconfig", fmt.Sprintf("no usable kubeconfig context %q", context)
		f.Remedy = fmt.Sprintf("add the context to the kubeconfig, or set the cluster's context in %s", federation.FileName)
	case federation.FailureFiles:
		f.ID, state, cause = idContext, "credentials missing", "a file that the kubeconfig names cannot be used"
		f.Remedy = "create the file that is named, readable for fedsync; it takes effect at once"
	case federation.FailureNotReady:
		f.ID, state, cause = idNotReady, "not ready", "it answers with server errors"
		f.Remedy = fmt.Sprintf("kubectl --context=%s get --raw '/readyz?verbose'", context)
	case federation.FailureNone:
		f.ID = idNotReady
		f.Remedy = fmt.Sprintf("kubectl --context=%s get --raw /readyz", context)
		switch c.State {
		case federation.ClusterOffline, federation.ClusterNotReady:
			state, cause = "unreachable", "its probes fail"
		case federation.ClusterUnknown:
			state, cause = "unknown", "it does not let us look"
		case federation.ClusterPending, federation.ClusterReady:
			state, cause = "not probed yet", "it has not been judged yet"
		}
	}
	f.Message = cause
	if c.Error != "" {
		f.Message += ": " + line(c.Error)
	}
	words := c.Name + " " + state
	if age := s.Now.Sub(c.Since); !c.Since.IsZero() && age >= time.Minute {
		words += " " + short(age)
	}
	// A cluster that was not probed yet needs no warning: it is on its way.
	return wait{finding: f, words: words, early: c.State != federation.ClusterPending}
}
