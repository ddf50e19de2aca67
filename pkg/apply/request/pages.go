package request

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
)

// pageSize is the number of objects per page.
const pageSize = 500

// errSeen ends a list when visit has seen enough.
var errSeen = errors.New("enough was seen")

// Each lists page by page, and calls visit for each object until it returns false.
func (c *Client) Each(ctx context.Context, from dynamic.ResourceInterface, o metav1.ListOptions, visit func(*unstructured.Unstructured) (more bool)) error {
	if o.Limit == 0 {
		o.Limit = pageSize
	}
	for range bounds.Pages {
		page, err := Do(ctx, c, func(ctx context.Context) (bounds.Page, error) {
			return bounds.List(ctx, from, o, func(u *unstructured.Unstructured) error {
				if !visit(u) {
					return errSeen
				}
				return nil
			})
		})
		switch {
		case errors.Is(err, errSeen):
			return nil
		case err != nil:
			return err
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return nil
		}
	}
	return failure.Misbehaves("lists objects without end, on more than %d pages", bounds.Pages)
}

// EachOwn calls f for each selected object in our namespace.
func (c *Client) EachOwn(ctx context.Context, resource schema.GroupVersionResource, selector string, f func(*unstructured.Unstructured)) error {
	o := metav1.ListOptions{LabelSelector: selector, Limit: 50}
	return c.Each(ctx, c.Dynamic.Resource(resource).Namespace(federation.SystemNamespace), o, func(u *unstructured.Unstructured) (more bool) {
		f(u)
		return true
	})
}
