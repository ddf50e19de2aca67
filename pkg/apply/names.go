package apply

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Namespace holds what fedsync keeps in a cluster: the inventory's parents and
// the objects that adoption overwrote.
const Namespace = "fedsync-system"

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
	// LabelFederation is on every parent, so that a federation's are found by
	// one list.
	LabelFederation      = "fedsync.dev/federation"
	annotationFederation = "fedsync.dev/federation"
	annotationApp        = "fedsync.dev/app"
	annotationSource     = "fedsync.dev/source"
	annotationInstance   = "fedsync.dev/instance"
	// annotationCreated is on a namespace that fedsync made because objects
	// needed it.
	annotationCreated = "fedsync.dev/created-by"
	// labelKept is on every Secret that keeps an object as it was before it was
	// adopted.
	labelKept         = "fedsync.dev/kept"
	annotationObject  = "fedsync.dev/object"
	annotationExpires = "fedsync.dev/expires"
)

// The kinds that the package itself reads and writes.
var (
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	secrets     = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

	secretKind     = schema.GroupKind{Kind: "Secret"}
	serviceKind    = schema.GroupKind{Kind: "Service"}
	namespaceKind  = schema.GroupKind{Kind: "Namespace"}
	definitionKind = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}
)

// ParentName is the name of the ConfigMap that heads an app's inventory.
func ParentName(federation, app string) string {
	return "fedsync-" + federation + "-" + app
}

// PartOf is the value that the label applyset.kubernetes.io/part-of has on every
// object of the app: the identity of the app's parent as the ApplySet
// specification computes it, applyset-base64(sha256(NAME.NAMESPACE.KIND.GROUP))-v1.
func PartOf(federation, app string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{ParentName(federation, app), Namespace, "ConfigMap", ""}, ".")))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

// ParentSelector selects the parents of one federation among the ConfigMaps of
// the namespace fedsync-system.
func ParentSelector(federation string) string {
	return LabelFederation + "=" + federationLabel(federation)
}

// federationLabel is the federation's name where it can be a label's value, and
// a digest of it where it cannot.
func federationLabel(federation string) string {
	if len(validation.IsValidLabelValue(federation)) == 0 {
		return federation
	}
	sum := sha256.Sum256([]byte(federation))
	return hex.EncodeToString(sum[:16])
}

// groupKindName writes a kind as the ApplySet specification does: KIND.GROUP.
func groupKindName(gk schema.GroupKind) string {
	if gk.Group == "" {
		return gk.Kind
	}
	return gk.Kind + "." + gk.Group
}
