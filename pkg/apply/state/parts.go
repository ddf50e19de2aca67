package state

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// App is what is known about one app: its part of the plan, and its inventory.
type App struct {
	Name   string
	Plan   federation.AppPlan // without its objects
	Named  bool               // the plan names it
	Has    inventory.Contents // what its inventory should list, see index
	Parent *write.Parent      // nil where it is not known to exist
	Flight *Flight
	Last   Try // of widening or narrowing the parent
}

// withholds reports whether an object has to be left unchanged.
func (a *App) withholds(ref federation.ObjectRef) bool {
	return slices.ContainsFunc(a.Plan.Withheld, func(w federation.Withheld) bool { return w.Object == ref })
}

// Kind is what is known about one kind.
type Kind struct {
	Version string // the one in the plan; empty for the preferred one
	Mapping *meta.RESTMapping
	// Watched is the mapping that was last known, even while another is asked for.
	// Without it the watch would stop for that time, and the objects would seem to be
	// gone.
	Watched *meta.RESTMapping
	Flight  *Flight
	Last    Try            // of asking for the mapping
	Asked   DefinitionMark // the definition at that time
	Doubted bool           // an answer contradicted the mapping
	Since   time.Time      // when the mapping was learned
	Hung    bool           // a request timed out, and none was answered since
}

// ask makes one of these versions the one that is asked for, unless one of them is
// already. The mapping stays if it is for one of them.
func (k *Kind) ask(versions []string) {
	switch {
	case slices.Contains(versions, k.Version):
	case k.Mapping != nil && slices.Contains(versions, k.Mapping.GroupVersionKind.Version):
		k.Version = k.Mapping.GroupVersionKind.Version
	default:
		k.Version, k.Mapping, k.Last = versions[0], nil, Try{}
	}
}

// IsGone reports whether the cluster is known not to serve the kind.
func (k *Kind) IsGone() bool {
	return k != nil && k.Mapping == nil && k.Last.Err != nil && meta.IsNoMatchError(k.Last.Err.Err)
}

// Listing is how much a watch has seen.
type Listing struct {
	Done  bool // its initial list has been observed, and it has not failed since
	Err   error
	Since time.Time // when waiting for it began again
}

// Space is what is known about one namespace.
type Space struct {
	Known       bool // from a watch or an answer
	Exists      bool
	Terminating bool
	Message     string // why it is not deleted yet, in its own words
	Mark        SpaceMark
	At          time.Time // when a request showed it
	Flight      *Flight
	Last        Try
}

// SpaceMark changes with what may affect objects in the namespace.
type SpaceMark struct {
	Uid         types.UID
	terminating bool
	Labels      uint64 // a digest
}

// Observe stores the state of a namespace.
func (s *Space) Observe(h ownership.Hasher, u *unstructured.Unstructured) {
	s.Known, s.Exists = true, true
	s.Terminating, s.Message = u.GetDeletionTimestamp() != nil, ""
	s.Mark = SpaceMark{Uid: u.GetUID(), terminating: s.Terminating, Labels: h.Labels(u.GetLabels())}
	if !s.Terminating {
		return
	}
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	var why []string
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["status"] == "True" {
			if text, _ := m["message"].(string); text != "" {
				why = append(why, text)
			}
		}
	}
	s.Message = strings.Join(why, "; ")
}

// Usable reports whether objects can be created in the namespace, as far as is known.
func (s *Space) Usable() bool { return !s.Known && s.Last.Err == nil || s.Exists && !s.Terminating }
