package growth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
)

// fileRows are what a YAML file may have many of.
var fileRows = []dimension{
	{"entries of a file", 20_000, file("", "- a\n", "")},
	{"numbers of a file", 20_000, file("", "- 12\n", "")},
	{"documents of a file", 5_000, file("", "---\na: b\n", "")},
	{"comments of a file", 20_000, file("", "# a\n\n", "a: b")},
	{"comments beside values", 10_000, file("", "- a # b\n", "")},
	{"mistakes of a file", 10_000, file("", "- .inf\n", "")},
	{"keys that appear twice", 10_000, file("", "a: b\n", "")},
	{"keys that are not strings", 10_000, file("", "? [a]\n: b\n", "")},
	{"aliases of a file", 10_000, file("- &a {b: c}\n", "- *a\n", "")},
	{"merges of a file", 5_000, file("- &a {b: c}\n", "- {<<: *a}\n", "")},
	{"letters of a value", 1 << 18, file("a: ", "b", "")},
	{"letters of a key", 1 << 18, file("? ", "b", "\n: c")},
	{"lines of a text", 50_000, file("a: |\n", "  b\n", "")},
	{"lines of a quoted text", 50_000, file("a: \"", "b\n  ", "\"")},
	{"depth of lists", 200, func(_ testing.TB, n int) func() {
		data := []byte(strings.Repeat(strings.Repeat("[", n)+strings.Repeat("]", n)+"\n---\n", 20))
		return func() { _, _ = strictyaml.Decode(data) }
	}},
	{"keys of a map", 10_000, counted("", func(i int) string { return fmt.Sprintf("k%d: v\n", i) })},
	{"anchors of a file", 10_000, counted("", func(i int) string { return fmt.Sprintf("- &a%d b\n- *a%d\n", i, i) })},
	{"lines asked for", 5_000, askedLines},
}

func file(head, unit, tail string) func(testing.TB, int) func() {
	return func(_ testing.TB, n int) func() {
		data := []byte(head + strings.Repeat(unit, n) + tail)
		return func() { _, _ = strictyaml.Decode(data) }
	}
}

func counted(head string, unit func(i int) string) func(testing.TB, int) func() {
	return func(_ testing.TB, n int) func() {
		data := []byte(text(head, n, unit, ""))
		return func() { _, _ = strictyaml.Decode(data) }
	}
}

// text returns a head, n units and a tail.
func text(head string, n int, unit func(i int) string, tail string) string {
	var b strings.Builder
	b.WriteString(head)
	for i := range n {
		b.WriteString(unit(i))
	}
	b.WriteString(tail)
	return b.String()
}

// askedLines looks up the line of each key of one map, as for a mistake in each.
func askedLines(t testing.TB, n int) func() {
	docs, err := strictyaml.Decode([]byte(text("", n, func(i int) string { return fmt.Sprintf("k%d: v\n", i) }, "")))
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		for i := range n {
			docs[0].Line(fmt.Sprintf("k%d", i))
		}
	}
}

// federationRows are what fedsync.yaml and a file of facts may have many of.
var federationRows = []dimension{
	{"clusters", 1_250, federationOf(func(n int) (string, string) {
		return text("", n, func(i int) string { return fmt.Sprintf("  - {name: c%d, labels: {a: b%d}}\n", i, i) }, ""), oneApp
	})},
	{"clusters of one name", 1_250, federationOf(func(n int) (string, string) {
		return strings.Repeat("  - {name: c}\n", n), oneApp
	})},
	{"apps", 1_250, federationOf(func(n int) (string, string) {
		return oneCluster, text("", n, func(i int) string { return fmt.Sprintf("  - {name: a%d, path: apps/a%d}\n", i, i) }, "")
	})},
	{"apps of one folder", 1_250, federationOf(func(n int) (string, string) {
		return oneCluster, text("", n, func(i int) string { return fmt.Sprintf("  - {name: a%d, path: apps}\n", i) }, "")
	})},
	{"apps in each other's folders", 500, federationOf(func(n int) (string, string) {
		return oneCluster, text("", n, func(i int) string {
			return fmt.Sprintf("  - {name: a%d, path: a/%d}\n  - {name: b%d, path: a/%d/b}\n", i, i, i, i)
		}, "")
	})},
	{"apps that are wrong", 1_250, federationOf(func(n int) (string, string) {
		return oneCluster, strings.Repeat("  - {nam: a, path: 1, prune: 2}\n", n)
	})},
	{"labels that are wrong", 2_500, federationOf(func(n int) (string, string) {
		return text("", n/10, func(i int) string {
			return fmt.Sprintf("  - {name: c%d, labels: {%s}}\n", i, text("", 10, func(j int) string { return fmt.Sprintf("-%d: -, ", j) }, ""))
		}, ""), oneApp
	})},
	{"labels too many", 10_000, federationOf(func(n int) (string, string) {
		return "  - {name: c, labels: {" + text("", n, func(i int) string { return fmt.Sprintf("-%d: -, ", i) }, "") + "}}\n", oneApp
	})},
	{"requirements of selectors", 500, federationOf(func(n int) (string, string) {
		return oneCluster, text("", n, func(i int) string {
			return fmt.Sprintf("  - {name: a%d, path: a%d, clusterSelector: {matchLabels: {a: b, c: d, e: f}}}\n", i, i)
		}, "")
	})},
	{"clusters confirmed as lost", 1_000, func(_ testing.TB, n int) func() {
		data := []byte(federationText(oneCluster, oneApp) + "  failover: {confirmLost: [" + text("", n, func(i int) string { return fmt.Sprintf("c%d, ", i+1) }, "") + "]}\n")
		return func() { _, _ = fedfile.Parse("", data) }
	}},
	{"unknown fields", 250, func(_ testing.TB, n int) func() {
		data := []byte(federationText(oneCluster, oneApp) + text("", n, func(i int) string { return fmt.Sprintf("  x%d: y\n", i) }, ""))
		return func() { _, _ = fedfile.Parse("", data) }
	}},
	{"facts", 1_250, func(_ testing.TB, n int) func() {
		data := []byte("apiVersion: fedsync.dev/v1alpha1\nkind: Facts\nclusters:\n" + text("", n, func(i int) string {
			return fmt.Sprintf("- {name: c%d, nodePorts: [{port: 30000, service: a}], nodes: [{name: n}]}\n", i)
		}, ""))
		return func() { _, _ = fedfile.ParseFacts(data) }
	}},
	{"findings", 10_000, func(_ testing.TB, n int) func() {
		all := make([]federation.Finding, n)
		for i := range all {
			all[i] = federation.Finding{ID: "render", Severity: federation.SeverityError, App: fmt.Sprint(i % 100), Line: i, Message: untrusted.New("wrong")}
		}
		return func() { federation.ShortFindings(all) }
	}},
}

const (
	oneCluster = "  - {name: c0}\n"
	oneApp     = "  - {name: a, path: a}\n"
)

func federationText(clusters, apps string) string {
	return "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec:\n  clusters:\n" + clusters + "  apps:\n" + apps
}

func federationOf(parts func(n int) (clusters, apps string)) func(testing.TB, int) func() {
	return func(_ testing.TB, n int) func() {
		data := []byte(federationText(parts(n)))
		return func() { _, _ = fedfile.Parse("", data) }
	}
}
