package inventory

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Labels and annotations of the ApplySet specification, KEP-3659.
const (
	LabelPartOf          = "applyset.kubernetes.io/part-of"
	LabelParentID        = "applyset.kubernetes.io/id"
	annotationTooling    = "applyset.kubernetes.io/tooling"
	annotationGroupKinds = "applyset.kubernetes.io/contains-group-kinds"
	annotationMoreSpaces = "applyset.kubernetes.io/additional-namespaces"
	toolingName          = "fedsync"
)

// Labels and annotations of our own.
const (
	// LabelFederation is on every parent, so that one list finds those of a federation.
	LabelFederation      = "fedsync.dev/federation"
	annotationFederation = "fedsync.dev/federation"
	annotationApp        = "fedsync.dev/app"
	annotationSource     = "fedsync.dev/source"
	annotationInstance   = "fedsync.dev/instance"
)

// ParentName is the name of the ConfigMap that heads an app's inventory.
func ParentName(federationName, app string) string {
	return "fedsync-" + federationName + "-" + app
}

// PartOf returns the value of the label applyset.kubernetes.io/part-of on every object
// of the app. It is the identity of the app's parent as the ApplySet specification
// computes it, applyset-base64(sha256(NAME.NAMESPACE.KIND.GROUP))-v1.
func PartOf(federationName, app string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{ParentName(federationName, app), federation.SystemNamespace, "ConfigMap", ""}, ".")))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

// ParentSelector selects the parents of one federation among the ConfigMaps of
// the namespace fedsync-system.
func ParentSelector(federationName string) string {
	return LabelFederation + "=" + FederationLabel(federationName)
}

// FederationLabel returns the value of LabelFederation: the federation's name if that
// is a valid label value, and a digest of it otherwise.
func FederationLabel(federationName string) string {
	if len(validation.IsValidLabelValue(federationName)) == 0 {
		return federationName
	}
	sum := sha256.Sum256([]byte(federationName))
	return hex.EncodeToString(sum[:16])
}
