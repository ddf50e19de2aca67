package kustomize

import (
	"regexp"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// quoted matches what kustomize quotes from files in its errors. It may be a
// Secret's value, and errors reach the page, commits and support files. The names
// of files and fields are enough to find the mistake.
var quoted = []struct {
	pattern *regexp.Regexp
	instead string
}{
	// A whole patch or generator, as kustomize runs it.
	{regexp.MustCompile("(?s)(trouble configuring builtin \\w+)(?: with config: `.*`)"), "$1"},
	{regexp.MustCompile(`(?s)\[patch: "(?:[^"\\]|\\.)*"\]`), "[patch]"},
	{regexp.MustCompile(`(?s)(unable to parse SM or JSON patch from )\[.*\]`), "${1}the text"},
	{regexp.MustCompile(`(?s)decoding \[.*\]: .*`), "it is not a JSON patch"},
	// Kustomize takes a text that is not an object for the name of a file.
	{regexp.MustCompile(`"(?:[^"\\]|\\.)*(?:\\n|[:{])(?:[^"\\]|\\.)*" is not in the repository`), "the text of a patch is not an object"},
	{regexp.MustCompile(`(?s)literal sources \[.*\]: `), "literal sources: "},
	{regexp.MustCompile(`(?s)invalid literal source .*, expected key=value`), "invalid literal source, expected key=value"},
	{regexp.MustCompile(`(?s)missing (?:key name for file path|file path for key name) ".*" in source ".*"`), "a source lacks its key or its file"},
	{regexp.MustCompile(`(?s)source ".*" key name or file path contains '='`), "a source contains '=' twice"},
	// The invalid objects, nodes and values, at the end of the error.
	{regexp.MustCompile(`(?s):? node contents:.*`), ""},
	{regexp.MustCompile(`(?s):? (?:value: \{|for value |in object map\[).*`), ""},
	{regexp.MustCompile(`(?s)line (?:\[[\d ]*\]|\d+) has invalid utf8 bytes.*`), "a line is not UTF-8"},
	{regexp.MustCompile(`(?s)(is not a string):.*`), "$1"},
	{regexp.MustCompile(`(?s)(missing (?:kind|metadata\.name) in object) .*`), "$1"},
	{regexp.MustCompile(`(?s)conflict between .*`), "two patches conflict"},
	// Errors of the YAML and JSON parsers.
	{regexp.MustCompile("(?s)cannot unmarshal (!!\\w+) `.*?` into"), "cannot unmarshal $1 into"},
	{regexp.MustCompile(`cannot unmarshal number \S+ into`), "cannot unmarshal a number into"},
	{regexp.MustCompile(`unknown anchor '.*?' referenced`), "unknown anchor referenced"},
	{regexp.MustCompile(`(?s)strconv\.\w+: parsing ".*":`), "it is not a number:"},
}

// plainText returns an error's text as one line of bounded length, without quotes from
// files.
func plainText(err error) string {
	text := err.Error()
	for _, q := range quoted {
		text = q.pattern.ReplaceAllString(text, q.instead)
	}
	return untrusted.Line(text)
}
