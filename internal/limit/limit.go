// Package limit holds the limits on what one revision of a repository may ask
// of this process, in one place, and says in one way what a limit left out.
//
// A committer decides how much there is to read, to compare and to report. Each
// limit is far above what a federation of 1,000 clusters needs, and low enough
// that what passes them costs seconds and some hundred megabytes at most. The
// package knows nothing of files or clusters: who reads something takes the limit
// from here, and names it with the file, the cluster or the object in its message.
package limit

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// The limits on what is told. Nobody reads more, and every mistake costs memory
// in the report, in its encodings and in each of its readers.
const (
	// Mistakes is how many mistakes are named in one file.
	Mistakes = 50
	// Findings is how many findings one report has.
	Findings = 1000
	// Gathered is how many findings are kept at all, for a report to choose from.
	Gathered = 20 * Findings
	// MessageBytes is how long a message may be, and MessageBytes of a remedy too.
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
	// Placements is how many pairs of an app and a cluster that runs it there may be.
	Placements = 200_000
	// Comparisons is how many requirements and values the selectors of all apps may
	// hold up against the clusters: they are matched with each cluster in each plan.
	Comparisons = 2_000_000
	// PathBytes is how long the path of a file or a folder may be: PATH_MAX on Linux.
	PathBytes = 4096
)

// The limits on what a revision renders. The process that renders has a limit of
// memory besides; these have a reason that names the file.
const (
	// RevisionBytes is how many bytes of files may be read for one revision. A file that
	// stands under several names counts once.
	RevisionBytes = 128 << 20
	// RevisionValues is how many bytes the values of all its files may take, with what
	// aliases stand for.
	RevisionValues = 1 << 30
	// ObjectBytes is how large one object may be as JSON: what etcd takes (its
	// --max-request-bytes).
	ObjectBytes = 3 << 19
	// RenderedBytes is how many bytes all objects may have that differ.
	RenderedBytes = 64 << 20
	// Kustomized is how many objects kustomize may build or patch, which takes many times
	// as long as to put a label or an annotation into one.
	Kustomized = 40_000
	// Rendered is how many objects all clusters may be given in all.
	Rendered = 2_000_000
)

// The limits on selectors.
const (
	// Requirements is how many requirements a selector may have.
	Requirements = 100
	// SelectorValues is how many values its requirements may name in all.
	SelectorValues = 1000
	// AnnotationBytes is how long an annotation may be; an API server takes no more
	// for all of an object's (TotalAnnotationSizeLimitB of k8s.io/apimachinery).
	AnnotationBytes = 256 << 10
)

// The limits on node ports. A cluster has no more ports than there are numbers.
const (
	// ServicePorts is how many ports one Service may have.
	ServicePorts = 1000
	// Ports is how many ports the Services of a federation may have in all.
	Ports = 1 << 16
	// PortPlaces is how many pairs of a port and a cluster there may be.
	PortPlaces = 10_000_000
)

// Budget is an amount that several readers draw from. The nil Budget has no end.
// It is safe for concurrent use.
type Budget struct {
	limit int64
	spent atomic.Int64
}

// NewBudget returns a budget of so many units.
func NewBudget(units int64) *Budget { return &Budget{limit: units} }

// Take draws units from the budget, and reports whether it had them. Once it had
// not, it has none for anybody.
func (b *Budget) Take(units int64) bool {
	return b == nil || b.spent.Add(units) <= b.limit
}

// Limit returns how many units the budget had at first; 0 for the nil Budget.
func (b *Budget) Limit() int64 {
	if b == nil {
		return 0
	}
	return b.limit
}

// Spent returns how many units were asked for.
func (b *Budget) Spent() int64 {
	if b == nil {
		return 0
	}
	return b.spent.Load()
}

// Number writes n as people read it: "599,950".
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

// More is the last entry of a list that was cut: "and 599,950 more".
func More(n int) string { return "and " + Number(n) + " more" }

// Text shortens text to at most so many bytes and says how many it left out.
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

// Quote quotes a value and shortens it to ValueBytes.
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
	return fmt.Errorf("it has %s bytes; an API server takes at most %s for all annotations of an object",
		Number(len(text)), Number(AnnotationBytes))
}
