package apply

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Namespace holds what fedsync keeps in a cluster: the inventory's parents and
// the objects that adoption overwrote.
const Namespace = federation.SystemNamespace

// The kinds that the package itself reads and writes.
var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	services   = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

	secretKind     = schema.GroupKind{Kind: "Secret"}
	serviceKind    = schema.GroupKind{Kind: "Service"}
	namespaceKind  = schema.GroupKind{Kind: "Namespace"}
	jobKind        = schema.GroupKind{Group: "batch", Kind: "Job"}
	definitionKind = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}
)
