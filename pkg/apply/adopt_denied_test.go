package apply

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
)

// A webhook accepts an object in its current state, and denies it as it is in Git.
// While it denies it, the object keeps its owners.
func TestAnAdoptionThatIsDeniedTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, 1)
		defer func() { s.stop() }()
		objects := s.somebody.Resource(object.ConfigMaps).Namespace("default")
		u := s.objects(strings.Replace(configMapText, "v: x", "v: old, w: more", 1))[0].Unstructured()
		before, err := objects.Create(t.Context(), u, metav1.CreateOptions{FieldManager: "kubectl-create"})
		if err != nil {
			t.Fatal(err)
		}
		denial := objectstore.Webhook("policy.example.com", "configmaps", "v must not be x")
		s.store.SetRefusals(func(a objectstore.Attempt) error {
			if a.Object == nil || a.Object.GetLabels()[inventory.LabelPartOf] == "" {
				return nil
			}
			return denial(a)
		})
		s.push(configMapText)
		s.after(time.Minute)
		now, err := objects.Get(t.Context(), "left", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		plain := func(u *unstructured.Unstructured) map[string]any {
			u = u.DeepCopy()
			u.SetResourceVersion("")
			return u.Object
		}
		if diff := cmp.Diff(plain(before), plain(now)); diff != "" {
			t.Errorf("the object (-before +while its adoption is denied):\n%s", diff)
		}
		s.store.SetRefusals()
		s.completeWithin(time.Minute)
		now, err = objects.Get(t.Context(), "left", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if data, _, _ := unstructured.NestedStringMap(now.Object, "data"); !cmp.Equal(data, map[string]string{"v": "x"}) {
			t.Errorf("the adopted object has %v, want what Git has", data)
		}
	})
}
