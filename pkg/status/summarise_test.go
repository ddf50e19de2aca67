package status

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

const (
	shaA = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	shaB = "b000000000000000000000000000000000000000"
)

// step is one report of a case: what is known at a time, and what should be reported.
// Each step's report is the previous one of the next.
type step struct {
	At       string           `json:"at"` // since the revision was first seen
	Revision string           `json:"revision"`
	Source   string           `json:"source"`
	GCP      bool             `json:"gcp"`
	Cloud    *cloudAsKnown    `json:"cloud"`
	Shares   map[string]int64 `json:"shares"` // of the app's one workload, by cluster
	NoFile   bool             `json:"noFederation"`
	Deadline string           `json:"deadline"`
	PerOwn   bool             `json:"perCluster"`
	Objects  []object         `json:"objects"` // in every cluster without its own
	Planned  []planned        `json:"planned"` // in every cluster
	Findings []string         `json:"findings"`
	Copies   int              `json:"copies"` // additional clusters like the first: more-01, more-02, …
	Clusters []clusterAsKnown `json:"clusters"`

	Want struct {
		State       State    `json:"state"`
		Description string   `json:"description"`
		Addresses   []string `json:"addresses"`
		Findings    []string `json:"findings"`
		Clusters    []string `json:"clusters"` // outcome and reason, if given
	} `json:"want"`
}

type clusterAsKnown struct {
	Name      string                  `json:"name"`
	State     federation.ClusterState `json:"state"` // default Ready
	Failure   federation.FailureClass `json:"failure"`
	Error     string                  `json:"error"`
	For       string                  `json:"for"` // how long it has been in its state
	Lost      bool                    `json:"lost"`
	Drain     bool                    `json:"drain"`
	Elsewhere bool                    `json:"elsewhere"` // no app goes there
	Behind    bool                    `json:"behind"`    // not in sync with the newest plan
	Failed    map[string]string       `json:"failed"`    // failed changes, with their errors
	Synced    string                  `json:"synced"`    // the revision of the failed changes
	Objects   []object                `json:"objects"`
}

// cloudAsKnown is the known state of Compute Engine, and of the Ingress's load balancer.
type cloudAsKnown struct {
	Error    string `json:"error"`
	Behind   bool   `json:"behind"` // another revision was compared
	Failed   string `json:"failed"` // the last action on the URL map
	Balancer *struct {
		Address  string   `json:"address"`
		Making   bool     `json:"making"`
		Refused  string   `json:"refused"`
		Waits    bool     `json:"waits"`
		Clusters []string `json:"clusters"` // "c1 Unhealthy: firewall?"; default Serving
	} `json:"balancer"`
}

type object struct {
	Ref         string            `json:"ref"`
	Health      federation.Health `json:"health"` // default Healthy
	Message     string            `json:"message"`
	Addresses   []string          `json:"addresses"`
	Class       string            `json:"class"`
	Pods        string            `json:"pods"` // "1/2"
	Age         string            `json:"age"`
	Annotations map[string]string `json:"annotations"`
}

type planned struct {
	Ref         string            `json:"ref"`
	Annotations map[string]string `json:"annotations"`
}

func TestSummarise(t *testing.T) {
	files, err := filepath.Glob("testdata/summarise/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var steps []step
			if err := yaml.UnmarshalStrict(data, &steps); err != nil {
				t.Fatalf("read %s: %v", file, err)
			}
			var previous *Report
			for i, s := range steps {
				in := s.input(t, previous)
				got := Summarise(in)
				if diff := gocmp.Diff(wantedReport(s), actualReport(got, s)); diff != "" {
					t.Errorf("step %d, at %s (-want +got):\n%s", i+1, s.At, diff)
				}
				for _, f := range got.Findings {
					if !isInCatalogue(f) {
						t.Errorf("step %d: %s %s: the catalogue of findings lists it as %v", i+1, f.Severity, f.ID, federation.FindingSeverities(f.ID))
					}
				}
				previous = &got
			}
		})
	}
}

// isInCatalogue reports whether a finding has a severity of the catalogue, or a lower
// one.
func isInCatalogue(f federation.Finding) bool {
	all := federation.FindingSeverities(f.ID)
	return slices.Contains(all, f.Severity) || len(all) > 0 && f.Severity == federation.SeverityNote ||
		slices.Contains(all, federation.SeverityError) && f.Severity == federation.SeverityWarning
}

// wantedReport returns what the case wants, and actualReport the same part of the report.
func wantedReport(s step) map[string]any {
	return map[string]any{
		"state": s.Want.State, "description": s.Want.Description,
		"addresses": orEmpty(s.Want.Addresses), "findings": orEmpty(s.Want.Findings), "clusters": orEmpty(s.Want.Clusters),
	}
}

func actualReport(r Report, s step) map[string]any {
	var addresses, findings, clusters []string
	for _, a := range r.Addresses {
		addresses = append(addresses, fmt.Sprintf("%s %s: %s", a.Address, a.Object, strings.Join(a.Clusters, " ")))
	}
	for _, f := range r.Findings {
		findings = append(findings, fmt.Sprintf("%s %s %s", f.Severity, f.ID, f))
	}
	if len(s.Want.Clusters) > 0 {
		for _, c := range r.Clusters {
			clusters = append(clusters, fmt.Sprintf("%s %s %s: %s", c.Name, c.Health, c.Outcome, c.Reason))
		}
	}
	return map[string]any{
		"state": r.State, "description": r.Description.String(),
		"addresses": orEmpty(addresses), "findings": orEmpty(findings), "clusters": orEmpty(clusters),
	}
}

func orEmpty(s []string) []string { return append([]string{}, s...) }

var firstSeen = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func (s step) input(t *testing.T, previous *Report) Input {
	t.Helper()
	sha := cmp.Or(s.Revision, shaA)
	in := Input{
		Repository: "https://git.example/team/web",
		Snapshot:   federation.Snapshot{Revision: federation.Revision{Ref: "main", SHA: sha}, Subject: untrusted.New("web: two more pods")},
		FirstSeen:  firstSeen,
		Now:        firstSeen.Add(duration(t, s.At)),
		Source:     untrusted.New(s.Source),
		Clusters:   map[string]ClusterInput{},
		Deadline:   duration(t, s.Deadline),
		Previous:   previous,
	}
	if sha == "none" {
		in.Snapshot = federation.Snapshot{}
	}
	for _, f := range s.Findings {
		in.Findings = append(in.Findings, finding(t, f))
	}
	if s.NoFile {
		return in
	}
	here, err := labels.Parse("app=web")
	if err != nil {
		t.Fatal(err)
	}
	in.Federation = &federation.Federation{
		Name: "web", Apps: []federation.App{{Name: "nginx", Selector: federation.NewSelector(here)}},
		CommitStatus: federation.CommitStatus{PerCluster: s.PerOwn},
	}
	if s.GCP {
		in.Federation.GCP = &federation.GCP{}
	}
	if s.Cloud != nil {
		in.Federation.GCP = &federation.GCP{LoadBalancer: federation.LoadBalancerNodePorts}
		s.Cloud.add(&in)
	}
	for i := range s.Copies {
		c := s.Clusters[0]
		c.Name = fmt.Sprintf("more-%02d", i+1)
		s.Clusters = append(s.Clusters, c)
	}
	if len(s.Planned) > 0 {
		in.Plan = &federation.Plan{}
	}
	if len(s.Shares) > 0 {
		in.Plan = cmp.Or(in.Plan, &federation.Plan{})
		d := federation.ReplicasDecision{App: "nginx"}
		for name, share := range s.Shares {
			d.Shares = append(d.Shares, federation.ReplicasShare{Cluster: name, Share: share, Replicas: share})
		}
		in.Plan.Replicas = []federation.ReplicasDecision{d}
	}
	for _, c := range s.Clusters {
		s.add(t, &in, c)
	}
	return in
}

func (c cloudAsKnown) add(in *Input) {
	in.Cloud = &Cloud{Project: "p", Revision: in.Snapshot.Revision, Error: untrusted.New(c.Error)}
	if c.Behind {
		in.Cloud.Revision.SHA = "b000000000000000000000000000000000000000"
	}
	if c.Failed != "" {
		in.Cloud.Done = []CloudAction{{Verb: "create", Resource: "URL map fedsync-nginx", Outcome: CloudFailed, Error: untrusted.New(c.Failed)}}
	}
	if c.Balancer == nil {
		return
	}
	b := federation.Balancer{
		Ingress: federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "nginx"}, App: "nginx",
		Address: c.Balancer.Address, Complete: !c.Balancer.Making, Refused: untrusted.New(c.Balancer.Refused), Waits: c.Balancer.Waits,
		Resources: []string{"address nginx", "URL map fedsync-nginx"},
	}
	for _, text := range c.Balancer.Clusters {
		head, reason, _ := strings.Cut(text, ": ")
		name, state, _ := strings.Cut(head, " ")
		b.Clusters = append(b.Clusters, federation.BalancerCluster{
			Cluster: name, State: federation.TrafficState(cmp.Or(state, "Serving")), Reason: untrusted.New(reason),
		})
	}
	in.Balancers = []federation.Balancer{b}
}

func (s step) add(t *testing.T, in *Input, c clusterAsKnown) {
	t.Helper()
	member := federation.Cluster{Name: c.Name, Context: "ctx-" + c.Name, Lost: c.Lost, Labels: map[string]string{"app": "web"}}
	if c.Elsewhere {
		member.Labels = nil
	}
	member.Drain = c.Drain
	in.Federation.Clusters = append(in.Federation.Clusters, member)
	known := ClusterInput{
		Facts: federation.ClusterFacts{State: cmp.Or(c.State, federation.ClusterReady), Failure: c.Failure, Error: untrusted.New(c.Error)},
	}
	if c.For != "" {
		known.Facts.Since = in.Now.Add(-duration(t, c.For))
	}
	if !c.Behind {
		known.Current, known.Applied = true, in.Snapshot.Revision
	}
	known.Revision = in.Snapshot.Revision
	if c.Synced != "" {
		known.Revision.SHA = c.Synced
	}
	for ref, message := range c.Failed {
		known.Changes = append(known.Changes, federation.Change{
			Cluster: c.Name, Object: reference(t, ref), Action: federation.ActionFailed, Err: errors.New(message),
		})
	}
	objects := c.Objects
	if objects == nil {
		objects = s.Objects
	}
	for _, o := range objects {
		observed := federation.Observation{
			Cluster: c.Name, App: "nginx", Object: reference(t, o.Ref), Health: cmp.Or(o.Health, federation.Healthy),
			Message: untrusted.New(o.Message), Addresses: o.Addresses, ClassName: o.Class, Annotations: o.Annotations,
		}
		if o.Pods != "" {
			if _, err := fmt.Sscanf(o.Pods, "%d/%d", &observed.Ready, &observed.Desired); err != nil {
				t.Fatalf("pods %q: %v", o.Pods, err)
			}
		}
		if o.Age != "" {
			observed.Created = in.Now.Add(-duration(t, o.Age))
		}
		known.Observations = append(known.Observations, observed)
	}
	if in.Plan != nil {
		plan := federation.ClusterPlan{Cluster: c.Name, Apps: []federation.AppPlan{{App: "nginx"}}}
		for _, p := range s.Planned {
			plan.Apps[0].Objects = append(plan.Apps[0].Objects, plannedObject(t, p))
		}
		in.Plan.Clusters = append(in.Plan.Clusters, plan)
	}
	in.Clusters[c.Name] = known
}

func plannedObject(t *testing.T, p planned) *federation.Object {
	t.Helper()
	ref := reference(t, p.Ref)
	annotations := map[string]any{}
	for k, v := range p.Annotations {
		annotations[k] = v
	}
	version := "v1"
	if ref.Group != "" {
		version = ref.Group + "/v1"
	}
	o, err := federation.NewObject(map[string]any{
		"apiVersion": version, "kind": ref.Kind,
		"metadata": map[string]any{"name": ref.Name, "namespace": ref.Namespace, "annotations": annotations},
	}, "apps/nginx/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// finding reads "E D10 c1 Service/default/nginx: message" and
// "E render apps/nginx/service.yaml:7: message".
func finding(t *testing.T, s string) federation.Finding {
	t.Helper()
	head, message, ok := strings.Cut(s, ": ")
	words := strings.Fields(head)
	if !ok || len(words) < 2 {
		t.Fatalf("finding %q", s)
	}
	f := federation.Finding{Severity: federation.Severity(words[0]), ID: words[1], Message: untrusted.New(message)}
	for _, w := range words[2:] {
		switch ref, err := federation.ParseObjectRef(w); {
		case err == nil:
			f.Object = ref
		case strings.Contains(w, ".yaml"):
			f.File = w
			if file, number, found := strings.Cut(w, ":"); found {
				f.File = file
				if _, err := fmt.Sscan(number, &f.Line); err != nil {
					t.Fatalf("finding %q: %v", s, err)
				}
			}
		default:
			f.Cluster = w
		}
	}
	return f
}

func reference(t *testing.T, s string) federation.ObjectRef {
	t.Helper()
	ref, err := federation.ParseObjectRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSummariseDoesNotChangeItsInput(t *testing.T) {
	s := step{Clusters: []clusterAsKnown{
		{Name: "c2", Objects: []object{{Ref: "Service/default/b"}, {Ref: "Service/default/a"}}},
		{Name: "c1", State: federation.ClusterOffline, Failure: federation.FailureDNS},
	}, Findings: []string{"W x c1: one", "E y c2: two"}}
	in, again := s.input(t, nil), s.input(t, nil)
	got := Summarise(in)
	if diff := gocmp.Diff(again.Findings, in.Findings); diff != "" {
		t.Errorf("findings changed:\n%s", diff)
	}
	if diff := gocmp.Diff(again.Clusters, in.Clusters); diff != "" {
		t.Errorf("clusters changed:\n%s", diff)
	}
	if !slices.IsSortedFunc(got.Clusters[0].Objects, func(a, b federation.Observation) int { return a.Object.Compare(b.Object) }) {
		t.Errorf("objects are not sorted: %v", got.Clusters[0].Objects)
	}
	if diff := gocmp.Diff(got, Summarise(again)); diff != "" {
		t.Errorf("two reports of one input differ:\n%s", diff)
	}
}

func TestReportsHaveOnlyCurrentFactsOfClusters(t *testing.T) {
	known := federation.ClusterFacts{
		Synced: true, Failed: 1, Probes: 30, Zones: []string{"us-east1-b"}, Regions: []string{"us-east1"},
		Endpoints: []federation.Endpoints{{Namespace: "default", Service: "nginx", Ready: 2}},
	}
	for _, c := range []struct {
		state    federation.ClusterState
		synced   bool
		reported bool
	}{
		{federation.ClusterReady, true, true},
		{federation.ClusterNotReady, true, true},
		{federation.ClusterReady, false, false}, // back, but not listed again
		{federation.ClusterOffline, true, false},
		{federation.ClusterUnknown, true, false},
		{federation.ClusterPending, true, false},
	} {
		facts := known
		facts.State, facts.Synced = c.state, c.synced
		r := Summarise(Input{
			Federation: &federation.Federation{Clusters: []federation.Cluster{{Name: "a"}}},
			Clusters:   map[string]ClusterInput{"a": {Facts: facts}},
			Now:        firstSeen,
		})
		got := r.Clusters[0]
		if reported := got.Zones != nil && got.Regions != nil && got.Endpoints != nil; reported != c.reported {
			t.Errorf("%s, synced %v: zones %v, regions %v, endpoints %v, want them reported: %v",
				c.state, c.synced, got.Zones, got.Regions, got.Endpoints, c.reported)
		}
		if !c.reported && len(got.Zones)+len(got.Regions)+len(got.Endpoints) > 0 {
			t.Errorf("%s, synced %v: old facts are reported: %v %v %v", c.state, c.synced, got.Zones, got.Regions, got.Endpoints)
		}
		if want := (Probes{Failed: 1, Of: 30}); got.Probes != want {
			t.Errorf("%s: probes %v, want %v", c.state, got.Probes, want)
		}
	}
}

func TestReportsShareTheDecisionsOfThePlan(t *testing.T) {
	in := Input{Now: firstSeen}
	if r := Summarise(in); r.Ports == nil || r.Replicas == nil || len(r.Ports)+len(r.Replicas) > 0 {
		t.Errorf("without a plan: ports %#v, replicas %#v, want both empty and not nil", r.Ports, r.Replicas)
	}
	in.Plan = &federation.Plan{
		Ports:    []federation.PortDecision{{Port: 80, NodePort: 30036}},
		Replicas: []federation.ReplicasDecision{{Total: 26, Shares: []federation.ReplicasShare{{Cluster: "a", Share: 26}}}},
	}
	r := Summarise(in)
	if len(r.Ports) != 1 || &r.Ports[0] != &in.Plan.Ports[0] {
		t.Errorf("ports %v, want the plan's own", r.Ports)
	}
	if len(r.Replicas) != 1 || &r.Replicas[0] != &in.Plan.Replicas[0] {
		t.Errorf("replicas %v, want the plan's own", r.Replicas)
	}
}

func BenchmarkSummarise100Clusters(b *testing.B) {
	in := Input{
		Federation: &federation.Federation{Name: "web", Apps: []federation.App{{Name: "nginx"}}},
		Snapshot:   federation.Snapshot{Revision: federation.Revision{SHA: shaA}},
		Now:        firstSeen, Clusters: map[string]ClusterInput{},
	}
	for i := range 100 {
		name := fmt.Sprintf("cluster-%03d", i)
		in.Federation.Clusters = append(in.Federation.Clusters, federation.Cluster{Name: name})
		known := ClusterInput{
			Facts:   federation.ClusterFacts{State: federation.ClusterReady},
			Current: true, Applied: in.Snapshot.Revision, Revision: in.Snapshot.Revision,
		}
		for j := range 30 {
			o := federation.Observation{Cluster: name, Health: federation.Healthy, Ready: 1, Desired: 1}
			o.Object = federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "web", Name: fmt.Sprintf("i%d", j)}
			o.Addresses = []string{"203.0.113.10"}
			known.Observations = append(known.Observations, o)
		}
		in.Clusters[name] = known
	}
	for b.Loop() {
		if r := Summarise(in); r.State != Success {
			b.Fatalf("state = %s: %s", r.State, r.Description)
		}
	}
}
