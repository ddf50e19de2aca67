package object

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds that fedsync itself reads and writes, or treats specially.
var (
	ConfigMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	Services   = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	Secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	Namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

	secretKind     = schema.GroupKind{Kind: "Secret"}
	ServiceKind    = schema.GroupKind{Kind: "Service"}
	NamespaceKind  = schema.GroupKind{Kind: "Namespace"}
	JobKind        = schema.GroupKind{Group: "batch", Kind: "Job"}
	DefinitionKind = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}
)
