package diagnose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/fedsync/fedsync/pkg/federation"
)

// kubectl is a command against the cluster, for a shell. What it names comes from
// clusters and from the repository, so each argument is quoted.
func (m *member) kubectl(format string, args ...string) string {
	safe := make([]any, len(args))
	for i, arg := range args {
		safe[i] = quoted(arg)
	}
	return "kubectl --context=" + quoted(m.context) + " " + fmt.Sprintf(format, safe...)
}

// quoted gives one word for a shell: as it is where it holds nothing that a shell
// reads, else in single quotes.
func quoted(word string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=,@-"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// describe is the command that shows what an object is up to.
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

// table gives each value and the clusters that have it, the rarest first: that is
// the one to look at.
func table(clusters map[string][]string) string {
	rows := make([]string, 0, len(clusters))
	for _, value := range byRarity(clusters) {
		rows = append(rows, value+" in "+strings.Join(clusters[value], ", "))
	}
	return strings.Join(rows, "; ")
}

// byRarity gives the values, those of the fewest clusters first.
func byRarity(clusters map[string][]string) []string {
	values := slices.Sorted(maps.Keys(clusters))
	slices.SortStableFunc(values, func(a, b string) int { return len(clusters[a]) - len(clusters[b]) })
	return values
}

// line makes one short line of what a cluster says.
func line(s string) string {
	const most = 300
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most-1]) + "…"
	}
	return s
}

// selectorText gives a selector as kubectl takes it.
func selectorText(selector map[string]string) string {
	parts := make([]string, 0, len(selector))
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		parts = append(parts, key+"="+selector[key])
	}
	return strings.Join(parts, ",")
}

// port gives "80/TCP".
func port(number int32, protocol string) string { return fmt.Sprintf("%d/%s", number, protocol) }

// once appends what is not there yet.
func once[T comparable](list []T, one T) []T {
	if slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}
