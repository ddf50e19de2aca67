package apply

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/failure"
)

// pageSize is how many objects are listed at once.
const pageSize = 500

// each lists page by page, and gives each object to visit until that has seen enough.
func (a *Applier) each(ctx context.Context, from dynamic.ResourceInterface, o metav1.ListOptions, visit func(*unstructured.Unstructured) (more bool)) error {
	if o.Limit == 0 {
		o.Limit = pageSize
	}
	for range bounds.Pages {
		list, err := request(ctx, a, func(ctx context.Context) (*unstructured.UnstructuredList, error) { return from.List(ctx, o) })
		if err != nil {
			return err
		}
		for i := range list.Items {
			if !visit(&list.Items[i]) {
				return nil
			}
		}
		if o.Continue = list.GetContinue(); o.Continue == "" {
			return nil
		}
	}
	return failure.Misbehaves("lists objects without end, on more than %d pages", bounds.Pages)
}
