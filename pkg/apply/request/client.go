package request

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Client makes the requests to one cluster's API server.
type Client struct {
	Dynamic dynamic.Interface
	Mapper  meta.ResettableRESTMapper
	Timeout time.Duration // of one request
	// MayWrite reports whether writes to the cluster are allowed now. Nil means always.
	MayWrite   func() bool
	Federation string // the federation that namespaces are created for
}

// Do calls f with the timeout of one request.
func Do[T any](ctx context.Context, c *Client, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return f(ctx)
}

// Write is Do for a request that changes the cluster. It makes no request while writes
// are not allowed.
func Write[T any](ctx context.Context, c *Client, f func(context.Context) (T, error)) (T, error) {
	if c.MayWrite != nil && !c.MayWrite() {
		var none T
		return none, refusal.ErrFenced
	}
	return Do(ctx, c, f)
}

// Preconditions make a deletion fail unless the object is in the state that was judged.
func Preconditions(uid types.UID, version string) metav1.DeleteOptions {
	background := metav1.DeletePropagationBackground
	return metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
		PropagationPolicy: &background,
	}
}

// Get reads an object. A missing object is a NotFound error.
func (c *Client) Get(ctx context.Context, gvr schema.GroupVersionResource, ref federation.ObjectRef) (*unstructured.Unstructured, error) {
	return Do(ctx, c, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return c.Dynamic.Resource(gvr).Namespace(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	})
}
