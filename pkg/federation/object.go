package federation

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ObjectRef identifies one Kubernetes object within a cluster. The version of its
// API is not part of its identity.
type ObjectRef struct {
	Group     string `json:"group,omitempty" file:"group,implied" doc:"Its API group. The default is apps for a ReplicaSet, Deployment, StatefulSet or DaemonSet, and the core group otherwise."`
	Kind      string `json:"kind" file:"kind,required" doc:"Its kind, such as ReplicaSet."`
	Namespace string `json:"namespace,omitempty" file:"namespace" default:"default" doc:"Its namespace."`
	Name      string `json:"name" file:"name,required" doc:"Its name."`
}

// GatewayGroup is the API group of the Gateway API.
const GatewayGroup = "gateway.networking.k8s.io"

// IsIngress reports whether it is a Kubernetes Ingress, and not another API's kind of that
// name.
func (r ObjectRef) IsIngress() bool {
	return r.Kind == "Ingress" && (r.Group == "networking.k8s.io" || r.Group == "extensions")
}

// IsGateway reports whether it is a Gateway of the Gateway API.
func (r ObjectRef) IsGateway() bool { return r.Group == GatewayGroup && r.Kind == "Gateway" }

// IsRoute reports whether it is one of the routes of the Gateway API.
func (r ObjectRef) IsRoute() bool {
	if r.Group != GatewayGroup {
		return false
	}
	switch r.Kind {
	case "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute":
		return true
	}
	return false
}

// RefOf returns the reference of a live or rendered object.
func RefOf(u *unstructured.Unstructured) ObjectRef {
	gvk := u.GroupVersionKind()
	return ObjectRef{Group: gvk.Group, Kind: gvk.Kind, Namespace: u.GetNamespace(), Name: u.GetName()}
}

// String returns [GROUP/]KIND[/NAMESPACE]/NAME, such as "apps/ReplicaSet/web/nginx",
// "Service/default/nginx" or "Namespace/web". ParseObjectRef parses it.
func (r ObjectRef) String() string {
	parts := make([]string, 0, 4)
	if r.Group != "" {
		parts = append(parts, r.Group)
	}
	parts = append(parts, r.Kind)
	if r.Namespace != "" {
		parts = append(parts, r.Namespace)
	}
	return strings.Join(append(parts, r.Name), "/")
}

// GroupKind returns the group and the kind.
func (r ObjectRef) GroupKind() schema.GroupKind {
	return schema.GroupKind{Group: r.Group, Kind: r.Kind}
}

// Compare orders references by group, kind, namespace and name.
func (r ObjectRef) Compare(o ObjectRef) int {
	return cmp.Or(
		strings.Compare(r.Group, o.Group),
		strings.Compare(r.Kind, o.Kind),
		strings.Compare(r.Namespace, o.Namespace),
		strings.Compare(r.Name, o.Name),
	)
}

// ParseObjectRef parses what ObjectRef.String returns. A kind begins with a
// capital letter and a group does not, which distinguishes GROUP/KIND/NAME from
// KIND/NAMESPACE/NAME.
func ParseObjectRef(s string) (ObjectRef, error) {
	parts := strings.Split(s, "/")
	var r ObjectRef
	if !isKind(parts[0]) {
		r.Group, parts = parts[0], parts[1:]
		if r.Group == "" {
			return ObjectRef{}, badRef(s)
		}
	}
	switch len(parts) {
	case 2:
		r.Kind, r.Name = parts[0], parts[1]
	case 3:
		r.Kind, r.Namespace, r.Name = parts[0], parts[1], parts[2]
		if r.Namespace == "" {
			return ObjectRef{}, badRef(s)
		}
	default:
		return ObjectRef{}, badRef(s)
	}
	if !isKind(r.Kind) || r.Name == "" {
		return ObjectRef{}, badRef(s)
	}
	return r, nil
}

func badRef(s string) error {
	return fmt.Errorf("object reference %q: want [GROUP/]KIND[/NAMESPACE]/NAME, as in apps/ReplicaSet/web/nginx", s)
}

func isKind(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	return unicode.IsUpper(first)
}

// Object is one object as a cluster should run it, and the file it came from.
// Bundles of many clusters share an Object, so it must not be modified.
type Object struct {
	Ref     ObjectRef
	Version string // of the API: "v1" in networking.k8s.io/v1
	File    string // within the repository: "apps/nginx/service.yaml"
	JSON    []byte // the object, with sorted keys
	Digest  string // of JSON; equal digests are equal objects
}

// NewObject returns an Object with content that was read from file. It retains no
// reference to content.
func NewObject(content map[string]any, file string) (*Object, error) {
	u := unstructured.Unstructured{Object: content}
	data, err := json.Marshal(content) // sorts the keys of maps
	if err != nil {
		return nil, fmt.Errorf("%s: encode %s: %w", file, RefOf(&u), err)
	}
	sum := sha256.Sum256(data)
	return &Object{
		Ref:     RefOf(&u),
		Version: u.GroupVersionKind().Version,
		File:    file,
		JSON:    data,
		Digest:  hex.EncodeToString(sum[:16]),
	}, nil
}

// InNamespace returns the object in another namespace. It decodes the object only down
// to the fields of its metadata, since a rendering may call it for every object of every
// cluster.
func (o *Object) InNamespace(namespace string) (*Object, error) {
	var content, metadata map[string]json.RawMessage
	if err := json.Unmarshal(o.JSON, &content); err != nil {
		return nil, fmt.Errorf("decode %s: %w", o.Ref, err)
	}
	if err := json.Unmarshal(content["metadata"], &metadata); err != nil {
		return nil, fmt.Errorf("decode %s: metadata: %w", o.Ref, err)
	}
	var err error
	if metadata["namespace"], err = json.Marshal(namespace); err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.Ref, err)
	}
	if content["metadata"], err = json.Marshal(metadata); err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.Ref, err)
	}
	moved := *o
	if moved.JSON, err = json.Marshal(content); err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.Ref, err)
	}
	sum := sha256.Sum256(moved.JSON)
	moved.Digest = hex.EncodeToString(sum[:16])
	moved.Ref.Namespace = namespace
	return &moved, nil
}

// GVK returns the object's group, version and kind.
func (o *Object) GVK() schema.GroupVersionKind {
	return o.Ref.GroupKind().WithVersion(o.Version)
}

// Unstructured decodes the object. The caller may modify the result.
func (o *Object) Unstructured() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(o.JSON); err != nil {
		// NewObject encoded it, so this is a bug.
		panic(fmt.Sprintf("decode %s of %s: %v", o.Ref, o.File, err))
	}
	return u
}

// Bundle is the result of rendering one app for one cluster.
type Bundle struct {
	Cluster string
	App     string
	Objects []*Object // in rendering order, with unique references
	Err     error     // why it could not be rendered; Objects is meaningless then
}
