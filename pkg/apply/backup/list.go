package backup

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/federation"
)

// List returns the kept objects of this federation in the cluster, oldest first.
func (s *Store) List(ctx context.Context) ([]Copy, error) {
	all, _, err := s.All(ctx)
	return all, err
}

// All also returns the proofs, by the names of their Secrets.
func (s *Store) All(ctx context.Context) (all []Copy, proofs map[string]inventory.Proof, err error) {
	proofs, err = s.each(ctx, func(k Copy) { all = append(all, k) })
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(all, Copy.compare)
	return all, proofs, nil
}

// each calls use for each kept object, and returns the proofs. An object takes more
// memory than its Secret, so use should not retain its content where there may be many.
func (s *Store) each(ctx context.Context, use func(Copy)) (map[string]inventory.Proof, error) {
	proofs := map[string]inventory.Proof{}
	err := s.Client.EachOwn(ctx, object.ConfigMaps, inventory.ProofSelector(s.Client.Federation), func(u *unstructured.Unstructured) {
		proofs[u.GetName()] = inventory.ReadProof(u)
	})
	if err != nil {
		return nil, fmt.Errorf("list the proofs of kept objects in %s: %w", federation.SystemNamespace, err)
	}
	selector := inventory.LabelKept + "=true," + inventory.ParentSelector(s.Client.Federation)
	err = s.Client.EachOwn(ctx, object.Secrets, selector, func(u *unstructured.Unstructured) {
		k, err := readKept(u)
		proof, known := proofs[u.GetName()]
		switch {
		case known && (err != nil || k.digest != proof.Digest):
			k = Copy{Object: proof.Object, Secret: u.GetName(), At: u.GetCreationTimestamp().Time, State: Changed}
		case known:
			k.State = Proved
		case err != nil:
			return // it keeps no object, whoever created it
		}
		if known && !proof.Expires.IsZero() {
			// A Secret's labels and annotations can be changed, and the same object may
			// have been adopted again.
			k.Expires, k.At = proof.Expires, proof.Expires.Add(-Duration)
		}
		use(k)
	})
	if err != nil {
		return nil, fmt.Errorf("list the kept objects in %s: %w", federation.SystemNamespace, err)
	}
	return proofs, nil
}

// compare orders kept objects by when they were last kept and, within a second, copies
// of one object by resourceVersion.
func (k Copy) compare(other Copy) int {
	if d := k.At.Compare(other.At); d != 0 || k.Content == nil || other.Content == nil || k.Content.GetUID() != other.Content.GetUID() {
		return d
	}
	switch a, b := k.Content.GetResourceVersion(), other.Content.GetResourceVersion(); {
	case a == b:
		return 0
	case object.IsNewer(a, b):
		return 1
	}
	return -1
}

func readKept(secret *unstructured.Unstructured) (Copy, error) {
	ref, err := federation.ParseObjectRef(secret.GetAnnotations()[inventory.AnnotationObject])
	if err != nil {
		return Copy{}, err
	}
	expires, err := time.Parse(time.RFC3339, secret.GetAnnotations()[inventory.AnnotationExpires])
	if err != nil {
		return Copy{}, fmt.Errorf("annotation %s: %w", inventory.AnnotationExpires, err)
	}
	text, _, _ := unstructured.NestedString(secret.Object, "data", secretKey)
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)))
	if err != nil {
		return Copy{}, fmt.Errorf("unpack %s: %w", secret.GetName(), err)
	}
	data, err := io.ReadAll(io.LimitReader(z, bounds.ObjectBytes+1))
	if err != nil {
		return Copy{}, fmt.Errorf("unpack %s: %w", secret.GetName(), err)
	}
	if !bounds.IsObject(data) {
		return Copy{}, fmt.Errorf("unpack %s: the object is too large", secret.GetName())
	}
	content := &unstructured.Unstructured{}
	if err := content.UnmarshalJSON(data); err != nil {
		return Copy{}, fmt.Errorf("decode %s: %w", secret.GetName(), err)
	}
	if found := federation.RefOf(content); found != ref {
		return Copy{}, fmt.Errorf("%s should contain %s, but contains %s", secret.GetName(), ref, found)
	}
	return Copy{
		Object: ref, Secret: secret.GetName(), At: secret.GetCreationTimestamp().Time, Expires: expires,
		State: Unproved, Content: content, digest: inventory.KeptDigest(ref, data),
	}, nil
}

// Expire deletes expired copies of objects, and their proofs. The daemon calls it at
// the start and once a day.
func (s *Store) Expire(ctx context.Context) error {
	isOver := func(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }
	var over []string
	proofs, err := s.each(ctx, func(k Copy) {
		if isOver(k.Expires) {
			over = append(over, k.Secret)
		}
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range over {
		errs = append(errs, s.deleteOwn(ctx, object.Secrets, name))
	}
	for name, proof := range proofs {
		if isOver(proof.Expires) {
			errs = append(errs, s.deleteOwn(ctx, object.ConfigMaps, name))
		}
	}
	return errors.Join(errs...)
}

// deleteOwn deletes an object in our namespace. A missing object is no error.
func (s *Store) deleteOwn(ctx context.Context, resource schema.GroupVersionResource, name string) error {
	_, err := request.Write(ctx, s.Client, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.Client.Dynamic.Resource(resource).Namespace(federation.SystemNamespace).Delete(ctx, name, metav1.DeleteOptions{})
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete the kept object %s: %w", name, err)
	}
	return nil
}
