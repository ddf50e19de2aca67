package plan_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/plan"
	"github.com/fedsync/fedsync/pkg/schedule"
)

// world is a federation of three clusters with one app, as a repository has it.
type world struct {
	f       federation.Federation
	objects []string // YAML, the same in every cluster
	of      map[string][]string
	broken  string // a cluster for which the app cannot be rendered
}

func newWorld(objects ...string) *world {
	w := &world{objects: objects, of: map[string][]string{}}
	w.f = federation.Federation{
		Name: "web", CreateNamespaces: true, NodePorts: federation.PortRange{First: 30000, Last: 32767},
		Failover: federation.Failover{Mode: "Automatic"},
		Apps:     []federation.App{{Name: "echo", Path: "apps/echo", Adoption: federation.AdoptAlways, Prune: true, PruneLimit: federation.PruneLimit{Percent: 10}}},
	}
	for _, name := range []string{"a", "b", "c"} {
		w.f.Clusters = append(w.f.Clusters, federation.Cluster{Name: name, Context: name, Weight: 100})
	}
	return w
}

func (w *world) bundles(t *testing.T) []federation.Bundle {
	t.Helper()
	var all []federation.Bundle
	for _, c := range w.f.Clusters {
		for _, app := range w.f.Apps {
			b := federation.Bundle{Cluster: c.Name, App: app.Name}
			if w.broken == c.Name {
				b.Err = fmt.Errorf("apps/%s: no such file", app.Name)
			}
			for i, text := range slices.Concat(w.objects, w.of[c.Name]) {
				var content map[string]any
				if err := yaml.Unmarshal([]byte(text), &content); err != nil {
					t.Fatal(err)
				}
				o, err := federation.NewObject(content, fmt.Sprintf("apps/%s/%d.yaml", app.Name, i))
				if err != nil {
					t.Fatal(err)
				}
				b.Objects = append(b.Objects, o)
			}
			all = append(all, b)
		}
	}
	return all
}

func (w *world) side(t *testing.T, sha string, facts federation.Facts) plan.Side {
	t.Helper()
	p := schedule.New().Plan(schedule.Input{Federation: &w.f, Bundles: w.bundles(t), Facts: facts})
	return plan.Side{Revision: federation.Revision{Ref: sha, SHA: strings.Repeat(sha, 40)[:40]}, Federation: &w.f, Plan: p, Findings: p.Findings}
}

// planOf plans a change by what the base is assumed to run, with facts besides.
func planOf(t *testing.T, base, head *world, tell func(*federation.Facts), answers map[string]plan.Answer) *plan.Plan {
	t.Helper()
	facts := plan.Assume(federation.Facts{}, base.side(t, "b", federation.Facts{}).Plan)
	if tell != nil {
		tell(&facts)
	}
	return plan.Of(plan.Input{Base: base.side(t, "b", facts), Head: head.side(t, "d", facts), Facts: facts, Answers: answers})
}

const (
	service = `{apiVersion: v1, kind: Service, metadata: {name: web, namespace: default},
spec: {type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, nodePort: 30080}]}}`
	replicaSet = `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web, namespace: default},
spec: {replicas: 6, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "web:1"}]}}}}`
	ingress = `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, namespace: default, annotations: {kubernetes.io/ingress.global-static-ip-name: web}},
spec: {tls: [{secretName: web}], defaultBackend: {service: {name: web, port: {number: 80}}}}}`
	secret      = `{apiVersion: v1, kind: Secret, metadata: {name: web, namespace: default}, type: Opaque, stringData: {password: canary-one}}`
	statefulSet = `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, namespace: default}, spec: {replicas: 2, serviceName: db, selector: {matchLabels: {app: db}}}}`
	certificate = `{apiVersion: v1, kind: Secret, metadata: {name: tls, namespace: default}, type: kubernetes.io/tls, stringData: {tls.crt: canary-cert, tls.key: canary-key}}`
	balancer    = `{apiVersion: v1, kind: Service, metadata: {name: balancer, namespace: default}, spec: {type: LoadBalancer, selector: {app: web}, ports: [{name: http, port: 80}]}}`
	namespace   = `{apiVersion: v1, kind: Namespace, metadata: {name: apart}}`
	configMap   = `{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: default}, data: {a: b}}`
	definition  = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.example.com}, spec: {group: example.com}}`
)

func edit(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

// What is dangerous is said, in words, and of everything else nothing.
func TestRisks(t *testing.T) {
	all := []string{service, replicaSet, ingress, secret, definition, statefulSet, certificate, balancer, namespace}
	for i := range 20 {
		all = append(all, fmt.Sprintf(configMap, fmt.Sprintf("c%02d", i)))
	}
	with := func(old, changed string) []string {
		objects := slices.Clone(all)
		i := slices.Index(objects, old)
		objects[i] = changed
		return objects
	}
	without := func(gone ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(o string) bool { return slices.Contains(gone, o) })
	}
	const none = ""
	for _, c := range []struct {
		name    string
		head    []string
		change  func(*world)
		tell    func(*federation.Facts)
		answers map[string]plan.Answer
		verdict plan.Verdict
		want    string // the first risk: its severity, kind and words
	}{
		{name: "nothing", head: all, verdict: plan.Same, want: none},
		{name: "an image", head: with(replicaSet, edit(replicaSet, "web:1", "web:2")), verdict: plan.Changes, want: "I everywhere all 3 clusters change at the same time"},
		{name: "an image in one cluster", head: all, change: func(w *world) {
			w.objects = without(replicaSet)
			w.of = map[string][]string{"a": {replicaSet}, "b": {edit(replicaSet, "web:1", "web:2")}, "c": {replicaSet}}
		}, verdict: plan.Changes, want: none},
		{name: "other pods", head: with(service, edit(service, "app: web", "app: shop")), verdict: plan.Changes, want: `W selector the Service selects other pods: spec.selector.app "web" → "shop"`},
		{name: "a selector that cannot change", head: with(replicaSet, edit(replicaSet, "app: web", "app: shop")), verdict: plan.Fails, want: "E immutable spec.selector cannot be changed"},
		{name: "a node port", head: with(service, edit(service, "30080", "30081")), verdict: plan.Changes, want: "W node port the node port of port 80/TCP changes from 30080 to 30081"},
		{name: "a port that somebody has", head: with(service, edit(service, "30080", "30081")), tell: func(f *federation.Facts) {
			b := f.Clusters["b"]
			b.NodePorts = append(b.NodePorts, federation.NodePort{Protocol: "TCP", Port: 30081, Namespace: "default", Service: "legacy", ServicePort: 80})
			f.Clusters["b"] = b
		}, verdict: plan.Fails, want: "E port clash node port 30081 of port 80/TCP is held by Service/default/legacy in b"},
		{name: "a port that somebody has had before", head: with(secret, edit(secret, "canary-one", "canary-two")), tell: func(f *federation.Facts) {
			b := f.Clusters["b"]
			b.NodePorts = []federation.NodePort{{Protocol: "TCP", Port: 30080, Namespace: "default", Service: "legacy", ServicePort: 80}}
			f.Clusters["b"] = b
		}, verdict: plan.Changes, want: "I everywhere"},
		{name: "no replicas", head: with(replicaSet, edit(replicaSet, "replicas: 6", "replicas: 0")), verdict: plan.Changes, want: "W no replicas it no longer runs anywhere: replicas change from 6 to 0"},
		{name: "no room", head: with(replicaSet, edit(replicaSet, "replicas: 6", "replicas: 60")), tell: func(f *federation.Facts) {
			for name, c := range f.Clusters {
				c.Workloads = slices.Clone(c.Workloads)
				c.Workloads[0].Limited, c.Workloads[0].Capacity = true, 4
				f.Clusters[name] = c
			}
		}, verdict: plan.Fails, want: "E capacity 48 of 60 replicas cannot be placed"},
		{name: "one of many deleted", head: without(fmt.Sprintf(configMap, "c03")), verdict: plan.Changes, want: "W delete ConfigMap/default/c03 will be deleted"},
		{name: "many deleted", head: all[:12], verdict: plan.Fails, want: "W held the deletion of"},
		{name: "an app that does not prune", head: without(secret), change: func(w *world) { w.f.Apps[0].Prune = false }, verdict: plan.Changes, want: "W orphan app echo does not prune: Secret/default/web will stay"},
		{name: "a definition", head: without(definition), verdict: plan.Changes, want: "W definition the kind that it defines is deleted with it"},
		{name: "an Ingress", head: without(ingress), verdict: plan.Changes, want: "W address the Ingress will be deleted"},
		{name: "an address", head: with(ingress, edit(ingress, "static-ip-name: web", "static-ip-name: shop")), verdict: plan.Changes, want: "W address its address may change"},
		{name: "a certificate", head: with(ingress, edit(ingress, "secretName: web", "secretName: shop")), verdict: plan.Changes, want: `W certificate other certificates are served: spec.tls[0].secretName "web" → "shop"`},
		{name: "a cluster that leaves", head: all, change: func(w *world) { w.f.Clusters = w.f.Clusters[:2] }, verdict: plan.Changes, want: "W cluster leaves the federation: its objects stay"},
		{name: "a cluster that is emptied", head: all, change: func(w *world) {
			w.f.Clusters, w.f.OnRemove = w.f.Clusters[:2], federation.OnRemoveDelete
		}, verdict: plan.Changes, want: "W cluster leaves the federation: all objects that fedsync created there will be deleted"},
		{name: "another context", head: all, change: func(w *world) { w.f.Clusters[1].Context = "x" }, verdict: plan.Same, want: "W cluster the name leads to another context: x instead of b"},
		{name: "a port that a Service gives up", head: with(service, edit(service, "type: NodePort", "type: ClusterIP", ", nodePort: 30080", "")), verdict: plan.Changes, want: "W node port node port 30080 of port 80/TCP is given up: its clients are refused"},
		{name: "a Service that goes", head: without(service), verdict: plan.Changes, want: "W delete Service/default/web will be deleted"},
		{name: "no replicas of what is not divided", head: with(statefulSet, edit(statefulSet, "replicas: 2", "replicas: 0")), verdict: plan.Changes, want: "W no replicas it no longer runs: spec.replicas 2 → 0"},
		{name: "what a StatefulSet cannot change", head: with(statefulSet, edit(statefulSet, "serviceName: db", "serviceName: data")), verdict: plan.Fails, want: "E immutable spec.serviceName cannot be changed"},
		{name: "another certificate in a Secret", head: with(certificate, edit(certificate, "canary-cert", "canary-other")), verdict: plan.Changes, want: "W certificate other certificates are served: its tls.crt changes"},
		{name: "another address of a Service", head: with(balancer, edit(balancer, "type: LoadBalancer", "type: LoadBalancer, loadBalancerIP: 203.0.113.7")), verdict: plan.Changes, want: `W address its address may change: spec.loadBalancerIP none → "203.0.113.7"`},
		{name: "another class", head: with(ingress, edit(ingress, "spec: {tls", "spec: {ingressClassName: nginx, tls")), verdict: plan.Changes, want: `W address its address may change: spec.ingressClassName none → "nginx"`},
		{name: "a namespace that goes", head: without(namespace), change: func(*world) {}, verdict: plan.Changes, want: "I orphan a Namespace is never deleted"},
		{name: "a drain", head: all, change: func(w *world) { w.f.Clusters[1].Drain = true }, verdict: plan.Changes, want: "W cluster is drained"},
		{
			name: "an object of somebody's", head: with(secret, edit(secret, "canary-one", "canary-two")),
			answers: map[string]plan.Answer{"a": {Adopted: []federation.ObjectRef{{Kind: "Secret", Namespace: "default", Name: "web"}}}, "b": {}, "c": {}},
			verdict: plan.Changes, want: "W adoption exists and is not managed by fedsync",
		},
		{
			name: "a cluster that is away", head: with(secret, edit(secret, "canary-one", "canary-two")),
			answers: map[string]plan.Answer{"a": {}, "b": {Unasked: untrusted.Const("Offline, timeout")}, "c": {}},
			verdict: plan.Unsure, want: "I everywhere",
		},
		{
			name: "an object that is refused", head: with(secret, edit(secret, "canary-one", "canary-two")),
			answers: map[string]plan.Answer{"a": {}, "c": {}, "b": {Findings: []federation.Finding{{ID: "D10", Severity: federation.SeverityError, Cluster: "b", Message: untrusted.Const("denied by policy")}}}},
			verdict: plan.Fails, want: "I everywhere",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			base, head := newWorld(all...), newWorld(c.head...)
			if c.change != nil {
				c.change(head)
			}
			p := planOf(t, base, head, c.tell, c.answers)
			if p.Verdict != c.verdict {
				t.Errorf("verdict = %s (%s), want %s", p.Verdict, p.Summary, c.verdict)
			}
			got := ""
			if len(p.Risks) > 0 {
				r := p.Risks[0]
				got = fmt.Sprintf("%s %s %s", r.Severity, r.Kind, r.Message)
			}
			if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
				t.Errorf("risk = %q, want %q", got, c.want)
			}
			for format, text := range map[string]string{"markdown": p.Markdown(plan.CommentBytes), "json": encode(t, p)} {
				if strings.Contains(text, "canary") {
					t.Errorf("%s shows what a Secret holds:\n%s", format, text)
				}
			}
			if again := planOf(t, base, head, c.tell, c.answers); encode(t, again) != encode(t, p) {
				t.Errorf("the same change has two plans:\n%s", cmp.Diff(encode(t, p), encode(t, again)))
			}
		})
	}
}

func encode(t *testing.T, p *plan.Plan) string {
	t.Helper()
	data, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Alike changes are told once, and those of a cluster that could not be rendered not at all.
func TestObjectsAreGroupedOverClusters(t *testing.T) {
	base, head := newWorld(service, secret), newWorld(service, secret)
	for _, c := range []string{"a", "b", "c"} {
		base.of[c] = []string{edit(replicaSet, "web:1", "old")}
		head.of[c] = []string{edit(replicaSet, "web:1", "new")}
	}
	head.of["c"] = []string{edit(replicaSet, "web:1", "other")}
	p := planOf(t, base, head, nil, nil)
	got := []string{}
	for _, o := range p.Objects {
		got = append(got, fmt.Sprint(o.Action, " ", o.Object, " ", o.Clusters, " ", o.Fields))
	}
	want := []string{
		`change apps/ReplicaSet/default/web [a b] [{spec.template.spec.containers[0].image "old" "new"}]`,
		`change apps/ReplicaSet/default/web [c] [{spec.template.spec.containers[0].image "old" "other"}]`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	head.broken = "b"
	p = planOf(t, base, head, nil, nil)
	for _, o := range p.Objects {
		if slices.Contains(o.Clusters, "b") {
			t.Errorf("%s of %s is told for the cluster that could not be rendered", o.Action, o.Object)
		}
	}
}

// Git changes the total, and the clusters' parts follow: it is told as replicas alone.
func TestReplicasAreToldByTotalAndShare(t *testing.T) {
	p := planOf(t, newWorld(replicaSet), newWorld(edit(replicaSet, "replicas: 6", "replicas: 7")), nil, nil)
	if len(p.Objects) != 0 || len(p.Replicas) != 1 || p.Replicas[0].Before != 6 || p.Replicas[0].After != 7 || len(p.Replicas[0].Shares) != 1 {
		t.Errorf("objects %v, replicas %+v, want one share more and no object", p.Objects, p.Replicas)
	}
	if p.Verdict != plan.Changes || !strings.Contains(p.Summary.String(), "web 6 → 7") {
		t.Errorf("%s: %s", p.Verdict, p.Summary)
	}
}

// What each of many clusters says is told once.
func TestAlikeFindingsAreToldOnce(t *testing.T) {
	answers := map[string]plan.Answer{}
	for _, c := range []string{"a", "b", "c"} {
		refused := federation.Finding{ID: "D10", Severity: federation.SeverityError, Cluster: c, File: "web.yaml", Message: untrusted.Const("denied by policy")}
		other := refused
		other.Message = untrusted.New("denied in " + c)
		answers[c] = plan.Answer{Findings: []federation.Finding{refused, other}}
	}
	p := planOf(t, newWorld(service), newWorld(service, secret), nil, answers)
	text := p.Markdown(plan.CommentBytes)
	if n := strings.Count(text, "denied by policy"); n != 2 || !strings.Contains(text, "- D10 all 3 clusters web.yaml: denied by policy") {
		t.Errorf("it is told %d times, want once beside the summary:\n%s", n, text)
	}
	if got, want := p.Summary.String(), "all 3 clusters web.yaml: denied by policy; and 3 more"; got != want {
		t.Errorf("summary = %q, want %q", got, want)
	}
	if len(p.Findings) != 6 {
		t.Errorf("%d findings, want each cluster's", len(p.Findings))
	}
}

// A comment has a limit, and a place for everything that a committer may write.
func TestAComment(t *testing.T) {
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprintf(configMap, fmt.Sprintf("c%04d", i)))
	}
	evil := edit(service, "app: web", "app: web, \"x`@all #1 ```<script> | [a](http://evil) \\u202e\": \"```\\n# boo\"")
	p := planOf(t, newWorld(service), newWorld(append(many, evil)...), nil, nil)
	for _, most := range []int{plan.CommentBytes, 1000, 500} {
		text := p.Markdown(most)
		if len(text) > most {
			t.Errorf("%d bytes, want at most %d", len(text), most)
		}
		if most == plan.CommentBytes && !strings.Contains(text, "more_") {
			t.Errorf("what has no room is not counted:\n%s", text[len(text)-500:])
		}
	}
	small := planOf(t, newWorld(service), newWorld(evil), nil, nil).Markdown(plan.CommentBytes)
	inBlock := false
	for line := range strings.Lines(small) {
		if strings.HasPrefix(line, "```") {
			inBlock = !inBlock
			continue
		}
		if !inBlock && (strings.Contains(line, "<script") || strings.Contains(line, "@all") || strings.Contains(line, "(http://")) {
			t.Errorf("a line does what the change wants: %s", line)
		}
		if strings.Contains(line, "\u202e") {
			t.Errorf("a line turns the text: %q", line)
		}
		if strings.HasPrefix(line, "# boo") {
			t.Error("a text breaks out of its block")
		}
	}
	if inBlock {
		t.Errorf("a block is not closed:\n%s", small)
	}
}
