package status

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// storageClasses is the resource that facts name when StorageClasses cannot be read.
const storageClasses = "storageclasses.storage.k8s.io"

// withoutConsumers judges claims whose volume is created when a pod first needs it. If
// the plan gives no such pod to the cluster, nothing creates the volume, and a wait for
// it would never end. The plan decides: when a workload that mounts the claim gets
// replicas there, the claim is judged by its phase again.
func (s *summary) withoutConsumers(cluster string, facts federation.ClusterFacts, observations []federation.Observation) []federation.Observation {
	awaits := func(o federation.Observation) bool { return o.AwaitsConsumer && o.Health == federation.Progressing }
	if !slices.ContainsFunc(observations, awaits) || !s.whole(cluster) {
		return observations
	}
	out := slices.Clone(observations)
	for i := range out {
		o := &out[i]
		if !awaits(*o) {
			continue
		}
		switch waits, why := waitsForPod(facts, *o); {
		case !why.IsZero():
			o.Message = untrusted.Textf("%s; %s", o.Message, why)
		case waits:
			if note, found := s.unmounted(cluster, o.Object, observations); found {
				o.Health, o.Message = federation.Healthy, note
			}
		}
	}
	return out
}

// whole reports whether the plan holds everything that Git declares for a cluster.
func (s *summary) whole(cluster string) bool {
	if s.Plan == nil {
		return false
	}
	i := slices.IndexFunc(s.Plan.Clusters, func(c federation.ClusterPlan) bool { return c.Cluster == cluster })
	return i >= 0 && !slices.ContainsFunc(s.Plan.Clusters[i].Apps, func(a federation.AppPlan) bool {
		return a.Broken || len(a.Withheld) > 0
	})
}

// waitsForPod reports whether the volume of a claim is created only when a pod needs it;
// why is the reason that it cannot be created at all. If StorageClasses may not be
// listed, a claim whose provisioner was already asked does not wait.
func waitsForPod(facts federation.ClusterFacts, o federation.Observation) (waits bool, why untrusted.Text) {
	if !facts.StorageClassesKnown {
		refused := func(b federation.Blind) bool { return b.Resource == storageClasses && b.Refused() }
		return o.Provisioner == "" && slices.ContainsFunc(facts.Blind, refused), why
	}
	i := slices.IndexFunc(facts.StorageClasses, func(c federation.StorageClass) bool { return c.Name == o.StorageClass })
	if i < 0 {
		return false, untrusted.Textf("the cluster has no StorageClass %s", o.StorageClass)
	}
	return facts.StorageClasses[i].WaitsForConsumer, why
}

// unmounted returns why nothing mounts a claim in a cluster; false if something does.
func (s *summary) unmounted(cluster string, claim federation.ObjectRef, observations []federation.Observation) (untrusted.Text, bool) {
	var reasons []string
	for _, object := range s.planned(cluster) {
		c, mounts := consumerOf(object, claim)
		if !mounts {
			continue
		}
		if c.Kind == "CronJob" {
			reasons = append(reasons, object.Ref.String()+" runs only on its schedule")
			continue
		}
		if c.pods(object.Ref, observations) > 0 {
			return untrusted.Text{}, false
		}
		reasons = append(reasons, object.Ref.String()+" has no pods in this cluster")
	}
	if len(reasons) == 0 {
		reasons = []string{"nothing in Git mounts it"}
	}
	return untrusted.List("waits for the first pod that mounts it: ", reasons, "; "), true
}

// consumer holds the fields of an object that show whether its pods mount a claim.
type consumer struct {
	Kind string `json:"kind"`
	Spec struct {
		Replicas  *int64 `json:"replicas"`
		Suspend   bool   `json:"suspend"`
		Templates []struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		} `json:"volumeClaimTemplates"`
	} `json:"spec"`
}

// consumerOf decodes an object whose pods mount a claim; false for any other object. Any
// object counts that names the claim as a pod does: a custom resource may hold a pod
// template.
func consumerOf(o *federation.Object, claim federation.ObjectRef) (consumer, bool) {
	if o.Ref.Namespace != claim.Namespace {
		return consumer{}, false
	}
	names := bytes.Contains(o.JSON, []byte(`"claimName":`)) && bytes.Contains(o.JSON, []byte(claim.Name))
	makes := o.Ref.Kind == "StatefulSet" && bytes.Contains(o.JSON, []byte(`"volumeClaimTemplates":`))
	if !names && !makes {
		return consumer{}, false
	}
	var c consumer
	var whole any
	if json.Unmarshal(o.JSON, &whole) != nil || json.Unmarshal(o.JSON, &c) != nil {
		// An object that the API server refuses has no pods, and is reported elsewhere.
		return consumer{Kind: o.Ref.Kind}, names
	}
	return c, names && namesClaim(whole, claim.Name) || makes && c.makes(o.Ref, claim.Name)
}

// namesClaim reports whether a value holds a volume of a claim.
func namesClaim(value any, claim string) bool {
	switch v := value.(type) {
	case map[string]any:
		if source, ok := v["persistentVolumeClaim"].(map[string]any); ok && source["claimName"] == claim {
			return true
		}
		for _, one := range v {
			if namesClaim(one, claim) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(one any) bool { return namesClaim(one, claim) })
	}
	return false
}

// makes reports whether a StatefulSet's pods use a claim of this name as one that a
// template made: TEMPLATE-STATEFULSET-NUMBER.
func (c consumer) makes(set federation.ObjectRef, claim string) bool {
	for _, t := range c.Spec.Templates {
		number, ok := strings.CutPrefix(claim, t.Metadata.Name+"-"+set.Name+"-")
		if ok && number != "" && strings.Trim(number, "0123456789") == "" {
			return true
		}
	}
	return false
}

// pods returns how many pods an object should have in the cluster, or 1 if that is
// unknown.
func (c consumer) pods(ref federation.ObjectRef, observations []federation.Observation) int64 {
	switch ref.GroupKind().String() {
	case "Deployment.apps", "ReplicaSet.apps", "StatefulSet.apps", "DaemonSet.apps":
	case "Job.batch":
		if c.Spec.Suspend {
			return 0
		}
		return 1
	default:
		return 1
	}
	if c.Spec.Replicas != nil {
		return *c.Spec.Replicas
	}
	// Another controller sets it, such as an autoscaler.
	i := slices.IndexFunc(observations, func(o federation.Observation) bool { return o.Object == ref })
	if i < 0 {
		return 1
	}
	return observations[i].Desired
}
