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

// lowest is the holder of a claim that nobody holds: every token that an instance chooses
// is greater. It says whose the claim is, and keeps no instance of that source out.
var lowest = Token{generation: 1}

// ErrAnswered says that somebody wrote the Lease of a claim that was to be handed over.
var ErrAnswered = errors.New("the claim was written meanwhile: an instance of the other source runs")

// Read returns what a cluster shows of the federation's claim.
func Read(ctx context.Context, client dynamic.Interface, federation string) (Sight, error) {
	l, err := read(ctx, client, federation)
	return l.sight(), err
}

// OfAnother reports whether the claim is that of an instance that follows another source
// than this one.
func (s Sight) OfAnother(source string) bool {
	return (s.Kind == Held || s.Kind == Garbled) && s.Source != "" && s.Source != source
}

// Challenge makes the lowest token the holder of another source's claim, which stays that
// source's. An instance of it that runs puts its own token back at once, and one that has
// ended does not: whether it runs cannot be told otherwise, since a claim is never
// renewed. It returns the claim as it then stands.
func Challenge(ctx context.Context, client dynamic.Interface, federation string, found Sight) (Sight, error) {
	if found.Kind == Held && found.Holder == lowest {
		return found, nil // an earlier one, which nobody has answered
	}
	return replace(ctx, client, federation, found, func(lease *unstructured.Unstructured) *unstructured.Unstructured {
		lease = lease.DeepCopy() // what it says of its holder stays
		lease.Object["spec"] = map[string]any{"holderIdentity": lowest.String()}
		return lease
	})
}

// Answered reports whether a challenged claim has been put back.
func (s Sight) Answered() bool { return s.Kind == Held && s.Holder != lowest }

// HandOver makes a claim that of the source, held by the lowest token. From then on no
// instance of another source writes, and one of this source takes the claim. The claim is
// as it was found, or the error wraps ErrAnswered.
func HandOver(ctx context.Context, client dynamic.Interface, federation string, found Sight, source string) (Sight, error) {
	return replace(ctx, client, federation, found, func(lease *unstructured.Unstructured) *unstructured.Unstructured {
		return claimed(lease, federation, newHolder("takeover", "", 0), lowest, source)
	})
}

// Remove deletes the claim where it is the source's and held by the lowest token, as
// HandOver leaves it. One that is not there is removed.
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

// replace writes what is made of a Lease that is still the one that was found.
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
