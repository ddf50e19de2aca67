package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Labels and annotations of what adoption overwrote. The Secret that keeps an object
// has LabelKept; its ConfigMap in the inventory has LabelProves, so that a list of
// parents does not have it.
const (
	LabelKept         = "fedsync.dev/kept"
	LabelProves       = "fedsync.dev/proves"
	AnnotationObject  = "fedsync.dev/object"
	AnnotationExpires = "fedsync.dev/expires"
)

// proofDigest is where a proof has the digest.
const proofDigest = "digest"

// Proof says of a kept object that fedsync kept it: a ConfigMap of the inventory, with
// the name of the Secret that it is about. There is one for each, since the
// annotations of one object hold 256 KiB in all and an app may have any number of
// objects; and it is no part of the app's parent, since it outlives that.
type Proof struct {
	Federation string
	Secret     string
	Object     federation.ObjectRef
	Digest     string // of the object, by KeptDigest
	Expires    time.Time
}

// KeptDigest identifies the content of a kept object, which is its JSON.
func KeptDigest(ref federation.ObjectRef, content []byte) string {
	sum := sha256.Sum256(append([]byte(ref.String()+"\x00"), content...))
	return hex.EncodeToString(sum[:])
}

// ProofSelector selects the proofs of one federation among the ConfigMaps of the
// namespace fedsync-system.
func ProofSelector(federationName string) string {
	return LabelProves + "=" + FederationLabel(federationName)
}

// ConfigMap returns the object that says all this.
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

// Extend returns a JSON merge patch that has the proof, and what it proves, expire later.
func (p Proof) Extend(until time.Time) ([]byte, error) {
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{AnnotationExpires: until.UTC().Format(time.RFC3339)},
	}})
}

// ReadProof returns what a proof says. One that cannot be read proves nothing: its
// digest is that of no object, and it has no time to expire.
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
