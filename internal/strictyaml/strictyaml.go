// Package strictyaml reads YAML and JSON as Kubernetes means them, and knows
// the line of everything it read.
//
// Bytes come in, documents go out: plain values (maps with string keys, slices,
// strings, booleans, int64, float64 and nil) and the nodes they came from. What
// a lenient reader would swallow is a Problem here: a key that stands twice, a
// key that is no string, an alias that unfolds without end. The files of a
// repository are read by pkg/federation and pkg/render through it, so that both
// say the same of the same mistake. A problem never quotes a value, which may be a
// secret: the line says where it stands.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds how many values a file may unfold to. An alias costs what it
// stands for, so a file of a few lines cannot fill the memory.
const maxNodes = 1_000_000

// Document is one document of a file that is not empty.
type Document struct {
	Value any
	Root  *yaml.Node
}

// Problem is one mistake and its line, which is 0 where none is known.
type Problem struct {
	Line    int
	Message string
}

// Error gives "line 12: key "name" stands twice".
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.Message
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Message)
}

// Problems are all mistakes of a file, in its order.
type Problems []Problem

// Error gives one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Decode reads every document of data; empty ones are left out. The error is of
// type Problems, and the documents before the first syntax error are returned
// beside it.
func Decode(data []byte) ([]Document, error) {
	var (
		docs  []Document
		found Problems
	)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	left := maxNodes
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			found = append(found, syntaxProblem(err))
			break
		}
		if len(root.Content) == 0 {
			continue
		}
		r := reader{left: left}
		value := r.value(root.Content[0])
		left = r.left
		found = append(found, r.found...)
		if value != nil {
			docs = append(docs, Document{Value: value, Root: root.Content[0]})
		}
	}
	if len(found) > 0 {
		return docs, found
	}
	return docs, nil
}

// Line gives the line of the value at path, whose elements are keys and indices
// in decimal, or of the nearest value above it that exists.
func (d Document) Line(path ...string) int {
	n := d.Root
	line := n.Line
	for _, step := range path {
		n = resolve(n)
		key, child := childOf(n, step)
		if child == nil {
			return line
		}
		// A key's line is where a reader looks: a block begins one line below.
		line = child.Line
		if key != nil {
			line = key.Line
		}
		n = child
	}
	return line
}

// childOf gives the value under a key or an index, and the key.
func childOf(n *yaml.Node, step string) (key, child *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return nil, n.Content[i]
		}
	case yaml.ScalarNode, yaml.AliasNode, yaml.DocumentNode:
	}
	return nil, nil
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// A reader turns the nodes of one document into values.
type reader struct {
	left  int // values that may still be read
	depth int
	found Problems
}

// maxDepth bounds how deep values may nest; an API server refuses far less.
const maxDepth = 1000

func (r *reader) value(n *yaml.Node) any {
	r.left--
	if r.left < 0 {
		if r.left == -1 {
			r.problem(n, "the file unfolds to more than %d values: use fewer aliases", maxNodes)
		}
		return nil
	}
	if r.depth++; r.depth > maxDepth {
		r.depth--
		r.left = -1
		r.problem(n, "values nest deeper than %d, or an alias contains itself", maxDepth)
		return nil
	}
	defer func() { r.depth-- }()

	switch n.Kind {
	case yaml.AliasNode:
		return r.value(n.Alias)
	case yaml.MappingNode:
		return r.mapping(n)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			list = append(list, r.value(item))
		}
		return list
	case yaml.ScalarNode:
		return r.scalar(n)
	case yaml.DocumentNode:
		if len(n.Content) == 1 {
			return r.value(n.Content[0])
		}
	}
	return nil
}

func (r *reader) mapping(n *yaml.Node) map[string]any {
	m := make(map[string]any, len(n.Content)/2)
	first := make(map[string]int, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null" {
			r.problem(n.Content[i], "a key must be a string")
			continue
		}
		if key.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		if line, twice := first[key.Value]; twice {
			r.problem(n.Content[i], "key %q stands twice, first on line %d", key.Value, line)
			continue
		}
		first[key.Value] = n.Content[i].Line
		m[key.Value] = r.value(value)
	}
	for _, node := range merged {
		r.merge(m, node)
	}
	return m
}

// merge adds what "<<" names to m; what m says itself wins.
func (r *reader) merge(m map[string]any, n *yaml.Node) {
	switch value := r.value(n).(type) {
	case map[string]any:
		for k, v := range value {
			if _, own := m[k]; !own {
				m[k] = v
			}
		}
	case []any:
		for _, item := range value {
			from, ok := item.(map[string]any)
			if !ok {
				r.problem(n, `"<<" must name maps`)
				return
			}
			for k, v := range from {
				if _, own := m[k]; !own {
					m[k] = v
				}
			}
		}
	default:
		r.problem(n, `"<<" must name a map`)
	}
}

func (r *reader) scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			r.problem(n, "the value is no boolean")
		}
		return b
	case "!!int":
		var i int64
		if err := n.Decode(&i); err != nil {
			r.problem(n, "the value is no integer of 64 bits: quote it where it is a string")
		}
		return i
	case "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			r.problem(n, "the value is no number that JSON knows: quote it where it is a string")
			return nil
		}
		return f
	case "!!binary":
		var s string
		if err := n.Decode(&s); err != nil {
			r.problem(n, "the value is no base64")
		}
		return s
	case "!!str", "!!timestamp":
		return n.Value
	default:
		r.problem(n, "the value's tag is not known here: quote it where it is a string")
		return nil
	}
}

func (r *reader) problem(n *yaml.Node, format string, args ...any) {
	r.found = append(r.found, Problem{Line: n.Line, Message: fmt.Sprintf(format, args...)})
}

var syntaxLine = regexp.MustCompile(`^line (\d+): `)

var syntaxAnchor = regexp.MustCompile(`unknown anchor '.*' referenced`)

// syntaxProblem takes the line out of the parser's own text, and the one word of
// the file that it may quote: "*word" may be a password that lacks its quotes.
func syntaxProblem(err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = syntaxAnchor.ReplaceAllString(text, "unknown anchor referenced")
	p := Problem{Message: "not YAML: " + text}
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Message = "not YAML: " + strings.TrimPrefix(text, m[0])
	}
	return p
}
