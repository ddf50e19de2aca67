package diagnose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// kubectl returns a shell command for the cluster. Its arguments come from clusters and
// from the repository, so each is quoted.
func (m *member) kubectl(format string, args ...string) string {
	return "kubectl --context=" + untrusted.Quote(m.context) + " " + untrusted.Command(format, args...)
}

// describe returns the command that describes an object.
func (m *member) describe(o federation.ObjectRef) string {
	kind := strings.ToLower(o.Kind)
	if o.Group != "" {
		kind += "." + o.Group
	}
	if o.Namespace == "" {
		return m.kubectl("describe %s %s", kind, o.Name)
	}
	return m.kubectl("-n %s describe %s %s", o.Namespace, kind, o.Name)
}

// table returns rows on one line.
func table(clusters map[string][]string) string { return strings.Join(rows(clusters), "; ") }

// rows returns each value and the clusters that have it, the rarest first: it is most
// likely the wrong one.
func rows(clusters map[string][]string) []string {
	rows := make([]string, 0, len(clusters))
	for _, value := range byRarity(clusters) {
		rows = append(rows, value+" in "+strings.Join(clusters[value], ", "))
	}
	return rows
}

// byRarity returns the values, those of the fewest clusters first.
func byRarity(clusters map[string][]string) []string {
	values := slices.Sorted(maps.Keys(clusters))
	slices.SortStableFunc(values, func(a, b string) int { return len(clusters[a]) - len(clusters[b]) })
	return values
}

// selectorText returns a selector in kubectl's syntax.
func selectorText(selector map[string]string) string {
	parts := make([]string, 0, len(selector))
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		parts = append(parts, key+"="+selector[key])
	}
	return strings.Join(parts, ",")
}

// port returns "80/TCP".
func port(number int32, protocol string) string { return fmt.Sprintf("%d/%s", number, protocol) }

// appendNew appends one to the list if it is not in it yet.
func appendNew[T comparable](list []T, one T) []T {
	if slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}
