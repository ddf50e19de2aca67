package kustomize

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// unquotedKey returns an error for the first key of a file that is not a string to
// kustomize, because YAML reads it as a number or a boolean; nil if there is none.
func (r *Revision) unquotedKey(file string) *manifest.Error {
	content, _ := r.files.Read(file) // nil for a file that cannot be read, which is reported elsewhere
	docs, _ := r.files.Decode(content)
	for _, doc := range docs {
		if key := unquotedIn(doc.Root); key != nil {
			return &manifest.Error{
				File: file, Line: key.Line,
				Reason: fmt.Sprintf("kustomize does not read the key %s as a string", limit.Quote(key.Value)), Remedy: "quote it",
			}
		}
	}
	return nil
}

// unquotedIn returns the first key of a node that is not a string; nil for
// none.
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
