package claim

import (
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Resource is what claims are, and Namespace where they are kept.
var Resource = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}

// Namespace holds the claims.
const Namespace = federation.SystemNamespace

// Name returns the name of the federation's Lease, the same in every cluster.
func Name(federation string) string { return "fedsync-claim-" + federation }

// FieldSelector returns the field selector of a watch of that Lease alone.
func FieldSelector(federation string) string { return "metadata.name=" + Name(federation) }

// Annotations of the Lease. All but the source are for people, and none is
// trusted when it is read.
const (
	annotationSource   = "fedsync.dev/source"
	annotationInstance = "fedsync.dev/instance"
	annotationHost     = "fedsync.dev/host"
	annotationPID      = "fedsync.dev/pid"
	annotationVersion  = "fedsync.dev/version"
)

// Kind says what a Sight shows.
type Kind int

// The kinds of sights.
const (
	Unseen  Kind = iota // the cluster has not answered yet
	Absent              // there is no Lease, or one without a holder
	Held                // the Lease names a holder
	Garbled             // the holder is not a token
)

// Sight is what a cluster shows of the claim.
type Sight struct {
	Kind    Kind
	Holder  Token
	Text    string // the holder as it stands there, shortened, where it is Garbled
	Source  string // what the holder follows; empty where the Lease does not say
	Who     string // the holder in the words of its annotations, for people
	Version string // the resourceVersion; empty where there is no Lease
}

// FromLease returns the sight of a Lease; nil is the absence of one. Nothing that
// stands in it can make it fail.
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
		s.Kind = Absent // nobody holds it: as good as deleted
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

// who returns what the annotations say of a holder.
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

// clean returns the text without what is not visible, and not longer than limit.
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
