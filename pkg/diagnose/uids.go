package diagnose

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// ingressUID is the ConfigMap with the UID that GLBC uses in the names of what it creates.
var ingressUID = federation.ObjectRef{Kind: "ConfigMap", Namespace: "kube-system", Name: "ingress-uid"}

// uids compares the UIDs of Google's controllers if clusters share a load balancer by
// having the same UID. Otherwise the UIDs do not matter.
func (x *diagnosis) uids() {
	if x.Federation.GCP == nil || x.Federation.GCP.LoadBalancer != federation.LoadBalancerSharedUID {
		return
	}
	clusters := map[string][]string{}         // by effective UID
	rules := map[string]map[string][]string{} // by effective UID and provider-uid
	for _, m := range x.seen() {
		if !m.targeted || !m.facts.IngressUID.Known {
			continue
		}
		effective := m.facts.IngressUID.Effective()
		if effective == "" {
			x.withoutUID(m)
			continue
		}
		if m.sharesAddress() {
			clusters[effective] = append(clusters[effective], m.name)
			if rules[effective] == nil {
				rules[effective] = map[string][]string{}
			}
			provider := m.facts.IngressUID.Provider
			rules[effective][provider] = append(rules[effective][provider], m.name)
		}
		x.builtWithUID(m, effective)
	}
	if len(clusters) > 1 {
		x.differingUIDs(clusters)
	}
	x.firewalls(rules)
}

// sharesAddress reports whether GLBC serves, or may serve, a managed Ingress here.
func (m *member) sharesAddress() bool {
	for _, i := range m.ingresses {
		if !m.controller(i).other {
			return true
		}
	}
	return false
}

// withoutUID reports that a cluster has no UID. That is only a note if no Ingress needs
// GLBC there.
func (x *diagnosis) withoutUID(m *member) {
	f := federation.Finding{
		ID: federation.FindingUID, Severity: federation.SeverityNote, Cluster: m.name, Object: ingressUID,
		Message: untrusted.Const("does not exist: Google's ingress controller does not run here"),
	}
	if m.facts.IngressUID.Exists {
		f.Message = untrusted.Const("holds no uid: Google's ingress controller does not run here")
	}
	if m.sharesAddress() {
		f.Severity = federation.SeverityError
		f.Message = untrusted.Textf("%s, and no address can be shared with the other clusters", f.Message)
		f.Remedy = untrusted.Const("run the controller in the cluster, which creates the ConfigMap, or exclude the cluster with the app's clusterSelector")
	}
	x.add(f)
}

// differingUIDs reports that clusters that should share a load balancer each create their
// own. The most frequent UID is the one to keep, since the fewest clusters must rebuild
// then.
func (x *diagnosis) differingUIDs(clusters map[string][]string) {
	values := make(map[string][]string, len(clusters))
	for uid, names := range clusters {
		values[fmt.Sprintf("%q", untrusted.Line(uid))] = names
	}
	kept := x.keptUID(clusters)
	remedy := untrusted.New("check who wrote " + ingressUID.String() + ": the UID that most clusters have is not one that Google's controller generates")
	if wellFormedUID.MatchString(kept) {
		remedy = untrusted.List("run only while the cluster has no Ingress, since an existing one keeps its old names: ", x.setUID(kept), "; ")
	}
	x.add(federation.Finding{
		ID: federation.FindingUID, Severity: federation.SeverityError, Object: ingressUID,
		Message: untrusted.List("the UIDs of Google's ingress controllers differ, so each creates its own load balancer: ", rows(values), "; "),
		Remedy:  remedy,
	})
}

// wellFormedUID is the form of a valid UID. No command contains any other.
var wellFormedUID = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// setUID returns the commands that set the UID in every cluster that has another one.
func (x *diagnosis) setUID(kept string) []string {
	var commands []string
	for _, m := range x.seen() {
		if m.facts.IngressUID.Known && m.sharesAddress() && m.facts.IngressUID.Effective() != kept {
			commands = append(commands, m.kubectl("-n kube-system patch configmap ingress-uid --type=merge -p %s", `{"data":{"uid":"`+kept+`"}}`))
		}
	}
	return commands
}

// keptUID returns the most frequent UID; of equally frequent ones, that of the first
// cluster by name.
func (x *diagnosis) keptUID(clusters map[string][]string) string {
	best, least := "", ""
	for uid, names := range clusters {
		first := names[0]
		for _, name := range names {
			first = min(first, name)
		}
		if best == "" || len(names) > len(clusters[best]) || len(names) == len(clusters[best]) && first < least {
			best, least = uid, first
		}
	}
	return best
}

// builtWithUID finds managed Ingresses that were built before the UID was changed: their
// resources have old names and are not shared.
func (x *diagnosis) builtWithUID(m *member, effective string) {
	for _, i := range m.ingresses {
		built := uidOf(m.urlMaps[i.Ref])
		if built == "" || built == effective {
			continue
		}
		x.add(federation.Finding{
			ID: federation.FindingBuiltWithUID, Severity: federation.SeverityError,
			Cluster: m.name, App: i.app, Object: i.Ref, File: i.File,
			Message: untrusted.Textf("in %s was built with UID %q, but the cluster now has %q", m.name, untrusted.Line(built), untrusted.Line(effective)),
			Remedy:  untrusted.New("delete it; fedsync creates it again: " + m.kubectl("-n %s delete ingress %s", i.Ref.Namespace, i.Ref.Name)),
		})
	}
}

// uidOf returns the UID in the name of a URL map: k8s-um-<namespace>-<name>--<uid>.
// Names of the newer form have none. The controller truncates names at 63 characters,
// which may leave part of a UID.
func uidOf(urlMap string) string {
	const cut = 63
	at := strings.LastIndex(urlMap, "--")
	if !strings.HasPrefix(urlMap, "k8s-um-") || at < 0 || len(urlMap) >= cut {
		return ""
	}
	return urlMap[at+2:]
}

// firewalls reports controllers that share a UID and thus a firewall rule. Each writes the
// rule for its own cluster: only the last writer's probes are allowed, and the backends of
// the others are unhealthy.
func (x *diagnosis) firewalls(sharing map[string]map[string][]string) {
	for uid, byProvider := range sharing {
		for provider, clusters := range byProvider {
			if len(clusters) < 2 {
				continue
			}
			slices.Sort(clusters)
			x.add(federation.Finding{
				ID: federation.FindingFirewall, Severity: federation.SeverityWarning, Object: ingressUID,
				Message: untrusted.Textf("the controllers of %s write the same firewall rule, k8s-fw-l7--%s, each for its own nodes: if the clusters share a network, the rule flaps",
					strings.Join(clusters, ", "), providerOr(provider, uid)),
				Remedy: untrusted.List("open the node ports with your own rule, which fedsync firewall prints, and give each controller its own rule: ", x.setProviders(clusters), "; "),
			})
		}
	}
}

// providerOr returns the part of a firewall rule's name that a controller chooses.
func providerOr(provider, uid string) string {
	if provider != "" {
		return untrusted.Line(provider)
	}
	return untrusted.Line(uid)
}

// setProviders returns the commands that give each cluster's controller its own name for
// its firewall rule.
func (x *diagnosis) setProviders(clusters []string) []string {
	var commands []string
	for _, name := range clusters {
		sum := md5.Sum([]byte(name)) // a short name like the controllers', not a secret
		patch := `{"data":{"provider-uid":"` + hex.EncodeToString(sum[:8]) + `"}}`
		commands = append(commands, x.member(name).kubectl("-n kube-system patch configmap ingress-uid --type=merge -p %s", patch))
	}
	return commands
}
