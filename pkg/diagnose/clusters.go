package diagnose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
)

// clusters reports what is wrong with the member clusters themselves.
func (x *diagnosis) clusters() {
	for _, m := range x.members {
		if !m.targeted {
			continue
		}
		x.probes(m)
		x.permissions(m)
	}
}

// probes reports how many probes of a cluster failed, in addition to status's finding on
// a cluster that does not answer: one failure in thirty differs from thirty.
func (x *diagnosis) probes(m *member) {
	if !troubled(m.facts.State) || m.facts.Failed == 0 {
		return
	}
	message := fmt.Sprintf("%d of the last %d probes failed", m.facts.Failed, m.facts.Probes)
	if away := m.facts.AwaySince; !away.IsZero() {
		message += "; no answer since " + away.UTC().Format("2006-01-02 15:04:05 MST")
	}
	x.add(federation.Finding{
		ID: federation.FindingProbes, Severity: federation.SeverityNote, Cluster: m.name,
		Message: untrusted.New(message), Remedy: untrusted.New(m.kubectl("get --raw /readyz")),
	})
}

// troubled reports whether a cluster is known not to answer or to refuse access.
func troubled(s federation.ClusterState) bool {
	switch s {
	case federation.ClusterNotReady, federation.ClusterOffline, federation.ClusterUnknown:
		return true
	case federation.ClusterPending, federation.ClusterReady:
	}
	return false
}

// unseen returns what is not known while a resource cannot be watched. It completes "it
// does not know …".
func unseen(resource string) string {
	switch resource {
	case "services":
		return "which node ports are taken: none is chosen or checked"
	case "ingresses.networking.k8s.io":
		return "which Ingresses exist, and their classes and addresses"
	case "endpointslices.discovery.k8s.io":
		return "which Services have ready endpoints"
	case "pods":
		return "which pods are unschedulable: replicas are not moved for lack of room"
	case "nodes":
		return "in which zones the cluster is"
	case "configmaps":
		return "the ingress-uid of Google's controller"
	case "secrets":
		return "whether TLS Secrets exist and are equal everywhere"
	case "resourcequotas":
		return "whether a quota has room"
	case "horizontalpodautoscalers.autoscaling":
		return "which autoscalers exist: those in Git count as accepted, others are not reported"
	case "storageclasses.storage.k8s.io":
		return "which claims wait for a first consumer: only the plan shows it"
	case "ingressclasses.networking.k8s.io":
		return "which controllers serve the Ingresses"
	case "replicasets.apps", "deployments.apps":
		return "how many replicas run, and how many could"
	}
	return "what it holds"
}

// permissions reports what cannot be watched, and what is therefore not known. All
// refused resources are in one finding, since one grant is the remedy.
func (x *diagnosis) permissions(m *member) {
	if m.facts.State != federation.ClusterReady {
		return
	}
	var refused []string
	for _, b := range m.facts.Blind {
		detail := fmt.Sprintf("%s, so it does not know %s", b.Resource, unseen(b.Resource))
		if !b.Error.IsZero() {
			detail += fmt.Sprintf(" (%s)", b.Error.String())
		}
		if b.Refused() {
			refused = append(refused, detail)
			continue
		}
		x.add(federation.Finding{
			ID: federation.FindingUnseen, Severity: federation.SeverityWarning, Cluster: m.name,
			Message: untrusted.New("fedsync cannot watch " + detail + "; the last known state stays in use"),
			Remedy:  untrusted.New(failure.Remedy(b.Failure, m.context)),
		})
	}
	if len(refused) == 0 {
		return
	}
	x.add(federation.Finding{
		ID: federation.FindingPermission, Severity: federation.SeverityWarning, Cluster: m.name,
		Message: untrusted.List("fedsync may not watch ", refused, "; "),
		Remedy:  untrusted.List("grant access to its user, and bind each role: ", m.roles(), "; "),
	})
}

// roles returns the commands that create the roles that fedsync lacks.
func (m *member) roles() []string {
	var watched, commands []string
	for _, b := range m.facts.Blind {
		secrets := m.secretRoles()
		switch {
		case !b.Refused():
		case b.Resource == "secrets" && len(secrets) > 0: // access to all Secrets would be too much
			commands = append(commands, secrets...)
		case b.Resource == "replicasets.apps": // the ReplicaSets of Deployments are read one by one
			commands = append(commands, m.kubectl("create clusterrole fedsync-replicasets --verb=get,list,watch --resource=%s", b.Resource))
		default:
			watched = append(watched, b.Resource)
		}
	}
	if len(watched) > 0 {
		commands = append(commands, m.kubectl("create clusterrole fedsync-facts --verb=list,watch --resource=%s", strings.Join(watched, ","))+
			", and check with: "+m.kubectl("auth can-i list %s --all-namespaces", watched[0]))
	}
	return commands
}

// secretRoles returns the commands that create, for each namespace, a role for the unknown
// Secrets that managed Ingresses name.
func (m *member) secretRoles() []string {
	names := map[string][]string{} // by namespace
	for _, i := range m.ingresses {
		for _, name := range i.ingress.secrets {
			if _, known := m.certificate(federation.ObjectRef{Kind: "Secret", Namespace: i.Ref.Namespace, Name: name}); !known {
				names[i.Ref.Namespace] = appendNew(names[i.Ref.Namespace], name)
			}
		}
	}
	var commands []string
	for _, namespace := range slices.Sorted(maps.Keys(names)) {
		words := []string{m.kubectl("-n %s create role fedsync-secrets --verb=list,watch --resource=secrets", namespace)}
		for _, name := range names[namespace] { // the flag takes only one name
			words = append(words, "--resource-name="+untrusted.Quote(name))
		}
		commands = append(commands, strings.Join(words, " "))
	}
	return commands
}
