package schedule

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// ReservedNamespace is where fedsync keeps the inventory, the claim and what
// adoption overwrote. A repository that could write there could make fedsync
// delete what it does not own, or take what was kept.
const ReservedNamespace = "fedsync-system"

// The prefixes of the labels and annotations by which fedsync, and other tools that
// keep ApplySets, find what is theirs.
const (
	ownPrefix      = "fedsync.dev/"
	applySetPrefix = "applyset.kubernetes.io/"
)

// foreignToUs are the labels of the ApplySet specification that a repository may set:
// the first is overwritten by the app's own, and the second marks kinds for kubectl.
var foreignToUs = []string{"applyset.kubernetes.io/part-of", "applyset.kubernetes.io/is-parent-type"}

// ReservesLabel reports whether a label is one by which fedsync knows what it keeps.
func ReservesLabel(key string) bool {
	return strings.HasPrefix(key, ownPrefix) || strings.HasPrefix(key, applySetPrefix) && !slices.Contains(foreignToUs, key)
}

// ReservesAnnotation reports whether an annotation is one by which fedsync knows what
// it keeps. Those by which people tell it what to do are not.
func ReservesAnnotation(key string) bool {
	if strings.HasPrefix(key, ownPrefix) {
		return !federation.IsSetting(key)
	}
	return strings.HasPrefix(key, applySetPrefix) && !slices.Contains(foreignToUs, key)
}

// reserved returns why an object is fedsync's own to write, and what to do; empty
// if it is not. No policy allows it. The mark is a label or an annotation that is
// reserved, if the object has one.
func reserved(ref federation.ObjectRef, mark string) (reason, remedy untrusted.Text) {
	switch {
	case ref.Namespace == ReservedNamespace:
		return untrusted.Const("namespace " + ReservedNamespace + " is fedsync's own: a repository may put nothing there"),
			untrusted.Const("remove the object from the repository, or put it into another namespace")
	case ref.Group == "" && ref.Kind == "Namespace" && ref.Name == ReservedNamespace:
		return untrusted.Const("namespace " + ReservedNamespace + " is fedsync's own: a repository may not change it"),
			untrusted.Const("remove the object from the repository: fedsync creates the namespace")
	case mark == "":
		return reason, remedy
	}
	remedy = untrusted.Const("remove it from the object")
	if strings.HasPrefix(mark, "annotation "+ownPrefix) {
		remedy = untrusted.Textf("%s; the annotations that tell fedsync what to do are %s", remedy, strings.Join(federation.Settings(), ", "))
	}
	return untrusted.Textf("the %s is fedsync's own: it marks what fedsync keeps in a cluster", limit.Text(mark, limit.ValueBytes)), remedy
}

// marked is what is known of the reserved labels and annotations in a bundle.
type marked struct {
	objects []*federation.Object
	marks   map[int]string // by the object's index; nil where no object has one
}

// reservedMarks finds them in a bundle, once for as long as it stays the same.
func (l *library) reservedMarks(k key, objects []*federation.Object) marked {
	if known := l.marks[k]; slices.Equal(known.objects, objects) {
		return known
	}
	found := marked{objects: slices.Clone(objects)}
	for i, o := range objects {
		if mark := reservedMark(o); mark != "" {
			if found.marks == nil {
				found.marks = map[int]string{}
			}
			found.marks[i] = mark
		}
	}
	return found
}

// reservedMark returns the first reserved label or annotation of an object, as
// "label fedsync.dev/kept"; empty for none.
func reservedMark(o *federation.Object) string {
	// Few objects hold such a word anywhere, and only those are decoded.
	if !bytes.Contains(o.JSON, []byte(ownPrefix)) && !bytes.Contains(o.JSON, []byte(applySetPrefix)) {
		return ""
	}
	// Maps, since fields of a struct would be found in any case.
	var content map[string]any
	if json.Unmarshal(o.JSON, &content) != nil {
		return ""
	}
	metadata, _ := content["metadata"].(map[string]any)
	labels, _ := metadata["labels"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if ReservesLabel(key) {
			return "label " + key
		}
	}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if ReservesAnnotation(key) {
			return "annotation " + key
		}
	}
	return ""
}
