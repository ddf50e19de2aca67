package apply

import (
	"context"

	"github.com/fedsync/fedsync/pkg/apply/refusal"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// request calls f with the time that one request has.
func request[T any](ctx context.Context, a *Applier, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, a.RequestTimeout)
	defer cancel()
	return f(ctx)
}

// write is request for what changes the cluster: an Applier that
// may not write makes none.
func write[T any](ctx context.Context, a *Applier, f func(context.Context) (T, error)) (T, error) {
	if !a.mayWrite() {
		var none T
		return none, refusal.ErrFenced
	}
	return request(ctx, a, f)
}

// preconditions let a deletion pass only while the object is as we judged it.
func preconditions(uid types.UID, version string) metav1.DeleteOptions {
	background := metav1.DeletePropagationBackground
	return metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
		PropagationPolicy: &background,
	}
}
