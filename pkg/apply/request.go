package apply

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/federation"
)

// request calls f with the time that one request has.
func request[T any](ctx context.Context, a *Applier, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, a.RequestTimeout)
	defer cancel()
	return f(ctx)
}

// write is request for what changes the cluster: a fenced Applier makes none.
func write[T any](ctx context.Context, a *Applier, f func(context.Context) (T, error)) (T, error) {
	if _, fenced := a.Fenced(); fenced {
		var none T
		return none, errFenced
	}
	return request(ctx, a, f)
}

// createNamespace makes a namespace that objects need. It bears no label of an
// inventory, so that it is never pruned.
func (a *Applier) createNamespace(ctx context.Context, name string) error {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	u.SetName(name)
	u.SetAnnotations(map[string]string{annotationCreated: FieldManager + "/" + a.Federation})
	_, err := write(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return a.Client.Resource(namespaces).Create(ctx, u, metav1.CreateOptions{FieldManager: FieldManager})
	})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// checkNamespace sees to it that objects can be made in a namespace. It gives nil
// where that cannot be known: then the objects themselves tell.
func (a *Applier) checkNamespace(ctx context.Context, name string, create bool) error {
	ref := federation.ObjectRef{Kind: "Namespace", Name: name}
	u, err := request(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return a.Client.Resource(namespaces).Get(ctx, name, metav1.GetOptions{})
	})
	switch {
	case apierrors.IsNotFound(err) && create:
		if err := a.createNamespace(ctx, name); err != nil {
			return newError("create", ref, "", err)
		}
		return nil
	case apierrors.IsForbidden(err):
		return nil
	case err != nil:
		return newError("read", ref, "", err)
	case u.GetDeletionTimestamp() != nil:
		return newError("read", ref, "", terminatingError(name))
	}
	return nil
}

// terminatingError says what the API server says of a creation in a namespace
// that is being deleted.
func terminatingError(name string) error {
	err := apierrors.NewForbidden(namespaces.GroupResource(), name, nil)
	err.ErrStatus.Message = "namespace " + name + " is being terminated"
	return err
}

// preconditions let a deletion pass only while the object is as we judged it.
func preconditions(uid types.UID, version string) metav1.DeleteOptions {
	background := metav1.DeletePropagationBackground
	return metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
		PropagationPolicy: &background,
	}
}
