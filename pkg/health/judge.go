package health

import (
	"cmp"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Judge returns the health of a live object and what its status shows. It retains no
// reference to u.
//
// Health follows kstatus, with two additional rules. An Ingress, a Gateway, or a Service
// of type LoadBalancer is progressing until it has an address, whatever its class. The
// health of a Gateway and its routes is what their controllers report for the current
// generation. One rule of kstatus depends on the clock: a Pod counts as unschedulable 15 s
// after its creation.
func Judge(cluster, app string, u *unstructured.Unstructured) federation.Observation {
	o := federation.Observation{
		Cluster: cluster,
		App:     app,
		Object:  federation.RefOf(u),
		Created: u.GetCreationTimestamp().UTC(),
	}
	switch kind(u) {
	case "Ingress":
		describeIngress(&o, u)
	case "Service":
		describeService(&o, u)
	case "ReplicaSet", "Deployment", "StatefulSet":
		o.Desired = live.Number(u, 1, "spec", "replicas") // 1 is the API's default
		o.Ready = live.Number(u, 0, "status", "readyReplicas")
	case "DaemonSet":
		o.Desired = live.Number(u, 0, "status", "desiredNumberScheduled")
		o.Ready = live.Number(u, 0, "status", "numberReady")
	}
	switch {
	case live.IsClaim(u):
		c := live.ClaimOf(u)
		o.StorageClass, o.Provisioner, o.AwaitsConsumer = c.StorageClass, c.Provisioner, c.AwaitsConsumer
	case o.Object.IsGateway():
		describeGateway(&o, u)
	case o.Object.IsRoute():
		describeRoute(&o, u)
	}
	o.Health, o.Message = assess(u)
	if o.Health == federation.Healthy && wantsAddress(u) && len(o.Addresses) == 0 {
		o.Health, o.Message = federation.Progressing, untrusted.Const("no address yet")
	}
	return o
}

// kind returns the kind of a built-in object; empty for a kind of another group that has
// the same name.
func kind(u *unstructured.Unstructured) string {
	gk := u.GroupVersionKind().GroupKind()
	switch gk.Group {
	case "", "apps", "networking.k8s.io", "extensions":
		return gk.Kind
	}
	return ""
}

func wantsAddress(u *unstructured.Unstructured) bool {
	if federation.RefOf(u).IsGateway() {
		return true
	}
	switch kind(u) {
	case "Ingress":
		return true
	case "Service":
		return live.Text(u, "spec", "type") == "LoadBalancer"
	}
	return false
}

// assess returns an object's health by kstatus, and the reason if it is not healthy.
func assess(u *unstructured.Unstructured) (health federation.Health, message untrusted.Text) {
	// kstatus assumes that the object is well formed, but a cluster may return anything: a
	// broken member must not crash the whole program.
	defer func() {
		if r := recover(); r != nil {
			health, message = federation.Unknown, untrusted.Textf("its status cannot be read: %v", r)
		}
	}()
	result, err := status.Compute(u)
	if err != nil {
		return federation.Unknown, untrusted.Textf("its status cannot be read: %v", err)
	}
	switch result.Status {
	case status.CurrentStatus:
		// kstatus has no rules for the Gateway API.
		switch ref := federation.RefOf(u); {
		case ref.IsGateway():
			return judgeGateway(u)
		case ref.IsRoute():
			return judgeRoute(u)
		}
		return federation.Healthy, message
	case status.InProgressStatus:
		if why := onPurpose(u); why != "" {
			return federation.Healthy, untrusted.New(why)
		}
		return federation.Progressing, untrusted.Excerpt(cmp.Or(complaint(u), result.Message))
	case status.TerminatingStatus:
		return federation.Progressing, untrusted.Excerpt(terminating(u))
	case status.FailedStatus:
		return federation.Degraded, untrusted.Excerpt(cmp.Or(complaint(u), result.Message))
	case status.NotFoundStatus, status.UnknownStatus:
	}
	return federation.Unknown, untrusted.Excerpt(result.Message)
}

// onPurpose returns why an object makes no progress because its spec says so; empty
// otherwise. No controller works on such an object, so waiting for it would never end.
func onPurpose(u *unstructured.Unstructured) string {
	switch gk := u.GroupVersionKind().GroupKind(); {
	case gk.Group == "batch" && gk.Kind == "Job" && live.Flag(u, false, "spec", "suspend"):
		return "suspended by spec.suspend"
	case gk.Group == "apps" && gk.Kind == live.KindDeployment && live.Flag(u, false, "spec", "paused"):
		return "paused by spec.paused: its pods stay unchanged"
	}
	return ""
}

// complaint returns what a workload's controller reports about pods that it cannot create
// or that do not start: a quota, an admission webhook, a missing service account,
// a deadline. kstatus reports only that something is wrong.
func complaint(u *unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, wanted := range []struct{ kind, status string }{
		{"ReplicaFailure", "True"}, {"Progressing", "False"}, {"Failed", "True"},
	} {
		for _, c := range conditions {
			condition, ok := c.(map[string]any)
			if !ok || condition["type"] != wanted.kind || condition["status"] != wanted.status {
				continue
			}
			if message, ok := condition["message"].(string); ok && message != "" {
				return message
			}
		}
	}
	return ""
}

func terminating(u *unstructured.Unstructured) string {
	if finalizers := u.GetFinalizers(); len(finalizers) > 0 {
		return "being deleted, waits for finalizers " + strings.Join(finalizers, ", ")
	}
	return "being deleted"
}
