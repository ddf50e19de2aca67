package apply

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/federation"
)

// keptFor is how long an object is kept as it was before it was adopted.
const keptFor = 30 * 24 * time.Hour

// keptKey is where a kept object is in its Secret: gzipped JSON, since an object
// may be larger than a Secret can be.
const keptKey = "object.json.gz"

// labelKept is on every Secret that keeps an object, and the annotations say which it
// is and for how long.
const (
	labelKept         = "fedsync.dev/kept"
	annotationObject  = "fedsync.dev/object"
	annotationExpires = "fedsync.dev/expires"
)

// Kept is an object as it was before it was adopted.
type Kept struct {
	Object  federation.ObjectRef
	Secret  string // its name in the namespace fedsync-system
	At      time.Time
	Expires time.Time
	content *unstructured.Unstructured
}

// keep writes the object as it is into a Secret, and gives its name. The name
// stands for this very state of the object: keeping it twice is keeping it once,
// and nothing that was kept is overwritten.
func (a *Applier) keep(ctx context.Context, ref federation.ObjectRef, live *unstructured.Unstructured) (string, error) {
	data, err := live.MarshalJSON()
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(data); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(ref.String() + "\x00" + string(live.GetUID()) + "\x00" + live.GetResourceVersion()))
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "fedsync.dev/kept-object", "immutable": true,
		"data": map[string]any{keptKey: base64.StdEncoding.EncodeToString(packed.Bytes())},
	}}
	u.SetName("kept-" + hex.EncodeToString(sum[:12]))
	u.SetNamespace(Namespace)
	u.SetLabels(map[string]string{labelKept: "true", inventory.LabelFederation: inventory.FederationLabel(a.Federation)})
	u.SetAnnotations(map[string]string{
		annotationObject:  ref.String(),
		annotationExpires: time.Now().Add(keptFor).UTC().Format(time.RFC3339),
	})
	for range 2 {
		_, err = write(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
			return a.Client.Resource(secrets).Namespace(Namespace).Create(ctx, u, metav1.CreateOptions{FieldManager: ownership.FieldManager})
		})
		if !apierrors.IsNotFound(err) {
			break
		}
		if _, err := a.createNamespace(ctx, Namespace); err != nil {
			return "", err
		}
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", err
	}
	return u.GetName(), nil
}

// ListKept gives what is kept in the cluster for this federation, oldest first.
func (a *Applier) ListKept(ctx context.Context) ([]Kept, error) {
	var out []Kept
	token := ""
	for {
		list, err := request(ctx, a, func(ctx context.Context) (*unstructured.UnstructuredList, error) {
			return a.Client.Resource(secrets).Namespace(Namespace).List(ctx, metav1.ListOptions{
				LabelSelector: labelKept + "=true," + inventory.ParentSelector(a.Federation), Limit: 50, Continue: token,
			})
		})
		if err != nil {
			return nil, fmt.Errorf("list the kept objects in %s: %w", Namespace, err)
		}
		for i := range list.Items {
			if k, err := readKept(&list.Items[i]); err == nil {
				out = append(out, k)
			}
		}
		if token = list.GetContinue(); token == "" {
			slices.SortFunc(out, func(a, b Kept) int { return a.At.Compare(b.At) })
			return out, nil
		}
	}
}

func readKept(secret *unstructured.Unstructured) (Kept, error) {
	ref, err := federation.ParseObjectRef(secret.GetAnnotations()[annotationObject])
	if err != nil {
		return Kept{}, err
	}
	expires, err := time.Parse(time.RFC3339, secret.GetAnnotations()[annotationExpires])
	if err != nil {
		return Kept{}, fmt.Errorf("annotation %s: %w", annotationExpires, err)
	}
	text, _, _ := unstructured.NestedString(secret.Object, "data", keptKey)
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)))
	if err != nil {
		return Kept{}, fmt.Errorf("unpack %s: %w", secret.GetName(), err)
	}
	// An API server takes no object larger than this.
	data, err := io.ReadAll(io.LimitReader(z, 16<<20))
	if err != nil {
		return Kept{}, fmt.Errorf("unpack %s: %w", secret.GetName(), err)
	}
	content := &unstructured.Unstructured{}
	if err := content.UnmarshalJSON(data); err != nil {
		return Kept{}, fmt.Errorf("decode %s: %w", secret.GetName(), err)
	}
	return Kept{Object: ref, Secret: secret.GetName(), At: secret.GetCreationTimestamp().Time, Expires: expires, content: content}, nil
}

// ExpireKept deletes kept objects whose time is up. The daemon calls it at the
// start and once a day.
func (a *Applier) ExpireKept(ctx context.Context) error {
	all, err := a.ListKept(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, k := range all {
		if time.Now().Before(k.Expires) {
			continue
		}
		_, err := write(ctx, a, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, a.Client.Resource(secrets).Namespace(Namespace).Delete(ctx, k.Secret, metav1.DeleteOptions{})
		})
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("delete the kept object %s: %w", k.Secret, err))
		}
	}
	return errors.Join(errs...)
}

// Restore puts an object back as it was before it was adopted last. A fedsync
// that still has the object in Git, and may adopt, adopts it again: take it out
// of Git or set adoption: Never first.
func (a *Applier) Restore(ctx context.Context, ref federation.ObjectRef) (Kept, error) {
	all, err := a.ListKept(ctx)
	if err != nil {
		return Kept{}, err
	}
	var kept *Kept
	for i := range all {
		if all[i].Object == ref {
			kept = &all[i]
		}
	}
	if kept == nil {
		return Kept{}, fmt.Errorf("restore %s: nothing is kept of it in %s", ref, Namespace)
	}
	gvk := kept.content.GroupVersionKind()
	mapping, err := a.mapping(ctx, gvk.GroupKind(), gvk.Version)
	if err != nil {
		return Kept{}, fmt.Errorf("restore %s: %w", ref, err)
	}
	objects := a.Client.Resource(mapping.Resource).Namespace(ref.Namespace)
	for range putTries {
		live, err := request(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
			return objects.Get(ctx, ref.Name, metav1.GetOptions{})
		})
		content := kept.asBefore(live)
		switch {
		case apierrors.IsNotFound(err):
			_, err = request(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
				return objects.Create(ctx, content, metav1.CreateOptions{FieldManager: "fedsync-restore"})
			})
		case err == nil:
			_, err = request(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
				return objects.Update(ctx, content, metav1.UpdateOptions{FieldManager: "fedsync-restore"})
			})
		}
		if err == nil {
			return *kept, nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			return Kept{}, newError("restore", ref, "", err)
		}
	}
	return Kept{}, newError("restore", ref, "", errEnough)
}

// asBefore is what is sent to put the object back in place of the live one, if
// there is one.
func (k *Kept) asBefore(live *unstructured.Unstructured) *unstructured.Unstructured {
	u := k.content.DeepCopy()
	for _, name := range []string{"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "resourceVersion", "selfLink", "uid"} {
		unstructured.RemoveNestedField(u.Object, "metadata", name)
	}
	if live == nil {
		if k.Object.GroupKind() == serviceKind {
			unstructured.RemoveNestedField(u.Object, "spec", "clusterIP") // another may have it by now
			unstructured.RemoveNestedField(u.Object, "spec", "clusterIPs")
		}
		return u
	}
	u.SetResourceVersion(live.GetResourceVersion())
	u.SetUID(live.GetUID())
	if k.Object.GroupKind() == serviceKind && live.GetUID() != k.content.GetUID() {
		for _, name := range []string{"clusterIP", "clusterIPs"} { // of the new object, and immutable
			if v, ok, _ := unstructured.NestedFieldCopy(live.Object, "spec", name); ok {
				_ = unstructured.SetNestedField(u.Object, v, "spec", name)
			}
		}
	}
	return u
}
