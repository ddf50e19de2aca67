package apply

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/federation"
)

// keptFor is how long an object is kept as it was before it was adopted.
const keptFor = 30 * 24 * time.Hour

// keptKey is where a kept object is in its Secret: gzipped JSON, since an object
// may be larger than a Secret can be.
const keptKey = "object.json.gz"

// Kept is an object as it was before it was adopted.
type Kept struct {
	Object  federation.ObjectRef
	Secret  string    // its name in the namespace fedsync-system
	At      time.Time // when it was kept last
	Expires time.Time
	State   KeptState
	content *unstructured.Unstructured // nil where it was changed
	digest  string
}

// KeptState tells how certain it is that fedsync kept an object.
type KeptState string

// The states of a kept object.
const (
	// KeptProved: its digest is that in the inventory.
	KeptProved KeptState = "proved"
	// KeptUnproved: the inventory knows nothing of it. A version of fedsync kept it
	// that wrote no digests, or somebody else made the Secret.
	KeptUnproved KeptState = "unproved"
	// KeptChanged: the inventory has another digest. Somebody changed the Secret.
	KeptChanged KeptState = "changed"
)

// keep writes the object as it is into a Secret, and returns what is kept. The name
// stands for what may be overwritten of just this object: however often an adoption is
// tried, its content is kept once, as it was at the first try, and nothing that was kept
// is overwritten. The inventory has its digest first, so that no Secret of ours is ever
// without proof.
func (a *Applier) keep(ctx context.Context, ref federation.ObjectRef, live *unstructured.Unstructured) (Kept, error) {
	data, err := live.MarshalJSON()
	if err != nil {
		return Kept{}, fmt.Errorf("encode: %w", err)
	}
	name, err := keptName(ref, live)
	if err != nil {
		return Kept{}, err
	}
	proof := inventory.Proof{
		Federation: a.Federation, Secret: name, Object: ref,
		Digest: inventory.KeptDigest(ref, data), Expires: time.Now().Add(keptFor),
	}
	secret, err := a.keptSecret(proof, data)
	if err != nil {
		return Kept{}, err
	}
	for range putTries {
		there, err := a.createOnce(ctx, configMaps, proof.ConfigMap())
		if err != nil {
			return Kept{}, err
		}
		found := inventory.ReadProof(there)
		if found.Digest == "" || found.Object != ref {
			return Kept{}, foreign("ConfigMap", name)
		}
		var packed *unstructured.Unstructured
		if found.Digest == proof.Digest {
			packed, err = a.createOnce(ctx, secrets, secret)
		} else {
			packed, err = a.get(ctx, secrets, federation.ObjectRef{Namespace: Namespace, Name: name})
		}
		if apierrors.IsNotFound(err) {
			// An earlier try ended before it kept the object, which was another in
			// what is not overwritten, such as its status.
			if err = a.disprove(ctx, there); err != nil {
				return Kept{}, err
			}
			continue
		}
		if err != nil {
			return Kept{}, err
		}
		kept, err := readKept(packed)
		if err != nil || kept.digest != found.Digest {
			return Kept{}, foreign("Secret", name)
		}
		return kept, a.keepLonger(ctx, found, proof.Expires)
	}
	return Kept{}, errEnough
}

// keptName is the name of the Secret that keeps what an object's adoption may overwrite:
// all but its status and what an API server says of it.
func keptName(ref federation.ObjectRef, u *unstructured.Unstructured) (string, error) {
	content := maps.Clone(u.Object)
	delete(content, "status")
	metadata := map[string]any{}
	for _, name := range []string{"labels", "annotations", "finalizers", "ownerReferences"} {
		if v, ok, _ := unstructured.NestedFieldNoCopy(u.Object, "metadata", name); ok {
			metadata[name] = v
		}
	}
	content["metadata"] = metadata
	data, err := json.Marshal(content)
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	sum := sha256.Sum256([]byte(ref.String() + "\x00" + string(u.GetUID()) + "\x00" + string(data)))
	return "kept-" + hex.EncodeToString(sum[:12]), nil
}

// disprove deletes a proof of what is not kept.
func (a *Applier) disprove(ctx context.Context, proof *unstructured.Unstructured) error {
	_, err := write(ctx, a, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.Client.Resource(configMaps).Namespace(Namespace).Delete(ctx, proof.GetName(), preconditions(proof.GetUID(), proof.GetResourceVersion()))
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// keepLonger has what was kept before kept for its whole time from now on. The proof
// decides when it expires.
func (a *Applier) keepLonger(ctx context.Context, proof inventory.Proof, until time.Time) error {
	if until.Sub(proof.Expires) < time.Second {
		return nil // to the second, as it is written
	}
	data, err := proof.Extend(until)
	if err != nil {
		return err
	}
	_, err = write(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return a.Client.Resource(configMaps).Namespace(Namespace).Patch(ctx, proof.Secret, types.MergePatchType, data,
			metav1.PatchOptions{FieldManager: ownership.FieldManager})
	})
	return err
}

// foreign is the error for an object that stands where one of ours is to be.
func foreign(kind, name string) error {
	return fmt.Errorf("%s %s/%s is not what fedsync kept: somebody else made it; delete it", kind, Namespace, name)
}

// keptSecret is the Secret that keeps an object.
func (a *Applier) keptSecret(proof inventory.Proof, data []byte) (*unstructured.Unstructured, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "fedsync.dev/kept-object", "immutable": true,
		"data": map[string]any{keptKey: base64.StdEncoding.EncodeToString(packed.Bytes())},
	}}
	u.SetName(proof.Secret)
	u.SetNamespace(Namespace)
	u.SetLabels(map[string]string{inventory.LabelKept: "true", inventory.LabelFederation: inventory.FederationLabel(a.Federation)})
	u.SetAnnotations(map[string]string{
		inventory.AnnotationObject:  proof.Object.String(),
		inventory.AnnotationExpires: proof.Expires.UTC().Format(time.RFC3339),
	})
	return u, nil
}

// createOnce creates an object of our own, and returns the one that is there then. It
// makes the namespace where that is missing.
func (a *Applier) createOnce(ctx context.Context, resource schema.GroupVersionResource, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	var there *unstructured.Unstructured
	var err error
	for range 2 {
		there, err = write(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
			return a.Client.Resource(resource).Namespace(Namespace).Create(ctx, u, metav1.CreateOptions{FieldManager: ownership.FieldManager})
		})
		if !apierrors.IsNotFound(err) {
			break
		}
		if _, err := a.createNamespace(ctx, Namespace); err != nil {
			return nil, err
		}
	}
	if apierrors.IsAlreadyExists(err) {
		return a.get(ctx, resource, federation.ObjectRef{Namespace: Namespace, Name: u.GetName()})
	}
	return there, err
}

// ListKept gives what is kept in the cluster for this federation, oldest first.
func (a *Applier) ListKept(ctx context.Context) ([]Kept, error) {
	all, _, err := a.listKept(ctx)
	return all, err
}

// listKept returns the proofs too, by the names of their Secrets.
func (a *Applier) listKept(ctx context.Context) (all []Kept, proofs map[string]inventory.Proof, err error) {
	proofs, err = a.eachKept(ctx, func(k Kept) { all = append(all, k) })
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(all, Kept.compare)
	return all, proofs, nil
}

// eachKept calls use with each object that is kept, and returns the proofs. An object takes more room than its Secret, so use is not to hold on to
// its content where there may be many.
func (a *Applier) eachKept(ctx context.Context, use func(Kept)) (map[string]inventory.Proof, error) {
	proofs := map[string]inventory.Proof{}
	err := a.eachOwn(ctx, configMaps, inventory.ProofSelector(a.Federation), func(u *unstructured.Unstructured) {
		proofs[u.GetName()] = inventory.ReadProof(u)
	})
	if err != nil {
		return nil, fmt.Errorf("list the proofs of kept objects in %s: %w", Namespace, err)
	}
	selector := inventory.LabelKept + "=true," + inventory.ParentSelector(a.Federation)
	err = a.eachOwn(ctx, secrets, selector, func(u *unstructured.Unstructured) {
		k, err := readKept(u)
		proof, known := proofs[u.GetName()]
		switch {
		case known && (err != nil || k.digest != proof.Digest):
			k = Kept{Object: proof.Object, Secret: u.GetName(), At: u.GetCreationTimestamp().Time, State: KeptChanged}
		case known:
			k.State = KeptProved
		case err != nil:
			return // it keeps nothing, whoever made it
		}
		if known && !proof.Expires.IsZero() {
			// Labels and annotations of a Secret can be changed, and the same object
			// may have been adopted again.
			k.Expires, k.At = proof.Expires, proof.Expires.Add(-keptFor)
		}
		use(k)
	})
	if err != nil {
		return nil, fmt.Errorf("list the kept objects in %s: %w", Namespace, err)
	}
	return proofs, nil
}

// compare orders what is kept by when it was kept last and, within a second, by what
// came later of one object.
func (k Kept) compare(other Kept) int {
	if d := k.At.Compare(other.At); d != 0 || k.content == nil || other.content == nil || k.content.GetUID() != other.content.GetUID() {
		return d
	}
	switch a, b := k.content.GetResourceVersion(), other.content.GetResourceVersion(); {
	case a == b:
		return 0
	case newer(a, b):
		return 1
	}
	return -1
}

// eachOwn calls f for each object in our namespace that the selector selects.
func (a *Applier) eachOwn(ctx context.Context, resource schema.GroupVersionResource, selector string, f func(*unstructured.Unstructured)) error {
	o := metav1.ListOptions{LabelSelector: selector, Limit: 50}
	return a.each(ctx, a.Client.Resource(resource).Namespace(Namespace), o, func(u *unstructured.Unstructured) (more bool) {
		f(u)
		return true
	})
}

func readKept(secret *unstructured.Unstructured) (Kept, error) {
	ref, err := federation.ParseObjectRef(secret.GetAnnotations()[inventory.AnnotationObject])
	if err != nil {
		return Kept{}, err
	}
	expires, err := time.Parse(time.RFC3339, secret.GetAnnotations()[inventory.AnnotationExpires])
	if err != nil {
		return Kept{}, fmt.Errorf("annotation %s: %w", inventory.AnnotationExpires, err)
	}
	text, _, _ := unstructured.NestedString(secret.Object, "data", keptKey)
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)))
	if err != nil {
		return Kept{}, fmt.Errorf("unpack %s: %w", secret.GetName(), err)
	}
	data, err := io.ReadAll(io.LimitReader(z, bounds.ObjectBytes+1))
	if err != nil {
		return Kept{}, fmt.Errorf("unpack %s: %w", secret.GetName(), err)
	}
	if !bounds.IsObject(data) {
		return Kept{}, fmt.Errorf("unpack %s: it is more than an object may be", secret.GetName())
	}
	content := &unstructured.Unstructured{}
	if err := content.UnmarshalJSON(data); err != nil {
		return Kept{}, fmt.Errorf("decode %s: %w", secret.GetName(), err)
	}
	if found := federation.RefOf(content); found != ref {
		return Kept{}, fmt.Errorf("%s says that it keeps %s, and keeps %s", secret.GetName(), ref, found)
	}
	return Kept{
		Object: ref, Secret: secret.GetName(), At: secret.GetCreationTimestamp().Time, Expires: expires,
		State: KeptUnproved, content: content, digest: inventory.KeptDigest(ref, data),
	}, nil
}

// ExpireKept deletes kept objects whose time is up, and what proves them. The daemon
// calls it at the start and once a day.
func (a *Applier) ExpireKept(ctx context.Context) error {
	isOver := func(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }
	var over []string
	proofs, err := a.eachKept(ctx, func(k Kept) {
		if isOver(k.Expires) {
			over = append(over, k.Secret)
		}
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range over {
		errs = append(errs, a.deleteOwn(ctx, secrets, name))
	}
	for name, proof := range proofs {
		if isOver(proof.Expires) {
			errs = append(errs, a.deleteOwn(ctx, configMaps, name))
		}
	}
	return errors.Join(errs...)
}

// deleteOwn deletes an object in our namespace that may be gone already.
func (a *Applier) deleteOwn(ctx context.Context, resource schema.GroupVersionResource, name string) error {
	_, err := write(ctx, a, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.Client.Resource(resource).Namespace(Namespace).Delete(ctx, name, metav1.DeleteOptions{})
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete the kept object %s: %w", name, err)
	}
	return nil
}

// NotProvedError is the error for an object of which only such is kept that fedsync
// may not have kept.
type NotProvedError struct {
	Kept Kept // the newest
}

// Error says what is wrong with it.
func (e *NotProvedError) Error() string {
	why := "the inventory knows nothing of it, so an earlier version of fedsync kept it, or somebody else made it"
	if e.Kept.State == KeptChanged {
		why = "somebody changed it: its digest is not the one in the inventory"
	}
	return fmt.Sprintf("restore %s: Secret %s/%s is not certain to be what fedsync kept: %s", e.Kept.Object, Namespace, e.Kept.Secret, why)
}

// Restore puts an object back as it was before it was adopted last, as far as that
// is proved: whoever can make a Secret must not make fedsync write with its rights.
// Unproved also takes what an earlier version kept without proof. What was changed
// is never taken. A fedsync that still has the object in Git, and may adopt, adopts
// it again: take it out of Git or set adoption: Never first.
func (a *Applier) Restore(ctx context.Context, ref federation.ObjectRef, unproved bool) (Kept, error) {
	all, err := a.ListKept(ctx)
	if err != nil {
		return Kept{}, err
	}
	var kept, newest *Kept
	for i := range all {
		k := &all[i]
		if k.Object != ref {
			continue
		}
		newest = k
		if k.State == KeptProved || k.State == KeptUnproved && unproved {
			kept = k
		}
	}
	switch {
	case newest == nil:
		return Kept{}, fmt.Errorf("restore %s: nothing is kept of it in %s", ref, Namespace)
	case kept == nil:
		return Kept{}, &NotProvedError{Kept: *newest}
	}
	return *kept, a.putBack(ctx, kept)
}

// putBack writes a kept object.
func (a *Applier) putBack(ctx context.Context, kept *Kept) error {
	ref, gvk := kept.Object, kept.content.GroupVersionKind()
	mapping, err := a.mapping(ctx, gvk.GroupKind(), gvk.Version)
	if err != nil {
		return fmt.Errorf("restore %s: %w", ref, err)
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
			return nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			return newError("restore", ref, "", err)
		}
	}
	return newError("restore", ref, "", errEnough)
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
