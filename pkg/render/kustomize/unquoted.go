package kustomize

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// unquotedKey is the mistake of the first key of a file that kustomize does not take for
// a string, since YAML has it as a number or a truth value; nil where there is none.
func (r *Revision) unquotedKey(file string) *manifest.Error {
	content, _ := r.files.Read(file) // of one that cannot be read, nothing is said
	docs, _ := r.files.Decode(content)
	for _, doc := range docs {
		if key := unquotedIn(doc.Root); key != nil {
			return &manifest.Error{
				File: file, Line: key.Line,
				Reason: fmt.Sprintf("the key %s is no string to kustomize", limit.Quote(key.Value)), Remedy: "quote it",
			}
		}
	}
	return nil
}

// unquotedIn returns the first key of a node that is no string; nil for none.
func unquotedIn(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			switch n.Content[i].ShortTag() {
			case "!!int", "!!float", "!!bool", "!!timestamp":
				return n.Content[i]
			}
		}
	}
	for _, child := range n.Content {
		if key := unquotedIn(child); key != nil {
			return key
		}
	}
	return nil
}
