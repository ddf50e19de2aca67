// Package limit holds the limits on the work that one revision of a repository
// may cause, and the texts for what a limit left out.
//
// A committer decides how much there is to read, compare and report. Each limit is
// far above what a federation of 1,000 clusters needs, and so low that work within
// it costs at most seconds and some hundred megabytes. The package does not know
// files or clusters: a reader takes its limit from here, and its message names the
// file, the cluster or the object.
package limit

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// The limits on reporting. More would not be read, and every mistake costs
// memory in the report, in its encodings and in each of its readers.
const (
	// Mistakes is how many mistakes are named in one file.
	Mistakes = 50
	// Findings is how many findings one report has.
	Findings = 1000
	// Gathered is how many findings are collected, for a report to select from.
	Gathered = 20 * Findings
	// MessageBytes is how long a message may be, and also a remedy.
	MessageBytes = 2000
	// ValueBytes is how much of a value is quoted in a message.
	ValueBytes = 300
	// Names is how many names are listed in a message before the rest is counted.
	Names = 10
)

// The limits on fedsync.yaml. What fedsync does on each change of a fact grows with
// the clusters and with the apps, and most of all with the pairs of both.
const (
	// Clusters is how many clusters a federation may have.
	Clusters = 5000
	// Apps is how many apps it may have.
	Apps = 5000
	// Placements is how many pairs of an app and a cluster that runs it may exist.
	Placements = 200_000
	// Comparisons is how many comparisons of requirements and values with clusters
	// the selectors of all apps may need: they are matched with each cluster in each
	// plan.
	Comparisons = 2_000_000
	// PathBytes is how long the path of a file or a folder may be: PATH_MAX on Linux.
	PathBytes = 4096
)

// The limits on what a revision renders. The rendering process also has a memory
// limit; the errors of these limits name the file.
const (
	// RevisionBytes is how many bytes of files may be read for one revision. A file with
	// several names counts once.
	RevisionBytes = 128 << 20
	// RevisionValues is how many bytes the values of all its files may take, with
	// aliases unfolded.
	RevisionValues = 1 << 30
	// ObjectBytes is how large one object may be as JSON: etcd's limit
	// (--max-request-bytes).
	ObjectBytes = 3 << 19
	// RenderedBytes is how many bytes all distinct objects may have.
	RenderedBytes = 64 << 20
	// Kustomized is how many objects kustomize may build or patch, which takes many times
	// as long as adding a label or an annotation.
	Kustomized = 40_000
	// Rendered is how many objects all clusters together may have.
	Rendered = 2_000_000
)

// The limits on selectors.
const (
	// Requirements is how many requirements a selector may have.
	Requirements = 100
	// SelectorValues is how many values all its requirements together may name.
	SelectorValues = 1000
	// AnnotationBytes is how long an annotation may be; an API server accepts no
	// more for all annotations of an object (TotalAnnotationSizeLimitB of
	// k8s.io/apimachinery).
	AnnotationBytes = 256 << 10
)

// The limits on node ports. A cluster cannot have more ports than there are
// port numbers.
const (
	// ServicePorts is how many ports one Service may have.
	ServicePorts = 1000
	// Ports is how many ports all Services of a federation together may have.
	Ports = 1 << 16
	// PortPlaces is how many pairs of a port and a cluster may exist.
	PortPlaces = 10_000_000
)

// Budget is an amount that several readers share. The nil Budget is unlimited.
// It is safe for concurrent use.
type Budget struct {
	limit int64
	spent atomic.Int64
}

// NewBudget returns a budget of a number of units.
func NewBudget(units int64) *Budget { return &Budget{limit: units} }

// Take takes units from the budget, and reports whether it had them. After the
// first failure every Take fails.
func (b *Budget) Take(units int64) bool {
	return b == nil || b.spent.Add(units) <= b.limit
}

// Limit returns how many units the budget had initially; 0 for the nil Budget.
func (b *Budget) Limit() int64 {
	if b == nil {
		return 0
	}
	return b.limit
}

// Spent returns how many units were requested.
func (b *Budget) Spent() int64 {
	if b == nil {
		return 0
	}
	return b.spent.Load()
}

// Number formats n with thousands separators: "599,950".
func Number[T ~int | ~int32 | ~int64](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

// More returns the last entry of a list that was cut: "and 599,950 more".
func More(n int) string { return "and " + Number(n) + " more" }

// Text shortens a text to no more than most bytes, and appends how many it left
// out.
func Text(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && end > most-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%s bytes more)", text[:end], Number(len(text)-end))
}

// Message shortens a message to MessageBytes.
func Message(text string) string { return Text(text, MessageBytes) }

// Quote returns a quoted value, shortened to ValueBytes.
func Quote(value string) string {
	if len(value) <= ValueBytes {
		return strconv.Quote(value)
	}
	end := ValueBytes
	for end > 0 && end > ValueBytes-utf8.UTFMax && !utf8.RuneStart(value[end]) {
		end--
	}
	return fmt.Sprintf("%q… (%s bytes more)", value[:end], Number(len(value)-end))
}

// List joins the first names, and counts the rest.
func List(names []string, separator string) string {
	if len(names) <= Names {
		return strings.Join(names, separator)
	}
	return strings.Join(names[:Names], separator) + separator + More(len(names)-Names)
}

// Annotation returns the error of an annotation that is longer than AnnotationBytes.
func Annotation(text string) error {
	return fmt.Errorf("it has %s bytes, more than the %s that an API server accepts for all annotations of an object",
		Number(len(text)), Number(AnnotationBytes))
}
