package inventory

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestAChangeTakesAwayOnlyTheRecordsThatAParentNoLongerHas(t *testing.T) {
	before := webParent(t)
	after := before
	after.Ended = map[string]Ended{"job.a.migrate": {Digest: "3f"}}
	data, err := after.Change("v1", before)
	if err != nil {
		t.Fatal(err)
	}
	var patch map[string]any
	if err := json.Unmarshal(data, &patch); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"job.a.migrate": "Complete 3f", "job.b.check": nil}
	if diff := cmp.Diff(want, patch["data"]); diff != "" {
		t.Errorf("patch of data (-want +got):\n%s", diff)
	}
	after.Ended = nil
	before.Ended = nil
	if data, _ = after.Change("v1", before); strings.Contains(string(data), `"data"`) {
		t.Errorf("patch = %s, want it to leave data alone", data)
	}
}

func TestAMalformedRecordMatchesNoRendering(t *testing.T) {
	u := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{
		"job.a.one": "Complete 1f", "job.a.two": "whatever", "job.a.three": "", "other": "Complete 2f",
	}}}
	want := map[string]Ended{"job.a.one": {Digest: "1f"}, "job.a.two": {}, "job.a.three": {}}
	if diff := cmp.Diff(want, Read(u).Ended); diff != "" {
		t.Errorf("Ended (-want +got):\n%s", diff)
	}
}

func TestRecordsFitIntoAParent(t *testing.T) {
	name := strings.Repeat("n", 253)
	keys := map[string]bool{}
	ended := map[string]Ended{}
	for i := range 2 * MostEnded {
		key := EndedKey(federation.ObjectRef{Group: "batch", Kind: "Job", Namespace: strings.Repeat("s", 63), Name: fmt.Sprintf("%s%d", name[:248], i)})
		if errs := validation.IsConfigMapKey(key); len(errs) > 0 {
			t.Fatalf("key %q: %v", key, errs)
		}
		keys[key] = true
		ended[key] = Ended{Digest: strings.Repeat("d", 32), Failed: true}
	}
	if len(keys) != 2*MostEnded {
		t.Errorf("%d keys for %d Jobs", len(keys), 2*MostEnded)
	}
	p := webParent(t)
	p.Ended = Bounded(ended)
	data, err := json.Marshal(p.Object("v1").Object)
	if err != nil || len(p.Ended) != MostEnded || len(data) > 1<<20 {
		t.Errorf("%d records in %d bytes, %v, want %d in less than 1 MiB", len(p.Ended), len(data), err, MostEnded)
	}
	if diff := cmp.Diff(p.Ended, Bounded(p.Ended)); diff != "" {
		t.Errorf("Bounded changes its own result:\n%s", diff)
	}
}
