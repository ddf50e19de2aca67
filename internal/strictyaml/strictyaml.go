// Package strictyaml reads YAML and JSON as Kubernetes does, and records the
// line of every value.
//
// Its input is bytes, its output documents: plain values (maps with string keys, slices,
// strings, booleans, int64, float64 and nil) and the nodes they came from. What a
// lenient reader would accept is a Problem here: a key that appears twice, a key that is
// not a string, an alias that unfolds endlessly. Both pkg/federation/fedfile
// and pkg/render/manifest use it to read the files of a repository, so that they report a
// mistake in the same way. A problem never quotes a value, which may be a secret: the
// line shows where it is.
//
// The cost of any file is bounded before and while it is read: beforehand.go
// estimates the nodes that the parser would build, and a Budget counts the size
// of its values, with all aliases unfolded.
package strictyaml

import (
	"bytes"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/fedsync/fedsync/internal/limit"
)

// Document is one non-empty document of a file.
type Document struct {
	Value any
	Root  *yaml.Node
	lines *lines
}

// fileBytes bounds the memory for the values of one file. An alias counts with
// its full value, so a file of a few lines cannot fill the memory. The largest
// file that is read has 8 MiB, which becomes about 60 MiB of values.
const fileBytes = 128 << 20

// Decode reads every document of data; empty ones are left out. The error is of
// type Problems, and the documents before the first syntax error are returned
// with it.
func Decode(data []byte) ([]Document, error) { return DecodeWithin(data, nil) }

// DecodeWithin is Decode with a budget of bytes for the values, which it shares
// with other files; nil means no limit. If the budget is exceeded, the error has
// a Problem, and the documents are incomplete.
func DecodeWithin(data []byte, budget *limit.Budget) ([]Document, error) {
	data = utf8Text(data)
	if p, refused := refusedBeforehand(data); refused {
		return nil, Problems{p}
	}
	var docs []Document
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	r := reader{file: limit.NewBudget(fileBytes), shared: budget}
	for !r.stopped {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.add(syntaxProblem(err))
			break
		}
		if len(root.Content) == 0 {
			continue
		}
		r.begins = root.Content[0].Line
		if value := r.value(root.Content[0]); value != nil {
			docs = append(docs, Document{Value: value, Root: root.Content[0], lines: &lines{}})
		}
	}
	return docs, r.problems()
}
