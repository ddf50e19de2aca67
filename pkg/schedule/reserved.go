package schedule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
)

// ReservedNamespace is where fedsync keeps the inventory, the claim and what
// adoption overwrote. A repository that could write there could make fedsync
// delete what it does not own, or take what was kept.
const ReservedNamespace = "fedsync-system"

// ReservedLabels are how fedsync finds the objects that it keeps in clusters.
var ReservedLabels = []string{"applyset.kubernetes.io/id", "fedsync.dev/federation", "fedsync.dev/kept"}

// reserved returns why an object is fedsync's own to write, and what to do; empty
// if it is not. No policy allows it. The label is one of the reserved, if the
// object has one.
func reserved(ref federation.ObjectRef, label string) (reason, remedy string) {
	switch {
	case ref.Namespace == ReservedNamespace:
		return "namespace " + ReservedNamespace + " is fedsync's own: a repository may put nothing there",
			"remove the object from the repository, or put it into another namespace"
	case ref.Group == "" && ref.Kind == "Namespace" && ref.Name == ReservedNamespace:
		return "namespace " + ReservedNamespace + " is fedsync's own: a repository may not change it",
			"remove the object from the repository: fedsync creates the namespace"
	case label != "":
		return fmt.Sprintf("the label %s is fedsync's own: it marks what fedsync keeps in a cluster", label),
			"remove the label from the object"
	}
	return "", ""
}

// labelled is what is known of the reserved labels in a bundle.
type labelled struct {
	objects []*federation.Object
	labels  map[int]string // by the object's index; nil where no object has one
}

// reservedLabels finds them in a bundle, once for as long as it stays the same.
func (l *library) reservedLabels(k key, objects []*federation.Object) labelled {
	if known := l.labels[k]; slices.Equal(known.objects, objects) {
		return known
	}
	found := labelled{objects: slices.Clone(objects)}
	for i, o := range objects {
		if label := reservedLabel(o); label != "" {
			if found.labels == nil {
				found.labels = map[int]string{}
			}
			found.labels[i] = label
		}
	}
	return found
}

func reservedLabel(o *federation.Object) string {
	// Few objects hold such a word anywhere, and only those are decoded.
	if !slices.ContainsFunc(ReservedLabels, func(label string) bool { return bytes.Contains(o.JSON, []byte(label)) }) {
		return ""
	}
	var content struct {
		Metadata struct {
			Labels map[string]any `json:"labels"`
		} `json:"metadata"`
	}
	if json.Unmarshal(o.JSON, &content) != nil {
		return "" // labels that are no map: the API server refuses them
	}
	for _, label := range ReservedLabels {
		if _, has := content.Metadata.Labels[label]; has {
			return label
		}
	}
	return ""
}
