package request

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/federation"
)

// AnnotationCreated is on a namespace that fedsync created because objects needed it.
const AnnotationCreated = "fedsync.dev/created-by"

// CreateNamespace creates a namespace that objects need. It bears no label of an
// inventory, so it is never pruned.
func (c *Client) CreateNamespace(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	u.SetName(name)
	u.SetAnnotations(map[string]string{AnnotationCreated: ownership.FieldManager + "/" + c.Federation})
	made, err := Write(ctx, c, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return c.Dynamic.Resource(object.Namespaces).Create(ctx, u, metav1.CreateOptions{FieldManager: ownership.FieldManager})
	})
	if apierrors.IsAlreadyExists(err) {
		return c.Get(ctx, object.Namespaces, federation.ObjectRef{Name: name})
	}
	return made, err
}

// Answers reports whether the API server answers a request that no webhook reviews.
func (c *Client) Answers(ctx context.Context) bool {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, min(patience, c.Timeout))
	defer cancel()
	_, err := c.Dynamic.Resource(object.Namespaces).Get(ctx, federation.SystemNamespace, metav1.GetOptions{})
	return err == nil || !refusal.IsUnreachable(err)
}
