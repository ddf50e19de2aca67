package kustomize

import (
	"regexp"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// What kustomize quotes of the files in its errors. It may be a Secret's value, and
// errors reach the page, commits and support files: they name files and fields,
// which is enough to find the rest.
var quoted = []struct {
	pattern *regexp.Regexp
	instead string
}{
	// The whole of a patch, or of a generator, as kustomize runs it.
	{regexp.MustCompile("(?s)(trouble configuring builtin \\w+)(?: with config: `.*`)"), "$1"},
	{regexp.MustCompile(`(?s)\[patch: "(?:[^"\\]|\\.)*"\]`), "[patch]"},
	{regexp.MustCompile(`(?s)(unable to parse SM or JSON patch from )\[.*\]`), "${1}the text"},
	{regexp.MustCompile(`(?s)decoding \[.*\]: .*`), "it is no JSON patch"},
	// It is taken for the name of a file where it is no object.
	{regexp.MustCompile(`"(?:[^"\\]|\\.)*(?:\\n|[:{])(?:[^"\\]|\\.)*" is not in the repository`), "the text of a patch is no object"},
	{regexp.MustCompile(`(?s)literal sources \[.*\]: `), "literal sources: "},
	{regexp.MustCompile(`(?s)invalid literal source .*, expected key=value`), "invalid literal source, expected key=value"},
	{regexp.MustCompile(`(?s)missing (?:key name for file path|file path for key name) ".*" in source ".*"`), "a source lacks its key or its file"},
	{regexp.MustCompile(`(?s)source ".*" key name or file path contains '='`), "a source contains '=' twice"},
	// The objects, nodes and values that something is wrong with, at the end.
	{regexp.MustCompile(`(?s):? node contents:.*`), ""},
	{regexp.MustCompile(`(?s):? (?:value: \{|for value |in object map\[).*`), ""},
	{regexp.MustCompile(`(?s)line (?:\[[\d ]*\]|\d+) has invalid utf8 bytes.*`), "a line is not UTF-8"},
	{regexp.MustCompile(`(?s)(is not a string):.*`), "$1"},
	{regexp.MustCompile(`(?s)(missing (?:kind|metadata\.name) in object) .*`), "$1"},
	{regexp.MustCompile(`(?s)conflict between .*`), "two patches conflict"},
	// The YAML and JSON parsers' words.
	{regexp.MustCompile("(?s)cannot unmarshal (!!\\w+) `.*?` into"), "cannot unmarshal $1 into"},
	{regexp.MustCompile(`cannot unmarshal number \S+ into`), "cannot unmarshal a number into"},
	{regexp.MustCompile(`unknown anchor '.*?' referenced`), "unknown anchor referenced"},
	{regexp.MustCompile(`(?s)strconv\.\w+: parsing ".*":`), "it is no number:"},
}

// plainText gives an error in one line of a bounded length, without what it quotes of
// the files.
func plainText(err error) string {
	text := err.Error()
	for _, q := range quoted {
		text = q.pattern.ReplaceAllString(text, q.instead)
	}
	return untrusted.Line(text)
}
