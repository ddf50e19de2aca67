package strictyaml

import (
	"strconv"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Line returns the line of the value at path, whose elements are keys and indices
// in decimal, or of the nearest value above it that exists.
func (d Document) Line(path ...string) int {
	n := d.Root
	line := n.Line
	for _, step := range path {
		n = resolve(n)
		key, child := d.lines.child(n, step)
		if child == nil {
			return line
		}
		// Use the key's line, where a person would search: a block begins one
		// line below.
		line = child.Line
		if key != nil {
			line = key.Line
		}
		n = child
	}
	return line
}

// lines finds values by their path. The cost of many mistakes in a large map must
// not be a multiple of its length, so its keys are indexed at the first lookup. It
// is safe for concurrent use. A nil lines has no index.
type lines struct {
	mu   sync.Mutex                    // protects maps
	maps map[*yaml.Node]map[string]int // of large maps: the index of each key in Content
}

// indexedFrom is the number of keys and values from which a map is indexed.
const indexedFrom = 32

// child returns the value under a key or an index, and the key.
func (l *lines) child(n *yaml.Node, step string) (key, child *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		if i := l.keyIndex(n, step); i >= 0 {
			return n.Content[i], n.Content[i+1]
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return nil, n.Content[i]
		}
	case yaml.ScalarNode, yaml.AliasNode, yaml.DocumentNode:
	}
	return nil, nil
}

// keyIndex returns the index of a key in a map's Content, the first one if the key
// appears twice; -1 if it is missing.
func (l *lines) keyIndex(n *yaml.Node, key string) int {
	if l == nil || len(n.Content) < indexedFrom {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return i
			}
		}
		return -1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	index, known := l.maps[n]
	if !known {
		index = make(map[string]int, len(n.Content)/2)
		for i := (len(n.Content) - 2) &^ 1; i >= 0; i -= 2 {
			index[n.Content[i].Value] = i
		}
		if l.maps == nil {
			l.maps = map[*yaml.Node]map[string]int{}
		}
		l.maps[n] = index
	}
	if i, stands := index[key]; stands {
		return i
	}
	return -1
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
