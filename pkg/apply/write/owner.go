package write

import (
	"cmp"
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/federation"
)

// JudgeOwner reports whether a live object is ours. It returns an error if the object
// must not be touched. An object is ours by our label. Without it, or with another
// set's, it is ours only if it is the very object that we applied before.
func (wr *Writer) JudgeOwner(ctx context.Context, k Known, live *unstructured.Unstructured, v object.Live) (bool, error) {
	if c := metav1.GetControllerOfNoCopy(live); c != nil {
		return false, &refusal.Error{
			Verb: "adopt", Object: k.Object.Ref, File: k.Object.File, Class: refusal.ClassOwned,
			Err:    fmt.Errorf("it exists, and its controller is %s %s", c.Kind, c.Name),
			Remedy: "rename it in Git, or delete its controller",
		}
	}
	switch {
	case k.Sets[v.PartOf], v.Owned && k.Base != "" && k.Base == live.GetUID():
		return true, nil
	case v.PartOf != "":
		parent, former := wr.nameParent(ctx, v.PartOf)
		if parent == "" && v.Owned {
			return true, nil // it was ours, in an app that no longer exists
		}
		if !v.Owned {
			former = ""
		}
		return false, &refusal.Error{
			Verb: "adopt", Object: k.Object.Ref, File: k.Object.File, Class: refusal.ClassOwned, Former: former,
			Err:    fmt.Errorf("it belongs to another ApplySet, %s", cmp.Or(parent, v.PartOf)),
			Remedy: fmt.Sprintf("remove its label %s to take it out of that set", inventory.LabelPartOf),
		}
	}
	// With our entry, and without our label, its adoption is not finished. Where
	// nothing is adopted, the label was removed by another client.
	return v.Owned && k.Adoption == federation.AdoptNever, nil
}

// nameParent finds the parent of an ApplySet; empty if there is none. If the parent is
// of a name that the federation may have had before, former is that name.
func (wr *Writer) nameParent(ctx context.Context, id string) (parent, former string) {
	for _, gvr := range []schema.GroupVersionResource{object.ConfigMaps, object.Secrets} {
		o := metav1.ListOptions{LabelSelector: inventory.LabelParentID + "=" + id, Limit: 1}
		err := wr.Each(ctx, wr.Dynamic.Resource(gvr), o, func(u *unstructured.Unstructured) (more bool) {
			parent = federation.RefOf(u).String()
			if name, source := inventory.FederationOf(u); name != "" && name != wr.Federation && wr.FollowsAs != nil && wr.FollowsAs(name, source) {
				former = name
			}
			return false
		})
		switch {
		case err != nil:
			return id, "" // it may exist
		case parent != "":
			return parent, former
		}
	}
	return "", ""
}
