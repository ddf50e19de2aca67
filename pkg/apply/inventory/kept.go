package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Labels and annotations of the objects that adoption overwrote. The Secret that keeps
// an object has LabelKept. Its ConfigMap in the inventory has LabelProves, so that
// lists of parents leave it out.
const (
	LabelKept         = "fedsync.dev/kept"
	LabelProves       = "fedsync.dev/proves"
	AnnotationObject  = "fedsync.dev/object"
	AnnotationExpires = "fedsync.dev/expires"
)

// proofDigest is the key of the digest in a proof.
const proofDigest = "digest"

// Proof proves that fedsync kept an object. It is a ConfigMap of the inventory with the
// same name as the Secret that keeps the object. Each kept object has its own: the
// annotations of one object hold 256 KiB in all, and an app may have any number of
// objects. It is not part of the app's parent, since it outlives it.
type Proof struct {
	Federation string
	Secret     string
	Object     federation.ObjectRef
	Digest     string // of the object, by KeptDigest
	Expires    time.Time
}

// KeptDigest returns the digest of a kept object's content, which is its JSON.
func KeptDigest(ref federation.ObjectRef, content []byte) string {
	sum := sha256.Sum256(append([]byte(ref.String()+"\x00"), content...))
	return hex.EncodeToString(sum[:])
}

// ProofSelector selects the proofs of one federation among the ConfigMaps of the
// namespace fedsync-system.
func ProofSelector(federationName string) string {
	return LabelProves + "=" + FederationLabel(federationName)
}

// ConfigMap returns the proof as an object.
func (p Proof) ConfigMap() *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "immutable": true,
		"data": map[string]any{proofDigest: p.Digest},
	}}
	u.SetName(p.Secret)
	u.SetNamespace(federation.SystemNamespace)
	u.SetLabels(map[string]string{LabelProves: FederationLabel(p.Federation)})
	u.SetAnnotations(map[string]string{
		annotationFederation: p.Federation,
		AnnotationObject:     p.Object.String(),
		AnnotationExpires:    p.Expires.UTC().Format(time.RFC3339),
	})
	return u
}

// Extend returns a JSON merge patch that postpones the expiry of the proof, and so of
// what it proves.
func (p Proof) Extend(until time.Time) ([]byte, error) {
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{AnnotationExpires: until.UTC().Format(time.RFC3339)},
	}})
}

// ReadProof decodes a proof. A malformed one proves nothing: its digest matches no
// object, and it does not expire.
func ReadProof(u *unstructured.Unstructured) Proof {
	annotations := u.GetAnnotations()
	p := Proof{Federation: annotations[annotationFederation], Secret: u.GetName()}
	p.Digest, _, _ = unstructured.NestedString(u.Object, "data", proofDigest)
	var err error
	if p.Object, err = federation.ParseObjectRef(annotations[AnnotationObject]); err != nil {
		p.Digest = ""
	}
	if p.Expires, err = time.Parse(time.RFC3339, annotations[AnnotationExpires]); err != nil {
		p.Digest = ""
	}
	return p
}
