package object

import (
	"encoding/base64"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Desired is one object that the cluster should run.
type Desired struct {
	App      string
	PartOf   string
	Adoption federation.Adoption
	Object   *federation.Object
	Ref      federation.ObjectRef // with the namespace that the cluster uses

	// Caches of NodePorts and Wish.
	ports     []Port
	portsRead bool
	wish      string
}

// Wish identifies the request: equal strings are equal requests.
func (d *Desired) Wish() string {
	if d.wish == "" {
		d.wish = d.Object.Digest + "/" + d.PartOf
	}
	return d.wish
}

// Unstructured returns the object to send: the rendered object with the label of its
// inventory, without the fields that only an API server may set. A Secret's stringData
// is converted to data, since a field that is never read back can be neither compared
// nor removed.
func (d *Desired) Unstructured() *unstructured.Unstructured {
	u := d.Object.Unstructured()
	u.SetNamespace(d.Ref.Namespace)
	if metadata, ok := u.Object["metadata"].(map[string]any); ok {
		// Not by SetLabels: it would drop labels that are not strings, and with them
		// the API server's error.
		labels, ok := metadata["labels"].(map[string]any)
		if !ok && metadata["labels"] == nil {
			labels = map[string]any{}
			metadata["labels"] = labels
		}
		if labels != nil {
			labels[inventory.LabelPartOf] = d.PartOf
		}
	}
	for _, name := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"} {
		unstructured.RemoveNestedField(u.Object, "metadata", name)
	}
	if d.Ref.GroupKind() == secretKind {
		joinStringData(u.Object)
	}
	return u
}

func joinStringData(object map[string]any) {
	text, ok := object["stringData"].(map[string]any)
	if !ok {
		return
	}
	data, ok := object["data"].(map[string]any)
	if !ok {
		if object["data"] != nil {
			return // not a map: the API server reports that
		}
		data = map[string]any{}
	}
	for name, v := range text {
		s, ok := v.(string)
		if !ok {
			return
		}
		data[name] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	object["data"] = data
	delete(object, "stringData")
}

// NodePorts returns the node ports that the Service asks for.
func (d *Desired) NodePorts() []Port {
	if d.Ref.GroupKind() != ServiceKind {
		return nil
	}
	if !d.portsRead {
		d.ports, d.portsRead = Ports(d.Unstructured()), true
	}
	return d.ports
}

// ReplicasPath is the field that autoscalers write.
var ReplicasPath = fieldpath.MakePathOrDie("spec", "replicas")

// LeavesReplicas reports whether the object has replicas and leaves them to another
// controller.
func (d *Desired) LeavesReplicas() bool {
	if d.Ref.Group != "apps" {
		return false
	}
	switch d.Ref.Kind {
	case "Deployment", "ReplicaSet", "StatefulSet":
	default:
		return false
	}
	_, found, _ := unstructured.NestedFieldNoCopy(d.Object.Unstructured().Object, "spec", "replicas")
	return !found
}
