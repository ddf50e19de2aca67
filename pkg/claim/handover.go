package claim

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// lowest is the holder of a claim without an instance: every token that an instance
// chooses is greater. The claim records its source, and excludes no instance of that
// source.
var lowest = Token{generation: 1}

// ErrAnswered means that another client wrote the Lease of a claim that was to be
// handed over.
var ErrAnswered = errors.New("the claim has changed: an instance of the other source runs")

// Read returns the federation's claim in a cluster.
func Read(ctx context.Context, client dynamic.Interface, federation string) (Sight, error) {
	l, err := read(ctx, client, federation)
	return l.sight(), err
}

// OfAnother reports whether the claim is that of an instance that follows another
// source.
func (s Sight) OfAnother(source string) bool {
	return (s.Kind == Held || s.Kind == Garbled) && s.Source != "" && s.Source != source
}

// Challenge makes the lowest token the holder of another source's claim, which stays
// that source's. A running instance of that source puts its own token back immediately,
// and one that has ended does not. There is no other way to find out, since a claim is
// never renewed. Challenge returns the claim as written.
func Challenge(ctx context.Context, client dynamic.Interface, federation string, found Sight) (Sight, error) {
	if found.Kind == Held && found.Holder == lowest {
		return found, nil // an earlier challenge without an answer
	}
	return replace(ctx, client, federation, found, func(lease *unstructured.Unstructured) *unstructured.Unstructured {
		lease = lease.DeepCopy() // its description of the holder stays
		lease.Object["spec"] = map[string]any{"holderIdentity": lowest.String()}
		return lease
	})
}

// Answered reports whether the holder of a challenged claim was put back.
func (s Sight) Answered() bool { return s.Kind == Held && s.Holder != lowest }

// HandOver gives a claim to the source, with the lowest token as holder. From then on
// no instance of another source writes, and an instance of this source takes the claim.
// If the claim has changed since it was found, the error wraps ErrAnswered.
func HandOver(ctx context.Context, client dynamic.Interface, federation string, found Sight, source string) (Sight, error) {
	return replace(ctx, client, federation, found, func(lease *unstructured.Unstructured) *unstructured.Unstructured {
		return claimed(lease, federation, newHolder("takeover", "", 0), lowest, source)
	})
}

// Remove deletes a claim that HandOver left: it is the source's and held by the lowest
// token. A missing claim is no error.
func Remove(ctx context.Context, client dynamic.Interface, federation, source string) error {
	now, err := read(ctx, client, federation)
	if err != nil || now.object == nil {
		return err
	}
	if s := now.sight(); s.Kind == Held && (s.Source != source || s.Holder != lowest) {
		return fmt.Errorf("delete Lease %s/%s: %w", Namespace, Name(federation), ErrAnswered)
	}
	uid, version := now.object.GetUID(), now.object.GetResourceVersion()
	err = client.Resource(Resource).Namespace(Namespace).Delete(ctx, Name(federation), metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
	})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("delete Lease %s/%s: %w", Namespace, Name(federation), err)
	}
	return nil
}

// replace writes new content to a Lease that has not changed since it was found.
func replace(
	ctx context.Context, client dynamic.Interface, federation string, found Sight,
	content func(*unstructured.Unstructured) *unstructured.Unstructured,
) (Sight, error) {
	now, err := read(ctx, client, federation)
	if err != nil {
		return Sight{}, err
	}
	if s := now.sight(); s.Version != found.Version {
		return s, fmt.Errorf("replace the holder of Lease %s/%s: %w", Namespace, Name(federation), ErrAnswered)
	}
	if now.object == nil {
		return Sight{Kind: Absent}, nil
	}
	after, err := client.Resource(Resource).Namespace(Namespace).Update(ctx, content(now.object), metav1.UpdateOptions{FieldManager: fieldManager})
	switch {
	case apierrors.IsConflict(err):
		return Sight{}, fmt.Errorf("replace the holder of Lease %s/%s: %w", Namespace, Name(federation), ErrAnswered)
	case err != nil:
		return Sight{}, fmt.Errorf("write Lease %s/%s: %w", Namespace, Name(federation), err)
	}
	return FromLease(after), nil
}
