// Package strictyaml reads YAML and JSON as Kubernetes means them, and knows
// the line of everything it read.
//
// Bytes come in, documents go out: plain values (maps with string keys, slices,
// strings, booleans, int64, float64 and nil) and the nodes they came from. What
// a lenient reader would swallow is a Problem here: a key that stands twice, a
// key that is no string, an alias that unfolds without end. The files of a
// repository are read by pkg/federation/fedfile and pkg/render/manifest through it, so that both
// say the same of the same mistake. A problem never quotes a value, which may be a
// secret: the line says where it stands.
//
// What a file costs is bounded before and while it is read, whatever is in it:
// beforehand.go counts what the parser would make of it, and a Budget what its
// values take, with all aliases unfolded.
package strictyaml

import (
	"bytes"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/fedsync/fedsync/internal/limit"
)

// Document is one document of a file that is not empty.
type Document struct {
	Value any
	Root  *yaml.Node
	lines *lines
}

// fileBytes bounds the memory for the values of one file. An alias costs what it
// stands for, so a file of a few lines cannot fill the memory. The largest file
// that is read has 8 MiB, which makes some 60 MiB of values.
const fileBytes = 128 << 20

// Decode reads every document of data; empty ones are left out. The error is of
// type Problems, and the documents before the first syntax error are returned
// beside it.
func Decode(data []byte) ([]Document, error) { return DecodeWithin(data, nil) }

// DecodeWithin is Decode, and draws what the values take from a budget of bytes
// that other files draw from as well; nil is one without end. When the budget is
// spent that is a Problem, and what was read until then is incomplete.
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
