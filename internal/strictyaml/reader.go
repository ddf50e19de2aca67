package strictyaml

import (
	"fmt"
	"math"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/fedsync/fedsync/internal/limit"
)

// A reader turns the nodes of a file's documents into values.
type reader struct {
	file    *limit.Budget // bytes left for this file
	shared  *limit.Budget // bytes left for this and other files; may be nil
	depth   int
	begins  int  // the line of the document's root
	stopped bool // a limit was exceeded, and nothing more is read
	found   Problems
	more    int // number of problems not in found
}

// maxDepth bounds the nesting of values; an API server's limit is far lower.
const maxDepth = 1000

// The sizes of values, in bytes: measured on Go 1.26, 64 bits. A map of up to
// eight keys has room for eight.
const (
	scalarBytes   = 40 // the interface, and the number or the string's header
	listBytes     = 48
	mapBytes      = 48
	smallMapBytes = 288
	mapEntryBytes = 80
)

// mapCost returns the size of a map with a number of keys, without its values.
func mapCost(keys int) int64 {
	switch {
	case keys == 0:
		return mapBytes
	case keys <= 8:
		return mapBytes + smallMapBytes
	}
	return mapBytes + int64(keys)*mapEntryBytes
}

// afford reports whether the budgets have room for a value. If not, it records
// the problem once.
func (r *reader) afford(n *yaml.Node, bytes int64) bool {
	switch {
	case r.stopped:
	case !r.file.Take(bytes):
		r.stop(n, "the file unfolds to more than %d MiB of values: use fewer aliases, or split it", r.file.Limit()>>20)
	case !r.shared.Take(bytes):
		r.stop(n, "this file and those read before it unfold to more than %d MiB of values: use fewer aliases, or fewer and smaller files", r.shared.Limit()>>20)
	}
	return !r.stopped
}

func (r *reader) stop(n *yaml.Node, format string, args ...any) {
	r.problem(n, format, args...)
	r.stopped = true
}

func (r *reader) value(n *yaml.Node) any {
	if r.stopped {
		return nil
	}
	if r.depth++; r.depth > maxDepth {
		r.stop(n, "values nest deeper than %d, or an alias contains itself", maxDepth)
	}
	defer func() { r.depth-- }()

	switch n.Kind {
	case yaml.AliasNode:
		if r.begins > n.Alias.Line {
			// The parser remembers anchors for a whole file, unlike YAML, kubectl and kustomize.
			r.problem(n, "*%s refers to an anchor in another document of the file: write the value in this one", limit.Text(n.Value, limit.ValueBytes))
			return nil
		}
		return r.value(n.Alias)
	case yaml.MappingNode:
		if r.afford(n, mapCost(len(n.Content)/2)) {
			return r.mapping(n)
		}
	case yaml.SequenceNode:
		if r.afford(n, listBytes) {
			return r.list(n)
		}
	case yaml.ScalarNode:
		if r.afford(n, scalarBytes+int64(len(n.Value))) {
			return r.scalar(n)
		}
	case yaml.DocumentNode:
		if len(n.Content) == 1 {
			return r.value(n.Content[0])
		}
	}
	return nil
}

func (r *reader) list(n *yaml.Node) []any {
	list := make([]any, 0, len(n.Content))
	for _, item := range n.Content {
		if r.stopped {
			break
		}
		list = append(list, r.value(item))
	}
	return list
}

func (r *reader) mapping(n *yaml.Node) map[string]any {
	m := make(map[string]any, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content) && !r.stopped; i += 2 {
		key, value := resolve(n.Content[i]), n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null" {
			r.problem(n.Content[i], "a key must be a string")
			continue
		}
		if key.ShortTag() == "!!merge" {
			if len(merged) > 0 {
				r.problem(n.Content[i], `"<<" appears twice in a map: list everything to merge in one`)
				continue
			}
			merged = append(merged, value)
			continue
		}
		if _, twice := m[key.Value]; twice {
			r.duplicateKey(n, i, key.Value)
			continue
		}
		m[key.Value] = r.value(value)
	}
	for _, node := range merged {
		r.merge(m, node)
	}
	return m
}

// duplicateKey records that the key at index i of a map has appeared before.
func (r *reader) duplicateKey(n *yaml.Node, i int, key string) {
	if r.full() {
		r.more++
		return // without a search for the first one, which may take long
	}
	for at := 0; at < i; at += 2 {
		if first := resolve(n.Content[at]); first.Value == key && first.Kind == yaml.ScalarNode {
			r.problem(n.Content[i], "key %s appears twice, first on line %d", limit.Quote(key), n.Content[at].Line)
			return
		}
	}
}

// merge adds the maps that "<<" names to m; m's own keys take precedence.
func (r *reader) merge(m map[string]any, n *yaml.Node) {
	switch value := r.value(n).(type) {
	case map[string]any:
		r.mergeMap(m, n, value)
	case []any:
		for _, item := range value {
			from, ok := item.(map[string]any)
			if !ok {
				r.problem(n, `"<<" must name maps`)
				return
			}
			r.mergeMap(m, n, from)
		}
	default:
		if !r.stopped {
			r.problem(n, `"<<" must name a map`)
		}
	}
}

func (r *reader) mergeMap(m map[string]any, n *yaml.Node, from map[string]any) {
	if !r.afford(n, mapCost(len(from))) {
		return
	}
	for k, v := range from {
		if _, own := m[k]; !own {
			m[k] = v
		}
	}
}

func (r *reader) scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			r.problem(n, "the value is not a boolean")
		}
		return b
	case "!!int":
		if i, plain := decimal(n.Value); plain {
			return i
		}
		var i int64
		if err := n.Decode(&i); err != nil {
			r.problem(n, "the value is not a 64-bit integer: quote it if it is a string")
		}
		return i
	case "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			r.problem(n, "the value is not a number in JSON: quote it if it is a string")
			return nil
		}
		return f
	case "!!binary":
		var s string
		if err := n.Decode(&s); err != nil {
			r.problem(n, "the value is not base64")
		}
		return s
	case "!!str", "!!timestamp":
		return n.Value
	default:
		r.problem(n, "the value's tag is not supported: quote it if it is a string")
		return nil
	}
}

// decimal reads an ordinary decimal integer, without the parser's decoder, which
// takes ten times as long. A text that begins with 0 may be octal.
func decimal(text string) (int64, bool) {
	digits := text
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	i, err := strconv.ParseInt(text, 10, 64)
	return i, err == nil
}

func (r *reader) problem(n *yaml.Node, format string, args ...any) {
	if r.full() {
		r.more++
		return
	}
	r.add(Problem{Line: n.Line, Message: fmt.Sprintf(format, args...)})
}
