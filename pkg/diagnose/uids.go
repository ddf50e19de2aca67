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

// ingressUID is where GLBC reads the UID by which it names what it makes.
var ingressUID = federation.ObjectRef{Kind: "ConfigMap", Namespace: "kube-system", Name: "ingress-uid"}

// uids compares the UIDs of Google's controllers, where clusters share a load
// balancer by having the same one. Otherwise they are nobody's concern.
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

// sharesAddress says whether an Ingress of ours is, or may be, GLBC's here.
func (m *member) sharesAddress() bool {
	for _, i := range m.ingresses {
		if !m.controller(i).other {
			return true
		}
	}
	return false
}

// withoutUID says that a cluster has no UID. Where GLBC is not asked for that is
// as it should be.
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
		f.Remedy = untrusted.Const("run the controller in the cluster, which makes the ConfigMap, or exclude the cluster with the app's clusterSelector")
	}
	x.add(f)
}

// differingUIDs says that clusters which should share a load balancer each make
// their own. The UID that most have is the one to keep, as the fewest have to
// build anew.
func (x *diagnosis) differingUIDs(clusters map[string][]string) {
	values := make(map[string][]string, len(clusters))
	for uid, names := range clusters {
		values[fmt.Sprintf("%q", untrusted.Line(uid))] = names
	}
	kept := x.keptUID(clusters)
	remedy := untrusted.New("see who wrote " + ingressUID.String() + ": the UID that most clusters have is none that Google's controller makes")
	if wellFormedUID.MatchString(kept) {
		remedy = untrusted.List("while the cluster has no Ingress at all, since one that exists keeps its old names: ", x.setUID(kept), "; ")
	}
	x.add(federation.Finding{
		ID: federation.FindingUID, Severity: federation.SeverityError, Object: ingressUID,
		Message: untrusted.List("the UIDs of Google's ingress controllers differ, so each makes a load balancer of its own: ", rows(values), "; "),
		Remedy:  remedy,
	})
}

// wellFormedUID is what a UID may be made of; a command is given with no other.
var wellFormedUID = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// setUID gives the commands that make a UID that of every cluster which has another.
func (x *diagnosis) setUID(kept string) []string {
	var commands []string
	for _, m := range x.seen() {
		if m.facts.IngressUID.Known && m.sharesAddress() && m.facts.IngressUID.Effective() != kept {
			commands = append(commands, m.kubectl("-n kube-system patch configmap ingress-uid --type=merge -p %s", `{"data":{"uid":"`+kept+`"}}`))
		}
	}
	return commands
}

// keptUID is the UID that most clusters have; among equals, that of the first
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

// builtWithUID finds Ingresses of ours that were built before the UID was changed:
// what they are made of bears the old name, and is not shared.
func (x *diagnosis) builtWithUID(m *member, effective string) {
	for _, i := range m.ingresses {
		built := uidOf(m.urlMaps[i.Ref])
		if built == "" || built == effective {
			continue
		}
		x.add(federation.Finding{
			ID: federation.FindingBuiltWithUID, Severity: federation.SeverityError,
			Cluster: m.name, App: i.app, Object: i.Ref, File: i.File,
			Message: untrusted.Textf("in %s was built with UID %q, the cluster now has %q", m.name, untrusted.Line(built), untrusted.Line(effective)),
			Remedy:  untrusted.New("delete it, and fedsync makes it anew: " + m.kubectl("-n %s delete ingress %s", i.Ref.Namespace, i.Ref.Name)),
		})
	}
}

// uidOf reads the UID in the name of a url map: k8s-um-<namespace>-<name>--<uid>.
// Names of the newer form hold none, and the controller cuts those that are too
// long at 63 characters, which may leave half a UID.
func uidOf(urlMap string) string {
	const cut = 63
	at := strings.LastIndex(urlMap, "--")
	if !strings.HasPrefix(urlMap, "k8s-um-") || at < 0 || len(urlMap) >= cut {
		return ""
	}
	return urlMap[at+2:]
}

// firewalls says of controllers that share a UID that each keeps the one firewall rule
// as its own cluster needs it: whoever wrote last has its probes let in, and the others'
// backends are unhealthy.
func (x *diagnosis) firewalls(sharing map[string]map[string][]string) {
	for uid, byProvider := range sharing {
		for provider, clusters := range byProvider {
			if len(clusters) < 2 {
				continue
			}
			slices.Sort(clusters)
			x.add(federation.Finding{
				ID: federation.FindingFirewall, Severity: federation.SeverityWarning, Object: ingressUID,
				Message: untrusted.Textf("the controllers of %s write one firewall rule, k8s-fw-l7--%s, each for its own nodes: where the clusters share a network, it flaps",
					strings.Join(clusters, ", "), providerOr(provider, uid)),
				Remedy: untrusted.List("open the node ports by a rule of your own, which fedsync firewall prints, and give each cluster a rule of its own: ", x.setProviders(clusters), "; "),
			})
		}
	}
}

// providerOr is by what a controller names its firewall rule.
func providerOr(provider, uid string) string {
	if provider != "" {
		return untrusted.Line(provider)
	}
	return untrusted.Line(uid)
}

// setProviders gives the commands by which each cluster's controller names its
// firewall rule for itself.
func (x *diagnosis) setProviders(clusters []string) []string {
	var commands []string
	for _, name := range clusters {
		sum := md5.Sum([]byte(name)) // a short name, as the controllers make it: no secret
		patch := `{"data":{"provider-uid":"` + hex.EncodeToString(sum[:8]) + `"}}`
		commands = append(commands, x.member(name).kubectl("-n kube-system patch configmap ingress-uid --type=merge -p %s", patch))
	}
	return commands
}
