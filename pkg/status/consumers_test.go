package status

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// claimCase is a claim web/data of class "late" that is Pending in the only cluster.
type claimCase struct {
	planned  []string         // in YAML
	observed map[string]int64 // wanted pods if Git has no number
	unseen   bool             // planned objects are not visible yet
	claim    func(*federation.Observation)
	facts    func(*federation.ClusterFacts)
	plan     func(*federation.Plan)
	waits    string // the note; empty if the claim is judged by its phase
	message  string // part of the message then
}

func (c claimCase) input(t *testing.T) Input {
	t.Helper()
	revision := federation.Revision{Ref: "main", SHA: shaA}
	claim := federation.Observation{
		Cluster: "c1", App: "shop", Object: federation.ObjectRef{Kind: "PersistentVolumeClaim", Namespace: "web", Name: "data"},
		Health: federation.Progressing, Message: untrusted.New("PVC is not Bound. phase: Pending"), StorageClass: "late", AwaitsConsumer: true,
	}
	if c.claim != nil {
		c.claim(&claim)
	}
	known := ClusterInput{
		Facts: federation.ClusterFacts{
			State: federation.ClusterReady, StorageClassesKnown: true,
			StorageClasses: []federation.StorageClass{{Name: "at-once"}, {Name: "late", WaitsForConsumer: true}},
		},
		Current: true, Applied: revision, Revision: revision, Observations: []federation.Observation{claim},
	}
	if c.facts != nil {
		c.facts(&known.Facts)
	}
	app := federation.AppPlan{App: "shop"}
	for _, text := range c.planned {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			t.Fatal(err)
		}
		o, err := federation.NewObject(object, "apps/shop/all.yaml") // as the schedule writes it
		if err != nil {
			t.Fatal(err)
		}
		app.Objects = append(app.Objects, o)
		if desired := c.observed[o.Ref.String()]; !c.unseen {
			known.Observations = append(known.Observations, federation.Observation{
				Cluster: "c1", App: "shop", Object: o.Ref, Health: federation.Healthy, Desired: desired, Ready: desired,
			})
		}
	}
	plan := federation.Plan{Clusters: []federation.ClusterPlan{{Cluster: "c1", Apps: []federation.AppPlan{app}}}}
	if c.plan != nil {
		c.plan(&plan)
	}
	return Input{
		Federation: &federation.Federation{
			Name: "web", Apps: []federation.App{{Name: "shop"}}, Clusters: []federation.Cluster{{Name: "c1"}},
		},
		Snapshot: federation.Snapshot{Revision: revision}, FirstSeen: firstSeen, Now: firstSeen.Add(DefaultDeadline * 2),
		Clusters: map[string]ClusterInput{"c1": known}, Plan: &plan,
	}
}

// workload returns an object whose pods mount a claim.
func workload(kind, fields, claim string) string {
	pod := fmt.Sprintf(`{volumes: [{name: v, persistentVolumeClaim: {claimName: %s}}]}`, claim)
	version := "apps/v1"
	switch kind {
	case "Pod":
		return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {namespace: web, name: w}, spec: %s}`, pod)
	case "CronJob":
		return fmt.Sprintf(`{apiVersion: batch/v1, kind: CronJob, metadata: {namespace: web, name: w}, spec: {%s jobTemplate: {spec: {template: {spec: %s}}}}}`, fields, pod)
	case "Job":
		version = "batch/v1"
	case "Rollout":
		version = "argoproj.io/v1alpha1"
	}
	return fmt.Sprintf(`{apiVersion: %s, kind: %s, metadata: {namespace: web, name: w}, spec: {%s template: {spec: %s}}}`, version, kind, fields, pod)
}

func TestAClaimThatNothingMountsHereWaitsForItsFirstConsumer(t *testing.T) {
	const nothing = "waits for the first pod that mounts it: nothing in Git mounts it"
	none := func(ref string) string {
		return "waits for the first pod that mounts it: " + ref + " has no pods in this cluster"
	}
	cases := map[string]claimCase{
		"nothing mounts it":                          {waits: nothing},
		"another claim is mounted":                   {planned: []string{workload("Deployment", "replicas: 1,", "data-2")}, waits: nothing},
		"a namesake in another namespace":            {planned: []string{strings.Replace(workload("Deployment", "replicas: 1,", "data"), "web", "other", 1)}, waits: nothing},
		"a CronJob mounts it":                        {planned: []string{workload("CronJob", "schedule: '@hourly',", "data")}, waits: "waits for the first pod that mounts it: batch/CronJob/web/w runs only on its schedule"},
		"a Job mounts it":                            {planned: []string{workload("Job", "", "data")}},
		"a suspended Job mounts it":                  {planned: []string{workload("Job", "suspend: true,", "data")}, waits: none("batch/Job/web/w")},
		"a Pod mounts it":                            {planned: []string{workload("Pod", "", "data")}},
		"an unknown kind mounts it":                  {planned: []string{workload("Rollout", "replicas: 0,", "data")}},
		"one of two has pods":                        {planned: []string{workload("Deployment", "replicas: 0,", "data"), workload("StatefulSet", "replicas: 1,", "data")}},
		"an autoscaler leaves one at zero":           {planned: []string{workload("Deployment", "", "data")}, observed: map[string]int64{"apps/Deployment/web/w": 0}, waits: none("apps/Deployment/web/w")},
		"an autoscaler runs pods":                    {planned: []string{workload("Deployment", "", "data")}, observed: map[string]int64{"apps/Deployment/web/w": 2}},
		"a workload without a number is not visible": {unseen: true, planned: []string{workload("Deployment", "", "data")}},
		"a DaemonSet finds no node":                  {planned: []string{workload("DaemonSet", "", "data")}, observed: map[string]int64{"apps/DaemonSet/web/w": 0}, waits: none("apps/DaemonSet/web/w")},
		"a DaemonSet finds nodes":                    {planned: []string{workload("DaemonSet", "", "data")}, observed: map[string]int64{"apps/DaemonSet/web/w": 3}},

		"its class creates volumes at once": {claim: func(o *federation.Observation) { o.StorageClass = "at-once" }},
		"its class is missing": {
			claim:   func(o *federation.Observation) { o.StorageClass = "lat" },
			message: "PVC is not Bound. phase: Pending; the cluster has no StorageClass lat",
		},
		"its volume is being created": {claim: func(o *federation.Observation) { o.AwaitsConsumer = false }},
		"classes are not listed yet":  {facts: func(f *federation.ClusterFacts) { f.StorageClassesKnown, f.StorageClasses = false, nil }},
		"classes may not be listed": {facts: func(f *federation.ClusterFacts) {
			f.StorageClassesKnown, f.StorageClasses = false, nil
			f.Blind = []federation.Blind{{Resource: storageClasses, Failure: federation.FailureForbidden}}
		}, waits: nothing},
		"classes may not be listed, and a volume was requested": {facts: func(f *federation.ClusterFacts) {
			f.StorageClassesKnown, f.StorageClasses = false, nil
			f.Blind = []federation.Blind{{Resource: storageClasses, Failure: federation.FailureForbidden}}
		}, claim: func(o *federation.Observation) { o.Provisioner = "p" }},
		"classes cannot be listed now": {facts: func(f *federation.ClusterFacts) {
			f.StorageClassesKnown, f.StorageClasses = false, nil
			f.Blind = []federation.Blind{{Resource: storageClasses, Failure: federation.FailureServer}}
		}},

		"there is no plan yet": {plan: func(p *federation.Plan) { p.Clusters = nil }},
		"an app is broken":     {plan: func(p *federation.Plan) { p.Clusters[0].Apps[0].Broken = true }},
		"something is withheld": {plan: func(p *federation.Plan) {
			p.Clusters[0].Apps[0].Withheld = []federation.Withheld{{Object: federation.ObjectRef{Group: "apps", Kind: "Deployment", Namespace: "web", Name: "v"}}}
		}},
	}
	for _, kind := range []string{"Deployment", "ReplicaSet", "StatefulSet"} {
		ref := "apps/" + kind + "/web/w"
		cases[kind+" of none"] = claimCase{planned: []string{workload(kind, "replicas: 0,", "data")}, waits: none(ref)}
		cases[kind+" of one"] = claimCase{planned: []string{workload(kind, "replicas: 1,", "data")}}
	}
	for replicas, waits := range map[int]string{0: none("apps/StatefulSet/web/w"), 2: ""} {
		set := fmt.Sprintf(`{apiVersion: apps/v1, kind: StatefulSet, metadata: {namespace: web, name: w}, spec: {replicas: %d, volumeClaimTemplates: [{metadata: {name: data}}]}}`, replicas)
		claim := func(name string) func(o *federation.Observation) {
			return func(o *federation.Observation) { o.Object.Name = name }
		}
		cases[fmt.Sprintf("a StatefulSet of %d would make it", replicas)] = claimCase{planned: []string{set}, claim: claim("data-w-0"), waits: waits}
		cases[fmt.Sprintf("a StatefulSet of %d makes others", replicas)] = claimCase{planned: []string{set}, claim: claim("data-w-x"), waits: nothing}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := Summarise(c.input(t))
			o := r.Clusters[0].Objects[0]
			for _, other := range r.Clusters[0].Objects {
				if other.Object.Kind == "PersistentVolumeClaim" {
					o = other
				}
			}
			if waits := o.Health == federation.Healthy; waits != (c.waits != "") || waits && o.Message.String() != c.waits {
				t.Errorf("the claim is %s (%s), want the note %q", o.Health, o.Message, c.waits)
			}
			if c.message != "" && o.Message.String() != c.message {
				t.Errorf("message %q, want %q", o.Message, c.message)
			}
			if succeeds := r.State == Success; c.waits != "" && !succeeds {
				t.Errorf("the report is %s (%s), want success", r.State, r.Description)
			}
			if c.waits == "" && c.plan == nil && r.State != Failure {
				t.Errorf("the report is %s (%s), want a failure", r.State, r.Description)
			}
		})
	}
}
