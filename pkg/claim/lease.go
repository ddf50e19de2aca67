package claim

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

const fieldManager = "fedsync"

// holder is the description of this process in a Lease, for users.
type holder struct {
	label   string
	host    string
	version string
}

func newHolder(label, version string, number int) holder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if label == "" {
		label = fmt.Sprintf("%s-%d", host, number)
	}
	return holder{label: label, host: host, version: version}
}

// lease is a Lease that was read; its object is nil if there is none.
type lease struct{ object *unstructured.Unstructured }

func (l lease) sight() Sight { return FromLease(l.object) }

// read reads the federation's Lease.
func read(ctx context.Context, client dynamic.Interface, federation string) (lease, error) {
	u, err := client.Resource(Resource).Namespace(Namespace).Get(ctx, Name(federation), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return lease{}, nil
	case err != nil:
		return lease{}, fmt.Errorf("read Lease %s/%s: %w", Namespace, Name(federation), err)
	}
	return lease{u}, nil
}

// write makes token the holder, if the Lease has not changed since it was found.
func write(ctx context.Context, client dynamic.Interface, federation string, found lease, h holder, token Token, source string) (lease, error) {
	leases := client.Resource(Resource).Namespace(Namespace)
	var u *unstructured.Unstructured
	var err error
	if found.object != nil {
		// Its resourceVersion is the precondition.
		u, err = leases.Update(ctx, claimed(found.object, federation, h, token, source), metav1.UpdateOptions{FieldManager: fieldManager})
	} else {
		content := claimed(nil, federation, h, token, source)
		u, err = leases.Create(ctx, content, metav1.CreateOptions{FieldManager: fieldManager})
		if apierrors.IsNotFound(err) { // the namespace
			if err := createNamespace(ctx, client); err != nil {
				return lease{}, err
			}
			u, err = leases.Create(ctx, content, metav1.CreateOptions{FieldManager: fieldManager})
		}
	}
	if err != nil {
		return lease{}, fmt.Errorf("write Lease %s/%s: %w", Namespace, Name(federation), err)
	}
	return lease{u}, nil
}

func createNamespace(ctx context.Context, client dynamic.Interface) error {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	u.SetName(Namespace)
	_, err := client.Resource(corev1.SchemeGroupVersion.WithResource("namespaces")).Create(ctx, u, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Namespace %s: %w", Namespace, err)
	}
	return nil
}

// claimed returns the Lease with another holder. The rest of its metadata stays. It has
// no leaseDurationSeconds: a Lease that is never renewed would look expired to every
// tool that knows Leases, and this one does not expire.
func claimed(found *unstructured.Unstructured, federation string, h holder, token Token, source string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	transitions := int64(0)
	if found != nil {
		u = found.DeepCopy()
		if spec, ok := u.Object["spec"].(map[string]any); ok {
			if n, ok := spec["leaseTransitions"].(int64); ok && n < 1<<30 {
				transitions = n + 1
			}
		}
	}
	u.SetAPIVersion(Resource.GroupVersion().String())
	u.SetKind("Lease")
	u.SetNamespace(Namespace)
	u.SetName(Name(federation))
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationSource] = source
	annotations[annotationInstance] = h.label
	annotations[annotationHost] = h.host
	annotations[annotationPID] = strconv.Itoa(os.Getpid())
	annotations[annotationVersion] = h.version
	u.SetAnnotations(annotations)
	now := time.Now().UTC().Format(metav1.RFC3339Micro)
	u.Object["spec"] = map[string]any{
		"holderIdentity":   token.String(),
		"acquireTime":      now,
		"renewTime":        now,
		"leaseTransitions": transitions,
	}
	return u
}
