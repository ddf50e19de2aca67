package ingress

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// uid distinguishes one cluster's load balancers from another's. GLBC uses the part of
// the ConfigMap's value after the last "--".
type uid string

func effective(s string) uid {
	if i := strings.LastIndex(s, "--"); i >= 0 {
		s = s[i+2:]
	}
	return uid(s)
}

// names are the names of one load balancer's parts. GLBC derives them from the Ingress
// and the UID, so clusters with the same UID name the same load balancer.
type names struct {
	balancer string // "NAMESPACE-INGRESS--UID", from which the other names derive
	uid      uid
}

func newNames(namespace, ingress string, u uid) names {
	return names{balancer: truncate(fmt.Sprintf("%s-%s--%s", namespace, ingress, u)), uid: u}
}

func (n names) urlMap() string              { return truncate("k8s-um-" + n.balancer) }
func (n names) targetProxy() string         { return truncate("k8s-tp-" + n.balancer) }
func (n names) forwardingRule() string      { return truncate("k8s-fw-" + n.balancer) }
func (n names) httpsTargetProxy() string    { return truncate("k8s-tps-" + n.balancer) }
func (n names) httpsForwardingRule() string { return truncate("k8s-fws-" + n.balancer) }

func (n names) backend(nodePort int32) string {
	return truncate(fmt.Sprintf("k8s-be-%d--%s", nodePort, n.uid))
}

// certificate returns the name of the certificate that GLBC would upload. The real name
// also depends on the content of the Secret, which the stand-in does not read.
func (n names) certificate(secret string) string {
	return truncate(fmt.Sprintf("k8s-ssl-%s-%s--%s", hash(n.balancer), hash(secret), n.uid))
}

func hash(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s)))[:16] }

// longest is the length, in bytes, of the longest name that is not truncated.
const longest = 62

// truncate shortens a name to Compute Engine's limit as GLBC does, which cuts off the
// UID.
func truncate(name string) string {
	if len(name) <= longest {
		return name
	}
	return name[:longest] + "0"
}
