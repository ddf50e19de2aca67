package manifest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// oddText returns a short text of the letters, or sometimes a long one near the
// length limits.
func oddText(random *rand.Rand, letters string) string {
	if n := random.IntN(40); n < 4 {
		return strings.Repeat("a", []int{63, 64, 253, 254}[n])
	}
	all := []rune(letters)
	text := make([]rune, random.IntN(9))
	for i := range text {
		text[i] = all[random.IntN(len(all))]
	}
	return string(text)
}

// An API server runs the same validation on the metadata of every object written.
func TestMetadataIsRefusedExactlyWhenAnAPIServerRefusesIt(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	refused := map[string]int{}
	texts := func(letters string) map[string]string {
		all := map[string]string{}
		for range random.IntN(3) {
			all[oddText(random, letters)] = oddText(random, letters)
		}
		return all
	}
	fields := func(values map[string]string) map[string]any {
		all := map[string]any{}
		for key, value := range values {
			all[key] = value
		}
		return all
	}
	for range 30_000 {
		meta := metav1.ObjectMeta{Name: "a", Namespace: oddText(random, "ab1-."), Labels: texts("abA1-._/ é"), Annotations: texts("abA1-._/ é")}
		if random.IntN(500) == 0 {
			meta.Annotations["large"] = strings.Repeat("x", annotationBytes-2+random.IntN(3)-len("large"))
		}
		if meta.Namespace == "" {
			meta.Namespace = "default"
		}
		content := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{
			"name": meta.Name, "namespace": meta.Namespace, "labels": fields(meta.Labels), "annotations": fields(meta.Annotations),
		}}
		want := validation.ValidateObjectMeta(&meta, true, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
		found := check(content)
		if (len(found) > 0) != (len(want) > 0) {
			t.Fatalf("check(%v) = %v, want the API server's errors: %v", meta, found, want.ToAggregate())
		}
		for _, m := range found {
			refused[m.path[1]]++
		}
	}
	for _, name := range []string{"namespace", "labels", "annotations"} {
		if refused[name] < 1000 {
			t.Errorf("only %d %s were refused: the texts are not odd enough", refused[name], name)
		}
	}
}

func TestMistakesInLabelsAreCounted(t *testing.T) {
	labels := map[string]any{}
	for range 100_000 {
		labels[strings.Repeat("x", 300)+strings.Repeat("y", len(labels)%1000)+string(rune('a'+len(labels)%26))] = "a b"
	}
	found := checkLabels("labels", labels)
	if len(found) > 20 {
		t.Fatalf("%d mistakes, want the first and how many more", len(found))
	}
	last := found[len(found)-1]
	if !strings.Contains(last.reason, " more are wrong") {
		t.Errorf("the last is %q, want how many more", last.reason)
	}
	for _, m := range found {
		if text := m.field() + m.reason; len(text) > 2000 {
			t.Errorf("%d bytes: %.100s…, want it shortened", len(text), text)
		}
	}
}

func TestANullIsNotAMistake(t *testing.T) {
	content := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{
		"name": "a", "namespace": nil, "labels": map[string]any{"a": nil}, "annotations": nil,
	}}
	if found := check(content); len(found) > 0 {
		t.Errorf("check = %v, want nothing: an API server treats them as empty", found)
	}
}

func TestKindsAreNamedOnce(t *testing.T) {
	for group, kinds := range subdomainKinds {
		if !slices.IsSorted(kinds) || len(slices.Compact(slices.Clone(kinds))) != len(kinds) {
			t.Errorf("the kinds of group %q are not sorted, or have duplicates: %v", group, kinds)
		}
	}
}
