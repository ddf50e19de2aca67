package claim

import (
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Resource is the resource of claims.
var Resource = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}

// Namespace holds the claims.
const Namespace = federation.SystemNamespace

// Name returns the name of the federation's Lease, the same in every cluster.
func Name(federation string) string { return "fedsync-claim-" + federation }

// FieldSelector returns the field selector of a watch of that Lease alone.
func FieldSelector(federation string) string { return "metadata.name=" + Name(federation) }

// Annotations of the Lease. All but the source are for users, and none is trusted when
// it is read.
const (
	annotationSource   = "fedsync.dev/source"
	annotationInstance = "fedsync.dev/instance"
	annotationHost     = "fedsync.dev/host"
	annotationPID      = "fedsync.dev/pid"
	annotationVersion  = "fedsync.dev/version"
)

// Kind is what a Sight shows.
type Kind int

// The kinds of sights.
const (
	Unseen  Kind = iota // the cluster has not answered yet
	Absent              // there is no Lease, or one without a holder
	Held                // the Lease names a holder
	Garbled             // the holder is not a token
)

// Sight is the claim as a cluster shows it.
type Sight struct {
	Kind    Kind
	Holder  Token
	Text    string // the holder in the Lease, shortened, if it is Garbled
	Source  string // what the holder follows; empty if the Lease has none
	Who     string // the holder's description from the annotations, for users
	Version string // the resourceVersion; empty where there is no Lease
}

// FromLease returns the sight of a Lease; nil stands for a missing one. No content of
// the Lease makes it fail.
func FromLease(lease *unstructured.Unstructured) Sight {
	if lease == nil {
		return Sight{Kind: Absent}
	}
	s := Sight{
		Source:  lease.GetAnnotations()[annotationSource],
		Who:     who(lease.GetAnnotations()),
		Version: lease.GetResourceVersion(),
	}
	spec, _ := lease.Object["spec"].(map[string]any)
	value, found := spec["holderIdentity"]
	text, isText := value.(string)
	if !found || value == nil || isText && text == "" {
		s.Kind = Absent // without a holder it counts as deleted
		return s
	}
	holder, err := Parse(text)
	if err != nil {
		s.Kind, s.Text = Garbled, clean(text, 80)
		return s
	}
	s.Kind, s.Holder = Held, holder
	return s
}

// who returns the annotations' description of a holder.
func who(annotations map[string]string) string {
	var parts []string
	for _, p := range []struct{ name, annotation string }{
		{"instance", annotationInstance}, {"host", annotationHost}, {"pid", annotationPID}, {"version", annotationVersion},
	} {
		if text := clean(annotations[p.annotation], 64); text != "" {
			parts = append(parts, p.name+" "+text)
		}
	}
	return strings.Join(parts, ", ")
}

// clean returns the text without invisible characters, and shortened to limit.
func clean(text string, limit int) string {
	var b strings.Builder
	runes := 0
	for _, r := range text {
		if !unicode.IsGraphic(r) || r == unicode.ReplacementChar {
			continue
		}
		if runes++; runes > limit {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
