package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/source"
)

func TestMedianIsTheMiddleOfSortedValues(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 100, 2}, 3},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestVerdictSaysByHowMuch(t *testing.T) {
	for _, c := range []struct {
		bar  Bar
		want string
	}{
		{Bar{"median", 25, 50, "ms"}, "median 25 ms ≤ 50 ms: met, 50 % below"},
		{Bar{"median", 5, 4, "× floor"}, "median 5 × floor > 4 × floor: **MISSED** by 25 %"},
		{Bar{"worst", 0, 0, "requests"}, "worst 0 requests: met"},
		{Bar{"worst", 2, 0, "requests"}, "worst 2 requests, wanted 0 requests: **MISSED**"},
	} {
		if got := c.bar.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestExpectationHoldsWhatWasSeenFirst(t *testing.T) {
	s := &sightings{expected: map[*expectation]bool{}}
	e := s.expect(keys([]string{"a"}), changed("nginx", 3))
	began := time.Now()
	object := func(round string) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: map[string]any{}}
		u.SetName("nginx")
		u.SetAnnotations(map[string]string{roundAnnotation: round, placeAnnotation: "a-" + round})
		return u
	}
	for i, kind := range kinds() {
		s.see(sighting{cluster: "a", kind: kind, object: object("2"), at: began})
		s.see(sighting{cluster: "a", kind: kind, object: object("3"), at: began.Add(time.Duration(i+1) * time.Second)})
		s.see(sighting{cluster: "a", kind: kind, object: object("3"), at: began.Add(time.Hour)})
	}
	seen, err := e.wait(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lastOfEach(began, seen)["a"], 3*time.Second; got != want {
		t.Errorf("the last kind was seen after %s, want %s", got, want)
	}
}

func TestExpectationNamesWhatIsMissing(t *testing.T) {
	s := &sightings{expected: map[*expectation]bool{}}
	_, err := s.expect([]string{"a services"}, func(sighting) string { return "" }).wait(t.Context(), time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "a services") {
		t.Errorf("error %v, want one that names what is missing", err)
	}
	if len(s.expected) > 0 {
		t.Error("the expectation is still there")
	}
}

func TestGuideChangesEveryObjectInEveryPush(t *testing.T) {
	clusters := []string{"a", "b"}
	repo, err := newRepository(t.Context(), t.TempDir(), guideFiles(clusters, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer repo.close()
	before := digests(t, repo)
	id, err := repo.commit(t.Context(), guideFiles(clusters, 1), "Round 1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, digests(t, repo)); diff != "" {
		t.Errorf("a commit that was not published is seen:\n%s", diff)
	}
	if _, err := repo.publish(id); err != nil {
		t.Fatal(err)
	}
	after := digests(t, repo)
	if got, want := len(after), len(clusters)*len(kinds()); got != want {
		t.Fatalf("%d objects, want %d", got, want)
	}
	for name, digest := range after {
		if before[name] == digest {
			t.Errorf("%s is what it was before", name)
		}
	}
}

func TestManyObjectsAreAsManyAsAsked(t *testing.T) {
	repo, err := newRepository(t.Context(), t.TempDir(), manyFiles([]string{"a"}, 40, 0))
	if err != nil {
		t.Fatal(err)
	}
	repo.close()
	if got := len(digests(t, repo)); got != 40 {
		t.Errorf("%d objects, want 40", got)
	}
}

// digests renders the head of the branch and returns digests by cluster and object.
func digests(t *testing.T, repo *repository) map[string]string {
	t.Helper()
	src, err := source.Open(source.Options{URL: repo.bare, Ref: "main"}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := src.Snapshot(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := render.Load(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	bundles, findings := render.New(render.Options{}).Render(t.Context(), snapshot, f, nil)
	for _, f := range findings {
		if f.Severity == federation.SeverityError {
			t.Fatal(f)
		}
	}
	all := map[string]string{}
	for _, b := range bundles {
		for _, o := range b.Objects {
			if ns := o.Ref.Namespace; ns != metav1.NamespaceDefault && ns != manyName {
				t.Errorf("%s is in no namespace that is looked at", o.Ref)
			}
			all[b.Cluster+" "+o.Ref.String()] = o.Digest
		}
	}
	return all
}

func TestKeptResultsKeepTheSectionsOfEarlierStarts(t *testing.T) {
	dir := t.TempDir()
	machine := Machine{CPU: "this one", Cores: 2}
	section := func(name, commit string) Section {
		return Section{Name: name, Commit: commit, Rows: []Row{{What: "a thing", Unit: "ms", Of: "runs", Values: []float64{1, 2}}}}
	}
	keep := func(m Machine, sections ...Section) Results {
		t.Helper()
		if err := (Results{Machine: m, Sections: sections}).Keep(dir); err != nil {
			t.Fatal(err)
		}
		r, err := readResults(dir + "/results.json")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	commits := func(r Results) map[string]string {
		all := map[string]string{}
		for _, s := range r.Sections {
			all[s.Name] = s.Commit
		}
		return all
	}
	keep(machine, section("push", "1"), section("drift", "1"))
	if diff := cmp.Diff(map[string]string{"push": "1", "drift": "2"}, commits(keep(machine, section("drift", "2")))); diff != "" {
		t.Errorf("after a start that measured drift alone (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"memory": "3"}, commits(keep(Machine{CPU: "another"}, section("memory", "3")))); diff != "" {
		t.Errorf("on another machine (-want +got):\n%s", diff)
	}
}

func TestResultsOfABusyMachineSaySo(t *testing.T) {
	var b bytes.Buffer
	r := Results{Sections: []Section{{Name: "push", Others: 0.3}, {Name: "drift", Others: 0.01}}}
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(b.String(), "these figures are no verdict"); got != 1 {
		t.Errorf("%d warnings, want 1:\n%s", got, b.String())
	}
}

func TestProcessorsOfThisProgramAreNotOthers(t *testing.T) {
	before, err := readProcessors()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); {
		sum++
	}
	now, err := readProcessors()
	if err != nil {
		t.Fatal(err)
	}
	if own := now.own - before.own; own < 1 {
		t.Errorf("%v ticks of this program's after %v rounds, want some", own, sum)
	}
	if share := now.others(before); share < 0 || share > 1 {
		t.Errorf("the others' share is %v, want 0 to 1", share)
	}
}
