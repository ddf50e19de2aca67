package schedule

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
)

// parse makes objects of a YAML stream.
func parse(t *testing.T, text string) []*federation.Object {
	t.Helper()
	var all []*federation.Object
	for i, doc := range strings.Split(text, "\n---\n") {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(doc), &content); err != nil {
			t.Fatalf("document %d: %v", i, err)
		}
		o, err := federation.NewObject(content, fmt.Sprintf("apps/web/%d.yaml", i))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// given is a federation in which these clusters run one app of the same objects,
// and of which nothing runs yet.
func given(t *testing.T, clusters []federation.Cluster, objects ...*federation.Object) Input {
	t.Helper()
	in := Input{
		Federation: &federation.Federation{
			Clusters: clusters, NodePorts: federation.PortRange{First: 30000, Last: 32767},
			Apps: []federation.App{{Name: "web", Prune: true}},
		},
		Facts: federation.Facts{Clusters: map[string]federation.ClusterFacts{}},
	}
	for _, c := range clusters {
		in.Bundles = append(in.Bundles, federation.Bundle{Cluster: c.Name, App: "web", Objects: objects})
	}
	return in
}

func abc() []federation.Cluster {
	return []federation.Cluster{
		{Name: "a", Labels: map[string]string{"location": "europe", "tier": "1"}},
		{Name: "b", Labels: map[string]string{"location": "asia", "tier": "5"}},
		{Name: "c", Labels: map[string]string{"location": "europe"}},
	}
}

// in gives the object of that kind and name in a cluster's plan; nil for none.
func in(plan federation.Plan, cluster, kind, name string) *federation.Object {
	for _, c := range plan.Clusters {
		for _, app := range c.Apps {
			for _, o := range app.Objects {
				if c.Cluster == cluster && o.Ref.Kind == kind && o.Ref.Name == name {
					return o
				}
			}
		}
	}
	return nil
}

func replicasIn(plan federation.Plan, cluster string) any {
	o := in(plan, cluster, "Deployment", "web")
	if o == nil {
		o = in(plan, cluster, "StatefulSet", "web")
	}
	if o == nil {
		return "no object"
	}
	return o.Unstructured().Object["spec"].(map[string]any)["replicas"]
}

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default, annotations: {%s}}
spec:
  replicas: 7
  template: {spec: {terminationGracePeriodSeconds: 9007199254740993}}`

func TestObjectSelectorsHaveAllOperatorsOfFederationV1(t *testing.T) {
	for selector, want := range map[string]string{
		`[]`: "abc",
		`[{"key":"location","operator":"in","values":["europe","africa"]}]`:                                  "ac",
		`[{"key":"location","operator":"In","values":["europe"]}]`:                                           "ac",
		`[{"key":"location","operator":"=","values":["asia"]}]`:                                              "b",
		`[{"key":"location","operator":"==","values":["asia"]}]`:                                             "b",
		`[{"key":"location","operator":"!=","values":["asia"]}]`:                                             "ac",
		`[{"key":"location","operator":"notin","values":["asia"]}]`:                                          "ac",
		`[{"key":"tier","operator":"exists"}]`:                                                               "ab",
		`[{"key":"tier","operator":"!"}]`:                                                                    "c",
		`[{"key":"tier","operator":"gt","values":["1"]}]`:                                                    "b",
		`[{"key":"tier","operator":"lt","values":["5"]}]`:                                                    "a",
		`[{"key":"location","operator":"in","values":["europe"]},{"key":"tier","operator":"exists"}]`:        "a",
		`[{"key":"location","operator":"in","values":["europe"]},{"key":"tier","operator":"!","values":[]}]`: "c",
	} {
		objects := parse(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  namespace: default\n  annotations:\n    %s: '%s'", annotationSelector, selector))
		plan := New().Plan(given(t, abc(), objects...))
		got := ""
		for _, c := range []string{"a", "b", "c"} {
			if in(plan, c, "ConfigMap", "x") != nil {
				got += c
			}
		}
		if got != want {
			t.Errorf("%s chooses %q, want %q", selector, got, want)
		}
	}
}

func TestAnnotationThatCannotBeUnderstoodIsQuotedAndWithheld(t *testing.T) {
	for annotation, want := range map[string]string{
		annotationSelector + `: 'location in (europe)'`:                      "location in (europe)",
		annotationSelector + `: '[{"key":"location"}]'`:                      `[{\"key\":\"location\"}]`,
		annotationSelector + `: '[{"key":"a","operator":"in"}]'`:             `\"operator\":\"in\"`,
		annotationSelector + `: '[{"key":"a","operator":"is","values":[]}]'`: `\"operator\":\"is\"`,
		annotationSelector + `: '[{"key":"a","opertor":"in"}]'`:              "opertor",
		annotationReplicas + `: Everywhere`:                                  "Everywhere",
		annotationDeployment + `: '{"rebalance": 1}'`:                        "rebalance",
	} {
		plan := New().Plan(given(t, abc(), parse(t, fmt.Sprintf(deployment, annotation))...))
		found := slices.IndexFunc(plan.Findings, func(f federation.Finding) bool { return f.ID == "annotation" })
		if found < 0 || !strings.Contains(plan.Findings[found].Message.String(), want) || plan.Findings[found].Severity != federation.SeverityError {
			t.Errorf("%s: findings = %v, want one with %q", annotation, plan.Findings, want)
		}
		for _, c := range plan.Clusters {
			if len(c.Apps[0].Objects) != 0 || len(c.Apps[0].Withheld) != 1 {
				t.Errorf("%s: cluster %s gets %d objects and %d are withheld, want 0 and 1", annotation, c.Cluster, len(c.Apps[0].Objects), len(c.Apps[0].Withheld))
			}
		}
	}
}

func TestReplicasAreWrittenAndNothingElseChanges(t *testing.T) {
	objects := parse(t, fmt.Sprintf(deployment, ""))
	s := New()
	first := s.Plan(given(t, abc(), objects...))
	sum := int64(0)
	for _, c := range []string{"a", "b", "c"} {
		o := in(first, c, "Deployment", "web")
		want := strings.Replace(string(objects[0].JSON), `"replicas":7`, fmt.Sprintf(`"replicas":%d`, replicasIn(first, c)), 1)
		if string(o.JSON) != want {
			t.Errorf("cluster %s gets %s, want %s", c, o.JSON, want)
		}
		sum += replicasIn(first, c).(int64)
	}
	if sum != 7 {
		t.Errorf("%d replicas are written, want 7", sum)
	}
	// The same plan again is the same objects: nothing is sent anew.
	second := s.Plan(given(t, abc(), objects...))
	if a, b := in(first, "a", "Deployment", "web"), in(second, "a", "Deployment", "web"); a != b {
		t.Error("a second plan makes the objects anew")
	}
	if third := New().Plan(given(t, abc(), objects...)); in(third, "a", "Deployment", "web").Digest != in(first, "a", "Deployment", "web").Digest {
		t.Error("another scheduler makes other objects")
	}
}

func TestReplicasThatAreNotDivided(t *testing.T) {
	scaler := `
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: default}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}`
	for name, c := range map[string]struct {
		text string
		want any
	}{
		"each cluster has its own":        {fmt.Sprintf(deployment, annotationReplicas+": PerCluster"), int64(7)},
		"an autoscaler sets them":         {fmt.Sprintf(deployment, "") + scaler, nil},
		"one sets those of each":          {fmt.Sprintf(deployment, annotationReplicas+": PerCluster") + scaler, nil},
		"one sets those of a StatefulSet": {strings.ReplaceAll(fmt.Sprintf(deployment, "")+scaler, "Deployment", "StatefulSet"), nil},
		"Git does not state them":         {unstated(""), nil},
		"another workload is scaled":      {fmt.Sprintf(deployment, `federation.kubernetes.io/deployment-preferences: '{"clusters":{"a":{"weight":1}}}'`) + strings.Replace(scaler, "kind: Deployment, name: web", "kind: Deployment, name: other", 1), int64(7)},
	} {
		plan := New().Plan(given(t, abc(), parse(t, c.text)...))
		if got := replicasIn(plan, "a"); got != c.want {
			t.Errorf("%s: replicas in a = %v, want %v", name, got, c.want)
		}
	}
}

// unstated is a Deployment that leaves its replicas to others.
func unstated(annotations string) string {
	return strings.Replace(fmt.Sprintf(deployment, annotations), "  replicas: 7\n", "", 1)
}

// What Git does not state is others' to set, whatever becomes of clusters.
func TestReplicasThatGitDoesNotStateAreNeverWritten(t *testing.T) {
	objects := parse(t, unstated(""))
	input := given(t, abc(), objects...)
	for i, state := range []federation.ClusterState{federation.ClusterReady, federation.ClusterOffline, federation.ClusterPending} {
		input.Facts.Clusters[abc()[i].Name] = federation.ClusterFacts{State: state, Seen: true, Synced: true, Workloads: []federation.Workload{
			{Object: objects[0].Ref, Replicas: int64(5 * i), Ready: int64(5 * i), Current: int64(5 * i)},
		}}
	}
	plan := New().Plan(input)
	for _, c := range []string{"a", "b", "c"} {
		if o := in(plan, c, "Deployment", "web"); o != objects[0] {
			t.Errorf("cluster %s gets %v, want the object as it is", c, o)
		}
	}
	if len(plan.Replicas) > 0 || len(plan.Findings) > 0 {
		t.Errorf("decided: %v, found: %v", plan.Replicas, plan.Findings)
	}

	// In some clusters only, or with preferences, it is a mistake.
	input.Bundles[1].Objects = parse(t, fmt.Sprintf(deployment, ""))
	preferences := given(t, abc(), parse(t, unstated(`federation.kubernetes.io/deployment-preferences: '{"clusters":{"*":{"weight":1}}}'`))...)
	for want, in := range map[string]Input{"none in a, c; 7 in b": input, "spec.replicas, which the object does not set": preferences} {
		plan := New().Plan(in)
		if !slices.ContainsFunc(plan.Findings, func(f federation.Finding) bool {
			return f.Severity == federation.SeverityError && strings.Contains(f.Message.String(), want)
		}) {
			t.Errorf("findings = %v, want an error with %q", plan.Findings, want)
		}
		for _, c := range plan.Clusters {
			if len(c.Apps[0].Objects) != 0 || len(c.Apps[0].Withheld) != 1 {
				t.Errorf("%s: cluster %s gets %d objects, want the Deployment withheld", want, c.Cluster, len(c.Apps[0].Objects))
			}
		}
	}
}

func TestOverlaysThatAskForDifferentTotalsAreRefused(t *testing.T) {
	input := given(t, abc(), parse(t, fmt.Sprintf(deployment, ""))...)
	input.Bundles[1].Objects = parse(t, strings.Replace(fmt.Sprintf(deployment, ""), "replicas: 7", "replicas: 3", 1))
	plan := New().Plan(input)
	found := slices.IndexFunc(plan.Findings, func(f federation.Finding) bool { return f.ID == "replicas" })
	if found < 0 || !strings.Contains(plan.Findings[found].Message.String(), "7 in a, c; 3 in b") || !strings.Contains(plan.Findings[found].Remedy.String(), "PerCluster") {
		t.Errorf("findings = %v, want one that names 7 in a, c and 3 in b", plan.Findings)
	}
	for _, c := range plan.Clusters {
		if len(c.Apps[0].Objects) != 0 || len(c.Apps[0].Withheld) != 1 {
			t.Errorf("cluster %s gets %d objects, want the Deployment withheld", c.Cluster, len(c.Apps[0].Objects))
		}
	}
}

func TestReplicasThatArePlacedNowhereAreAnError(t *testing.T) {
	const preferences = `federation.kubernetes.io/deployment-preferences: '{"clusters":{"*":{"weight":1,"maxReplicas":%d}}}'`
	for name, c := range map[string]struct {
		most  int
		state federation.ClusterState
		want  string // empty for none
	}{
		"there is room":             {most: 3, state: federation.ClusterReady},
		"there is none":             {most: 2, state: federation.ClusterReady, want: "1 of 7 replicas cannot be placed: every cluster has reached its maximum"},
		"there is none, yet may be": {most: 2, state: federation.ClusterPending},
	} {
		input := given(t, abc(), parse(t, fmt.Sprintf(deployment, fmt.Sprintf(preferences, c.most)))...)
		b := federation.Facts{}.Of("b")
		b.State, b.Seen, b.Synced = c.state, c.state == federation.ClusterReady, c.state == federation.ClusterReady
		input.Facts.Clusters["b"] = b
		plan := New().Plan(input)
		var got string
		for _, f := range plan.Findings {
			got += f.Message.String()
			if f.ID != "replicas" || f.Severity != federation.SeverityError || f.Object.Name != "web" || !strings.Contains(f.Remedy.String(), "lower spec.replicas in apps/web/0.yaml") {
				t.Errorf("%s: got %s %s %s, remedy %s", name, f.ID, f.Severity, f, f.Remedy)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestWhatRunsWhereTheRenderingIsBrokenStaysAndCounts(t *testing.T) {
	input := given(t, abc(), parse(t, fmt.Sprintf(deployment, ""))...)
	input.Bundles[1].Objects, input.Bundles[1].Err = nil, errors.New("no base")
	ref := federation.ObjectRef{Group: "apps", Kind: "Deployment", Namespace: "default", Name: "web"}
	b := federation.Facts{}.Of("b")
	b.Workloads = []federation.Workload{{Object: ref, Replicas: 3, Ready: 3, Current: 3}}
	input.Facts.Clusters["b"] = b
	plan := New().Plan(input)
	if a, c := replicasIn(plan, "a").(int64), replicasIn(plan, "c").(int64); a+c != 4 {
		t.Errorf("a and c get %d and %d, want the 4 that do not run in b", a, c)
	}
}

func TestClusterOutOfSightIsNotWrittenAnythingNew(t *testing.T) {
	ref := federation.ObjectRef{Group: "apps", Kind: "Deployment", Namespace: "default", Name: "web"}
	for name, c := range map[string]struct {
		facts federation.ClusterFacts
		want  any // replicas in the order for b
	}{
		"Offline, and it ran": {federation.ClusterFacts{
			State: federation.ClusterOffline, Seen: true,
			Workloads: []federation.Workload{{Object: ref, Replicas: 2, Ready: 2, Current: 2}},
		}, int64(2)},
		"Offline, and it did not run": {federation.ClusterFacts{State: federation.ClusterOffline, Seen: true}, "no object"},
		"Unknown, and it ran": {federation.ClusterFacts{
			State: federation.ClusterUnknown, Seen: true, Synced: true,
			Workloads: []federation.Workload{{Object: ref, Replicas: 2, Ready: 2, Current: 2}},
		}, int64(2)},
		"never seen": {federation.ClusterFacts{State: federation.ClusterPending}, "no object"},
	} {
		input := given(t, abc(), parse(t, fmt.Sprintf(deployment, ""))...)
		input.Facts.Clusters["b"] = c.facts
		if got := replicasIn(New().Plan(input), "b"); got != c.want {
			t.Errorf("%s: replicas in b = %v, want %v", name, got, c.want)
		}
	}
}

func TestServiceThatBecomesClusterIPGivesItsPortUp(t *testing.T) {
	web := "apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: default}\nspec: {type: %s, ports: [{port: 80%s}]}"
	objects := append(parse(t, fmt.Sprintf(web, "old", "ClusterIP", "")), parse(t, fmt.Sprintf(web, "new", "NodePort", ", nodePort: 30036"))...)
	input := given(t, abc(), objects...)
	a := federation.Facts{}.Of("a")
	a.NodePorts = []federation.NodePort{{Protocol: "TCP", Port: 30036, Namespace: "default", Service: "old", ServicePort: 80}}
	a.Inventory = map[string][]federation.ObjectRef{"web": refs(objects)}
	input.Facts.Clusters["a"] = a
	plan := New().Plan(input)
	if in(plan, "a", "Service", "new") == nil || len(plan.Findings) > 0 {
		t.Errorf("the new Service is withheld: %v", plan.Findings)
	}
}

func TestPlanIsTheSameInAnyOrderOfBundles(t *testing.T) {
	text := fmt.Sprintf(deployment, "")
	for i := range 5 {
		text += fmt.Sprintf("\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: default}\nspec: {type: NodePort, ports: [{port: 80}]}", i)
	}
	input := given(t, abc(), parse(t, text)...)
	want := New().Plan(input)
	slices.Reverse(input.Bundles)
	got := New().Plan(input)
	if !reflect.DeepEqual(want.Ports, got.Ports) || !reflect.DeepEqual(want.Replicas, got.Replicas) {
		t.Errorf("another order of bundles gives other decisions:\n%v\n%v", got, want)
	}
	numbers := map[int32]bool{}
	for _, d := range want.Ports {
		numbers[d.NodePort] = true
	}
	if len(numbers) != 5 {
		t.Errorf("5 Services got the node ports %v", slices.Sorted(maps.Keys(numbers)))
	}
}

func TestProvisionalPlanLeavesOutAppsInWhichSomethingIsDecided(t *testing.T) {
	input := given(t, abc(), parse(t, fmt.Sprintf(deployment, ""))...)
	input.Federation.Apps = append(input.Federation.Apps, federation.App{Name: "plain", Prune: true})
	input.Bundles = append(input.Bundles, federation.Bundle{Cluster: "a", App: "plain", Objects: objects(t, 1)})
	plan := New().Provisional(input, input.Federation.Clusters[0])
	if len(plan.Apps) != 1 || plan.Apps[0].App != "plain" || plan.Apps[0].Prune == federation.PruneAllowed {
		t.Errorf("provisional plan = %+v, want the app plain alone, and no pruning", plan.Apps)
	}
}

func TestClustersThatLeaveAreEmptiedUnlessTheyAreHalf(t *testing.T) {
	for name, c := range map[string]struct {
		leaving []string
		allowed bool
		want    federation.PruneVerdict
	}{
		"one of four":            {[]string{"x"}, false, federation.PruneAllowed},
		"three of six are half":  {[]string{"x", "y", "z"}, false, federation.PruneHeld},
		"a person lets it pass":  {[]string{"x", "y", "z"}, true, federation.PruneAllowed},
		"two of five are a part": {[]string{"x", "y"}, false, federation.PruneAllowed},
	} {
		input := given(t, abc(), objects(t, 1)...)
		if c.allowed {
			input.Federation.Annotations = map[string]string{federation.AnnotationPrune: "Allowed"}
		}
		for _, cluster := range c.leaving {
			input.Leaving = append(input.Leaving, federation.Cluster{Name: cluster})
			input.Facts.Clusters[cluster] = federation.ClusterFacts{
				State: federation.ClusterReady, Synced: true, Seen: true,
				Inventory: map[string][]federation.ObjectRef{"web": refs(objects(t, 1))},
			}
		}
		plan := New().Plan(input)
		last := plan.Clusters[len(plan.Clusters)-1]
		if len(last.Apps) != 1 || last.Apps[0].Prune != c.want || len(last.Apps[0].Objects) != 0 {
			t.Errorf("%s: plan of %s = %+v, want no objects and pruning %s", name, last.Cluster, last.Apps, c.want)
		}
	}
}

// running gives the facts of a cluster that runs web.
func running(replicas int64) federation.ClusterFacts {
	f := federation.Facts{}.Of("")
	f.Workloads = []federation.Workload{{
		Object:   federation.ObjectRef{Group: "apps", Kind: "Deployment", Namespace: "default", Name: "web"},
		Replicas: replicas, Ready: replicas, Current: replicas,
	}}
	return f
}

func TestEvacuatedClusterStaysEvacuatedUntilItIsSeen(t *testing.T) {
	for name, state := range map[string]federation.ClusterState{
		"it left the kubeconfig":          federation.ClusterUnknown,
		"it answers and is lost again":    federation.ClusterNotReady,
		"it answers and has not listed":   federation.ClusterReady,
		"a new connection was not tried":  federation.ClusterPending,
		"it is Offline as it was all day": federation.ClusterOffline,
	} {
		input := given(t, abc(), parse(t, fmt.Sprintf(deployment, ""))...)
		lost := running(3)
		lost.State, lost.Synced, lost.Outage = state, false, true
		input.Facts.Clusters["a"], input.Facts.Clusters["b"], input.Facts.Clusters["c"] = lost, running(4), running(3)
		plan := New().Plan(input)
		if b, c := replicasIn(plan, "b"), replicasIn(plan, "c"); b != int64(4) || c != int64(3) {
			t.Errorf("%s: b and c get %v and %v, want 4 and 3 as they have", name, b, c)
		}
	}
}

func TestReadyPodsOutOfSightAreNoReasonToLowerOthers(t *testing.T) {
	input := given(t, abc(), parse(t, fmt.Sprintf(deployment, ""))...)
	blind := running(3)
	blind.State = federation.ClusterUnknown
	input.Facts.Clusters["a"], input.Facts.Clusters["b"], input.Facts.Clusters["c"] = blind, running(4), running(3)
	plan := New().Plan(input)
	if b, c := replicasIn(plan, "b"), replicasIn(plan, "c"); b != int64(4) || c != int64(3) {
		t.Errorf("b and c get %v and %v, want 4 and 3: whether a runs anything, nobody knows", b, c)
	}
}

const autoscaler = `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: default, annotations: {%s}}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}`

func TestAutoscalerThatCannotBeReadScalesNothingDown(t *testing.T) {
	workload := fmt.Sprintf(deployment, "")
	facts := map[string]federation.ClusterFacts{"a": running(40), "b": running(40), "c": running(40)}

	input := given(t, abc(), parse(t, workload+"\n---\n"+fmt.Sprintf(autoscaler, annotationSelector+": slip"))...)
	input.Facts.Clusters = facts
	if got := replicasIn(New().Plan(input), "a"); got != nil {
		t.Errorf("with a slip in the autoscaler's annotation a gets %v replicas, want none said", got)
	}

	// It is in another app, which breaks.
	input = given(t, abc(), parse(t, workload)...)
	input.Facts.Clusters = facts
	input.Federation.Apps = append(input.Federation.Apps, federation.App{Name: "scaler"})
	whole := len(input.Bundles)
	for _, c := range abc() {
		input.Bundles = append(input.Bundles, federation.Bundle{Cluster: c.Name, App: "scaler", Objects: parse(t, fmt.Sprintf(autoscaler, ""))})
	}
	s := New()
	s.Plan(input)
	for i := whole; i < len(input.Bundles); i++ {
		input.Bundles[i].Objects, input.Bundles[i].Err = nil, errors.New("no base")
	}
	if got := replicasIn(s.Plan(input), "a"); got != nil {
		t.Errorf("a gets %v replicas after the autoscaler's app broke, want none said", got)
	}
	if got := replicasIn(New().Plan(input), "a"); got != int64(40) {
		t.Errorf("a gets %v replicas after a start with a broken app, want the 40 it has", got)
	}
}

func TestAutoscalerInOneClusterLeavesTheOthersDivided(t *testing.T) {
	only := annotationSelector + `: '[{"key":"location","operator":"in","values":["asia"]}]'` // b
	plan := New().Plan(given(t, abc(), parse(t, fmt.Sprintf(deployment, "")+"\n---\n"+fmt.Sprintf(autoscaler, only))...))
	if got := replicasIn(plan, "b"); got != nil {
		t.Errorf("b gets %v replicas, want none said", got)
	}
	if a, c := replicasIn(plan, "a").(int64), replicasIn(plan, "c").(int64); a+c != 7 {
		t.Errorf("a and c get %d and %d, want 7 in all", a, c)
	}
}

func TestNodePortChangedByHandIsPutBack(t *testing.T) {
	service := parse(t, "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\nspec: {type: NodePort, ports: [{port: 80}]}")
	input := given(t, abc()[:2], service...)
	has := func(port int32) federation.ClusterFacts {
		f := federation.Facts{}.Of("")
		f.NodePorts = []federation.NodePort{{Protocol: "TCP", Port: port, Namespace: "default", Service: "web", ServicePort: 80}}
		return f
	}
	s := New()
	input.Facts.Clusters["a"], input.Facts.Clusters["b"] = has(30050), has(30050)
	s.Plan(input)
	input.Facts.Clusters["b"] = has(30001)
	if got := s.Plan(input).Ports[0].NodePort; got != 30050 {
		t.Errorf("after an edit in b all get %d, want 30050 as before", got)
	}
}

func TestAppThatLeftAClusterNotYetSeenAwaitsIt(t *testing.T) {
	input := given(t, abc(), objects(t, 4)...)
	input.Federation.Apps[0].Selector = selector(t, "location=europe")
	for _, c := range []string{"a", "c"} {
		f := federation.Facts{}.Of(c)
		f.Inventory = map[string][]federation.ObjectRef{"web": refs(objects(t, 5))}
		input.Facts.Clusters[c] = f
	}
	input.Facts.Clusters["b"] = federation.ClusterFacts{State: federation.ClusterPending}
	plan := New().Plan(input)
	if got := plan.Clusters[0].Apps[0].Prune; got != federation.PruneWaiting {
		t.Errorf("pruning is %s while b has not been seen, want %s", got, federation.PruneWaiting)
	}
}

func TestAnAutoscalerInGitCountsOnceTheClusterHasIt(t *testing.T) {
	web := federation.ObjectRef{Group: "apps", Kind: "Deployment", Namespace: "default", Name: "web"}
	live := func(target federation.ObjectRef) func(f *federation.ClusterFacts) {
		return func(f *federation.ClusterFacts) {
			f.Autoscalers = []federation.Autoscaler{{Namespace: "default", Name: "web", Target: target, Ours: true}}
		}
	}
	known := func(changes ...func(f *federation.ClusterFacts)) federation.ClusterFacts {
		f := running(2)
		f.AutoscalersKnown = true
		for _, change := range changes {
			change(&f)
		}
		return f
	}
	other := web
	other.Name = "other"
	for name, c := range map[string]struct {
		b    federation.ClusterFacts
		want any // of the 7, in b
	}{
		"the cluster has it":             {known(live(web)), nil},
		"the cluster has none":           {known(), int64(2)},
		"it scales something else there": {known(live(other)), int64(2)},
		"it is gone, and what it set last stays": {known(func(f *federation.ClusterFacts) {
			f.Workloads[0].Scaled = true
		}), nil},
		"they may not be listed":            {running(2), nil},
		"the cluster was not seen yet":      {federation.ClusterFacts{State: federation.ClusterReady}, "no object"},
		"the cluster had it when it left":   {known(live(web), func(f *federation.ClusterFacts) { f.State, f.Synced = federation.ClusterUnknown, false }), nil},
		"the cluster is empty, as it seems": {known(func(f *federation.ClusterFacts) { f.Workloads = nil }), int64(2)},
	} {
		t.Run(name, func(t *testing.T) {
			perCluster := c.want
			if perCluster == int64(2) { // its part of the 7, where they are divided
				perCluster = int64(7)
			}
			for annotation, unscaled := range map[string]any{"": c.want, annotationReplicas + ": PerCluster": perCluster} {
				input := given(t, abc(), parse(t, fmt.Sprintf(deployment, annotation)+"\n---\n"+fmt.Sprintf(autoscaler, ""))...)
				input.Facts.Clusters["a"], input.Facts.Clusters["b"], input.Facts.Clusters["c"] = known(live(web)), c.b, known(live(web))
				s := New()
				for range 2 { // the second plan remembers the first
					plan := s.Plan(input)
					if got := replicasIn(plan, "b"); got != unscaled {
						t.Errorf("%s: b gets %v replicas, want %v", annotation, got, unscaled)
					}
					if got := replicasIn(plan, "a"); got != nil {
						t.Errorf("a gets %v replicas, want none said", got)
					}
					if slices.ContainsFunc(plan.Findings, func(f federation.Finding) bool { return f.Severity != federation.SeverityNote }) {
						t.Errorf("findings %v, want none", plan.Findings)
					}
				}
			}
		})
	}
}
