package takeover

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/pkg/bounds"
)

// endless is a resource whose list never ends.
type endless struct {
	dynamic.ResourceInterface
	pages int
}

func (e *endless) List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	e.pages++
	list := &unstructured.UnstructuredList{}
	list.SetContinue("more")
	return list, nil
}

func TestAListThatNeverEndsIsAnError(t *testing.T) {
	e := &endless{}
	err := Options{}.each(t.Context(), e, "", func(*unstructured.Unstructured) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "more than 1000 pages") || e.pages != bounds.Pages {
		t.Errorf("each = %v after %d pages, want an error after %d", err, e.pages, bounds.Pages)
	}
}
