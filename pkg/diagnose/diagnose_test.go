package diagnose_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/diagnose"
	"github.com/fedsync/fedsync/pkg/federation"
)

func TestFaultsAreFoundAndNothingElse(t *testing.T) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			got := w.after(c.lasted)
			for i, f := range got {
				if i >= len(c.want) {
					t.Errorf("not wanted: %s %s %s\nremedy: %s", f.ID, f.Severity, f, f.Remedy)
					continue
				}
				c.want[i].compare(t, f)
			}
			for _, lacking := range c.want[min(len(got), len(c.want)):] {
				t.Errorf("not found: %s %s %s %s", lacking.id, lacking.severity, lacking.cluster, lacking.message)
			}
			keys := map[string]bool{}
			for _, f := range got {
				if keys[f.Key()] {
					t.Errorf("two findings have the key %s", f.Key())
				}
				keys[f.Key()] = true
				if want := now.Add(-c.lasted); !f.Since.Equal(want) {
					t.Errorf("%s since %s, want %s", f.ID, f.Since, want)
				}
			}
		})
	}
}

func (w want) compare(t *testing.T, f federation.Finding) {
	t.Helper()
	if f.ID != w.id || f.Severity != w.severity || f.Cluster != w.cluster || f.Object != w.object {
		t.Errorf("got %s %s %q %s, want %s %s %q %s", f.ID, f.Severity, f.Cluster, f.Object, w.id, w.severity, w.cluster, w.object)
	}
	if w.message != "*" && f.Message.String() != w.message {
		t.Errorf("got message  %s\nwant message %s", f.Message, w.message)
	}
	if !strings.Contains(f.Remedy.String(), w.remedy) {
		t.Errorf("got remedy  %s\nwant in it %s", f.Remedy, w.remedy)
	}
}

func TestLookingAgainAtTheSameMomentFindsTheSame(t *testing.T) {
	for _, c := range cases() {
		w := newWorld(t)
		c.change(w)
		want := new(diagnose.Diagnoser).Diagnose(w.in)
		var d diagnose.Diagnoser
		for range 2 {
			if got := d.Diagnose(w.in); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %v, want %v", c.name, got, want)
			}
		}
	}
}

// Objects do not change, so one that did shows whether it was read again.
func TestADiagnoserReadsAnObjectOnce(t *testing.T) {
	w := newWorld(t)
	w.facts(noEndpoints)
	var d diagnose.Diagnoser
	want := d.Diagnose(w.in)
	for _, p := range w.in.Plan.Clusters {
		for _, o := range p.Apps[0].Objects {
			o.JSON = nil
		}
	}
	for range 2 {
		if got := d.Diagnose(w.in); len(got) == 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestWithoutAFederationNothingIsFound(t *testing.T) {
	if got := new(diagnose.Diagnoser).Diagnose(diagnose.Input{Now: now}); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

func TestAFindingGrowsHeavierAndNeverLighter(t *testing.T) {
	w := newWorld(t)
	w.facts(noEndpoints, "c2")
	var d diagnose.Diagnoser // which comes to a Service that is an hour old
	steps := []struct {
		after time.Duration
		want  federation.Severity
	}{
		{0, warning}, {time.Second, warning}, {14 * time.Minute, warning}, {15 * time.Minute, failure}, {16 * time.Minute, failure},
	}
	for _, step := range steps {
		got := w.look(&d, w.in, step.after)
		if len(got) != 1 || got[0].Severity != step.want || !got[0].Since.Equal(now) {
			t.Errorf("after %s: got %v, want one %s since %s", step.after, got, step.want, now)
		}
	}
}

func TestAYoungObjectIsWaitedForAtTheFirstReport(t *testing.T) {
	w := newWorld(t)
	w.facts(noEndpoints, "c2")
	w.observe(func(o *federation.Observation) { o.Created = now.Add(-time.Second) }, serviceRef)
	if got := new(diagnose.Diagnoser).Diagnose(w.in); len(got) != 1 || got[0].Severity != note {
		t.Errorf("got %v, want one note", got)
	}
}

// A fault in a cluster that comes into sight was there before: a single look says at
// once how bad it is, and so does a daemon that starts. One that begins in sight
// may yet pass.
func TestAClusterThatComesIntoSightIsNotWaitedFor(t *testing.T) {
	steps := []struct {
		name  string
		state federation.ClusterState
		well  bool
		want  federation.Severity // empty for nothing
	}{
		{name: "before the first answer", state: federation.ClusterPending},
		{name: "at the first answer", state: federation.ClusterReady, want: failure},
		{name: "a moment later", state: federation.ClusterReady, want: failure},
		{name: "mended", state: federation.ClusterReady, well: true},
		{name: "broken again", state: federation.ClusterReady, want: note},
		{name: "mended again", state: federation.ClusterReady, well: true},
		{name: "away", state: federation.ClusterOffline, well: true},
		{name: "broken when it is back", state: federation.ClusterReady, want: failure},
	}
	w := newWorld(t)
	var d diagnose.Diagnoser
	for i, step := range steps {
		w.facts(func(f *federation.ClusterFacts) {
			f.State, f.Synced = step.state, step.state == federation.ClusterReady
			f.Certificates[0].Exists = step.well
		}, "c2")
		var got federation.Severity
		for _, f := range w.look(&d, w.in, time.Duration(i)*time.Second) {
			got = f.Severity
		}
		if got != step.want {
			t.Errorf("%s: got severity %q, want %q", step.name, got, step.want)
		}
	}
}

// What stands in a cluster stands on while nobody can look there.
func TestALostProbeMakesNoFindingANewOne(t *testing.T) {
	type step struct {
		state federation.ClusterState
		ill   bool
		since time.Duration // of the finding
		want  federation.Severity
	}
	steps := []step{
		{state: federation.ClusterReady, ill: true, since: 0, want: note},
		{state: federation.ClusterReady, ill: true, since: 0, want: failure},
		{state: federation.ClusterNotReady, ill: true},
		{state: federation.ClusterNotReady, ill: true},
		{state: federation.ClusterReady, ill: true, since: 0, want: failure},
		{state: federation.ClusterReady},
		{state: federation.ClusterReady, ill: true, since: 6 * time.Minute, want: note},
		{state: federation.ClusterNotReady, ill: true},
		{state: federation.ClusterReady},
		{state: federation.ClusterReady, ill: true, since: 9 * time.Minute, want: note},
	}
	faults := map[string]func(f *federation.ClusterFacts, ill bool){
		"in one cluster": func(f *federation.ClusterFacts, ill bool) { f.Certificates[0].Exists = !ill },
		"between clusters": func(f *federation.ClusterFacts, ill bool) {
			f.Certificates[0].Digest = map[bool]string{true: "fedcba9876543210", false: "0123456789abcdef"}[ill]
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var d diagnose.Diagnoser
			w.look(&d, w.in, 0)
			for i, step := range steps {
				w.facts(func(f *federation.ClusterFacts) {
					f.State = step.state
					fault(f, step.ill)
				}, "c2")
				var severity federation.Severity
				var since time.Duration
				for _, f := range w.look(&d, w.in, time.Duration(i)*time.Minute) {
					severity, since = f.Severity, f.Since.Sub(now)
				}
				if severity != step.want || since != step.since {
					t.Errorf("step %d: got severity %q since %s, want %q since %s", i, severity, since, step.want, step.since)
				}
			}
		})
	}
}

// A mistake of all clusters is said once; where one of them is mended, it stands in
// the others as long as it did.
func TestANeighbourThatIsMendedMakesNoFindingANewOne(t *testing.T) {
	w := newWorld(t)
	var d diagnose.Diagnoser
	w.look(&d, w.in, 0)
	w.plan(strings.ReplaceAll(ingressYAML, "{name: web, port", "{name: other, port"))
	for i, step := range []struct {
		mended bool
		want   []string // cluster and severity
	}{
		{false, []string{" I"}}, {false, []string{" E"}}, {true, []string{"c2 E", "c3 E"}}, {false, []string{" E"}},
	} {
		w.facts(func(f *federation.ClusterFacts) {
			f.Services = healthy().Services
			if step.mended {
				f.Services = append([]federation.Service{{Namespace: "shop", Name: "other", Ports: []federation.Port{{Port: 80}}}}, f.Services...)
			}
		}, "c1")
		var got []string
		for _, f := range w.look(&d, w.in, time.Duration(i)*time.Minute) {
			got = append(got, f.Cluster+" "+string(f.Severity))
			if !f.Since.Equal(now) {
				t.Errorf("step %d: %s since %s, want %s", i, f, f.Since, now)
			}
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
	}
}

func TestAnObjectThatIsNotThereYetIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.facts(func(f *federation.ClusterFacts) { f.Certificates[0].Exists = false }, "c2")
	w.unobserve(ingressRef, "c2")
	if got := new(diagnose.Diagnoser).Diagnose(w.in); len(got) != 1 || got[0].Severity != note {
		t.Errorf("got %v, want one note", got)
	}
}

// A first look judges clusters one after another.
func TestAWaitForAClusterThatIsFoundAwayIsNoNote(t *testing.T) {
	w := newWorld(t)
	w.in.Plan.Ports[0].Basis, w.in.Plan.Ports[0].NodePort, w.in.Plan.Ports[0].Waits = federation.PortWaiting, 0, []string{"c3"}
	var d diagnose.Diagnoser
	for i, step := range []struct {
		state federation.ClusterState
		want  federation.Severity
	}{{federation.ClusterPending, note}, {federation.ClusterUnknown, warning}, {federation.ClusterUnknown, warning}} {
		w.facts(func(f *federation.ClusterFacts) { f.State, f.Synced = step.state, false }, "c3")
		got := w.look(&d, w.in, time.Duration(i)*time.Second)
		if len(got) != 1 || got[0].ID != "port-waiting" || got[0].Severity != step.want {
			t.Errorf("c3 is %s: got %v, want port-waiting as %s", step.state, got, step.want)
		}
	}
}

func TestSeveralFaultsOfOneObjectAreOneFinding(t *testing.T) {
	w := newWorld(t)
	w.plan(strings.ReplaceAll(ingressYAML, "  defaultBackend:", `  rules:
  - http:
      paths:
      - {path: /a, pathType: Prefix, backend: {service: {name: missing, port: {number: 80}}}}
      - {path: /b, pathType: Prefix, backend: {service: {name: web, port: {name: nope}}}}
      - {path: /c, pathType: Prefix, backend: {resource: {kind: Bucket, name: b}}}
  defaultBackend:`), "c1")
	w.in.Plan.Ports[0].Basis, w.in.Plan.Ports[0].Waits = federation.PortWaiting, []string{"c1"}
	w.in.Plan.Ports = append(w.in.Plan.Ports, w.in.Plan.Ports[0])
	w.in.Plan.Ports[1].Port = 443
	var messages []string
	for _, f := range w.after(time.Minute) {
		messages = append(messages, f.Message.String())
	}
	want := []string{
		`Service/shop/missing exists neither in the repository nor in the cluster; Service/shop/web has no port "nope"; it has 80 ("http")`,
		"no node port is chosen for port 80/TCP, 443/TCP until c1 is back",
	}
	if !slices.Equal(messages, want) {
		t.Errorf("got %q, want %q", messages, want)
	}
}

// A person looks a finding up by its id.
func TestThePageHasAnEntryForEachFinding(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	entry := regexp.MustCompile("(?m)^### `([^`]+)` .+\n\nSeverity: (.+)$")
	severities := map[string]string{}
	for _, m := range entry.FindAllStringSubmatch(string(page), -1) {
		severities[m[1]] = m[2]
	}
	if entries, given := slices.Sorted(maps.Keys(severities)), identities(t); !slices.Equal(entries, given) {
		t.Errorf("docs/doctor.md has entries for\n%v, the package gives\n%v", entries, given)
	}
	given := map[string]map[federation.Severity]bool{}
	for _, c := range cases() {
		for _, w := range c.want {
			if given[w.id] == nil {
				given[w.id] = map[federation.Severity]bool{}
			}
			given[w.id][w.severity] = true
		}
	}
	for id, text := range severities {
		for _, s := range []federation.Severity{failure, warning, note} {
			said := regexp.MustCompile(`\b` + string(s) + `\b`).MatchString(text)
			if said != given[id][s] {
				t.Errorf("docs/doctor.md gives %s the severity %q; that the cases provoke %s is %t", id, text, s, given[id][s])
			}
		}
	}
}

func TestEachFindingIsProvoked(t *testing.T) {
	provoked := map[string]bool{}
	for _, c := range cases() {
		for _, w := range c.want {
			provoked[w.id] = true
		}
	}
	for _, id := range identities(t) {
		if !provoked[id] {
			t.Errorf("no case provokes %s", id)
		}
	}
}

// identities reads the ids that the package's source gives to findings, sorted.
func identities(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../federation/findings.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t(Finding\w+)\s+= "([^"]+)"`).FindAllStringSubmatch(string(page), -1) {
		names[m[1]] = m[2]
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && names[s.Sel.Name] != "" {
				ids = append(ids, names[s.Sel.Name])
			}
			return true
		})
	}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) < 10 {
		t.Fatalf("the source has %v, which cannot be all", ids)
	}
	return ids
}
