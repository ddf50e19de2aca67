package backup

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
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Duration is how long the copy of an adopted object is kept.
const Duration = 30 * 24 * time.Hour

// tries bounds how often an object that other clients write too is read again.
const tries = 4

// errChanges reports that an object changes faster than it can be read.
var errChanges = errors.New("it keeps changing while it is read")

// secretKey is the key of the kept object in its Secret. The value is gzipped JSON,
// since an object may be larger than a Secret can be.
const secretKey = "object.json.gz"

// Copy is an object as it was before it was adopted.
type Copy struct {
	Object  federation.ObjectRef
	Secret  string    // its name in namespace fedsync-system
	At      time.Time // when it was last kept
	Expires time.Time
	State   State
	Content *unstructured.Unstructured // nil if the Secret was changed
	digest  string
}

// Store keeps objects in a cluster.
type Store struct{ Client *request.Client }

// State is how certain it is that fedsync kept an object.
type State string

// The states of a kept object.
const (
	// Proved means that the digest is the one in the inventory.
	Proved State = "proved"
	// Unproved means that the inventory has no proof. Either a version of fedsync that
	// wrote no digests kept the object, or another client created the Secret.
	Unproved State = "unproved"
	// Changed means that the inventory has another digest: the Secret was changed.
	Changed State = "changed"
)

// Keep writes a copy of the live object into a Secret, and returns what is kept. The
// name identifies the content of just this object that an adoption may overwrite.
// However often an adoption is tried, its content is kept once, as of the first try,
// and no kept copy is overwritten. The digest is written into the inventory first, so
// that no Secret of ours is ever without proof.
func (s *Store) Keep(ctx context.Context, ref federation.ObjectRef, live *unstructured.Unstructured) (Copy, error) {
	data, err := live.MarshalJSON()
	if err != nil {
		return Copy{}, fmt.Errorf("encode: %w", err)
	}
	name, err := keptName(ref, live)
	if err != nil {
		return Copy{}, err
	}
	proof := inventory.Proof{
		Federation: s.Client.Federation, Secret: name, Object: ref,
		Digest: inventory.KeptDigest(ref, data), Expires: time.Now().Add(Duration),
	}
	secret, err := Pack(proof, data)
	if err != nil {
		return Copy{}, err
	}
	for range tries {
		there, err := s.createOnce(ctx, object.ConfigMaps, proof.ConfigMap())
		if err != nil {
			return Copy{}, err
		}
		found := inventory.ReadProof(there)
		if found.Digest == "" || found.Object != ref {
			return Copy{}, notOurs("ConfigMap", name)
		}
		var packed *unstructured.Unstructured
		if found.Digest == proof.Digest {
			packed, err = s.createOnce(ctx, object.Secrets, secret)
		} else {
			packed, err = s.Client.Get(ctx, object.Secrets, federation.ObjectRef{Namespace: federation.SystemNamespace, Name: name})
		}
		if apierrors.IsNotFound(err) {
			// An earlier try ended before it kept the object. The object differed then,
			// in fields that adoption does not overwrite, such as its status.
			if err = s.deleteProof(ctx, there); err != nil {
				return Copy{}, err
			}
			continue
		}
		if err != nil {
			return Copy{}, err
		}
		kept, err := readKept(packed)
		if err != nil || kept.digest != found.Digest {
			return Copy{}, notOurs("Secret", name)
		}
		return kept, s.keepLonger(ctx, found, proof.Expires)
	}
	return Copy{}, errChanges
}

// keptName returns the name of the Secret that keeps what an object's adoption may
// overwrite: everything except its status and the metadata that an API server sets.
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

// deleteProof deletes a proof of an object that is not kept.
func (s *Store) deleteProof(ctx context.Context, proof *unstructured.Unstructured) error {
	_, err := request.Write(ctx, s.Client, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.Client.Dynamic.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Delete(ctx, proof.GetName(), request.Preconditions(proof.GetUID(), proof.GetResourceVersion()))
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// keepLonger extends the time for which an object is kept. The expiry in the proof
// counts.
func (s *Store) keepLonger(ctx context.Context, proof inventory.Proof, until time.Time) error {
	if until.Sub(proof.Expires) < time.Second {
		return nil // written with a precision of seconds
	}
	data, err := proof.Extend(until)
	if err != nil {
		return err
	}
	_, err = request.Write(ctx, s.Client, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return s.Client.Dynamic.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Patch(ctx, proof.Secret, types.MergePatchType, data,
			metav1.PatchOptions{FieldManager: ownership.FieldManager})
	})
	return err
}

// notOurs is the error for an object of another client that has the name of one of
// ours.
func notOurs(kind, name string) error {
	return fmt.Errorf("%s %s/%s was not created by fedsync: delete it", kind, federation.SystemNamespace, name)
}

// Pack returns the Secret that keeps an object.
func Pack(proof inventory.Proof, data []byte) (*unstructured.Unstructured, error) {
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
		"data": map[string]any{secretKey: base64.StdEncoding.EncodeToString(packed.Bytes())},
	}}
	u.SetName(proof.Secret)
	u.SetNamespace(federation.SystemNamespace)
	u.SetLabels(map[string]string{inventory.LabelKept: "true", inventory.LabelFederation: inventory.FederationLabel(proof.Federation)})
	u.SetAnnotations(map[string]string{
		inventory.AnnotationObject:  proof.Object.String(),
		inventory.AnnotationExpires: proof.Expires.UTC().Format(time.RFC3339),
	})
	return u, nil
}

// createOnce creates an object of our own, and returns it, or the one that exists
// already. It creates the namespace if that is missing.
func (s *Store) createOnce(ctx context.Context, resource schema.GroupVersionResource, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	var there *unstructured.Unstructured
	var err error
	for range 2 {
		there, err = request.Write(ctx, s.Client, func(ctx context.Context) (*unstructured.Unstructured, error) {
			return s.Client.Dynamic.Resource(resource).Namespace(federation.SystemNamespace).Create(ctx, u, metav1.CreateOptions{FieldManager: ownership.FieldManager})
		})
		if !apierrors.IsNotFound(err) {
			break
		}
		if _, err := s.Client.CreateNamespace(ctx, federation.SystemNamespace); err != nil {
			return nil, err
		}
	}
	if apierrors.IsAlreadyExists(err) {
		return s.Client.Get(ctx, resource, federation.ObjectRef{Namespace: federation.SystemNamespace, Name: u.GetName()})
	}
	return there, err
}
