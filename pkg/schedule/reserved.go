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

// ReservedNamespace is the namespace in which fedsync stores the inventory, the claim and
// the objects that adoption overwrote. A repository that could write there could make
// fedsync delete objects that it does not own, or could read the stored objects.
const ReservedNamespace = "fedsync-system"

// The prefixes of the labels and annotations by which fedsync, and other tools that
// use ApplySets, find their own objects.
const (
	ownPrefix      = "fedsync.dev/"
	applySetPrefix = "applyset.kubernetes.io/"
)

// allowedApplySetLabels are the labels of the ApplySet specification that a repository
// may set: the app's own label overwrites the first, and the second marks kinds for
// kubectl.
var allowedApplySetLabels = []string{"applyset.kubernetes.io/part-of", "applyset.kubernetes.io/is-parent-type"}

// ReservesLabel reports whether fedsync recognizes its own objects by a label.
func ReservesLabel(key string) bool {
	return strings.HasPrefix(key, ownPrefix) || strings.HasPrefix(key, applySetPrefix) && !slices.Contains(allowedApplySetLabels, key)
}

// ReservesAnnotation reports whether fedsync recognizes its own objects by an annotation.
// The annotations that configure fedsync are not reserved.
func ReservesAnnotation(key string) bool {
	if strings.HasPrefix(key, ownPrefix) {
		return !federation.IsSetting(key)
	}
	return strings.HasPrefix(key, applySetPrefix) && !slices.Contains(allowedApplySetLabels, key)
}

// reserved returns why only fedsync may write an object, and the remedy; both are empty
// for other objects. No policy can allow a reserved object. The mark is the object's
// reserved label or annotation, if it has one.
func reserved(ref federation.ObjectRef, mark string) (reason, remedy untrusted.Text) {
	switch {
	case ref.Namespace == ReservedNamespace:
		return untrusted.Const("namespace " + ReservedNamespace + " is reserved for fedsync: a repository must not have objects in it"),
			untrusted.Const("remove the object from the repository, or move it to another namespace")
	case ref.Group == "" && ref.Kind == "Namespace" && ref.Name == ReservedNamespace:
		return untrusted.Const("namespace " + ReservedNamespace + " is reserved for fedsync: a repository must not change it"),
			untrusted.Const("remove the object from the repository: fedsync creates the namespace")
	case mark == "":
		return reason, remedy
	}
	remedy = untrusted.Const("remove it from the object")
	if strings.HasPrefix(mark, "annotation "+ownPrefix) {
		remedy = untrusted.Textf("%s; the annotations that configure fedsync are %s", remedy, strings.Join(federation.Settings(), ", "))
	}
	return untrusted.Textf("the %s is reserved for fedsync: it marks fedsync's own objects in a cluster", limit.Text(mark, limit.ValueBytes)), remedy
}

// marked holds the reserved labels and annotations in a bundle.
type marked struct {
	objects []*federation.Object
	marks   map[int]string // by the object's index; nil if no object has one
}

// reservedMarks returns the marks in a bundle. It reuses the previous result while the
// bundle is unchanged.
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

// reservedMark returns the first reserved label or annotation of an object, such as
// "label fedsync.dev/kept"; empty for none.
func reservedMark(o *federation.Object) string {
	// Few objects contain such a prefix, and only those are decoded.
	if !bytes.Contains(o.JSON, []byte(ownPrefix)) && !bytes.Contains(o.JSON, []byte(applySetPrefix)) {
		return ""
	}
	// Maps, since struct fields would match keys in any letter case.
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
