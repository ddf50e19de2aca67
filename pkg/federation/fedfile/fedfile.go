package fedfile

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Parse reads the content of the fedsync.yaml in a folder of the repository, which is
// slash-separated and clean, and empty for the root. It sets defaults and is strict:
// an unknown field is a mistake. Its error is of type Errors and holds every mistake
// with its line, unless the file is not YAML.
func Parse(folder string, data []byte) (*federation.Federation, error) {
	var f federation.Federation
	if found := federationFormat.decode(data, &f, func(c *checker) { c.check(&f) }); len(found) > 0 {
		return nil, found.In(path.Join(folder, federation.FileName))
	}
	settle(&f, folder)
	return &f, nil
}

// settle sets what depends on the folder and on other fields.
func settle(f *federation.Federation, folder string) {
	f.Folder = folder
	f.CommitStatus.Context = cmp.Or(f.CommitStatus.Context, federation.DefaultStatusContext(folder, f.Name))
	for i := range f.Clusters {
		f.Clusters[i].Context = cmp.Or(f.Clusters[i].Context, f.Clusters[i].Name)
	}
	for i := range f.Apps {
		f.Apps[i].Path = path.Join(folder, f.Apps[i].Path)
	}
}

// Error is one mistake in fedsync.yaml or in a file of facts.
type Error struct {
	File    string // FileName in its folder, or "facts"
	Line    int    // 0 where no line can be named
	Field   string // "spec.apps[1].path"; empty for the file as a whole
	Message string

	more int // how many omitted mistakes this one counts
}

// Error returns "fedsync.yaml:12: spec.apps[1].path: …".
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Errors are the mistakes in one file, by line: at most limit.Mistakes, and one
// more entry that counts the rest.
type Errors []Error

// Error returns one line for each mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each mistake as an error, for errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

// In returns the mistakes with the name by which the user knows the file.
func (e Errors) In(file string) Errors {
	named := slices.Clone(e)
	for i := range named {
		named[i].File = file
	}
	return named
}

// Findings returns the mistakes as findings.
func (e Errors) Findings() []federation.Finding {
	all := make([]federation.Finding, len(e))
	for i, one := range e {
		message := one.Message
		if one.Field != "" {
			message = one.Field + ": " + message
		}
		all[i] = federation.Finding{
			ID: federation.FindingConfig, Severity: federation.SeverityError,
			File: one.File, Line: one.Line, Message: untrusted.New(message),
			Remedy: untrusted.Const("correct the file and push; until then the last good revision stays in use"),
		}
	}
	return all
}

// decode reads a file into a struct of the format's form. The check finds mistakes that
// the schema cannot express. It may not see values that were refused already.
func (f *format) decode(data []byte, to any, check func(*checker)) Errors {
	doc, found := f.document(data)
	if doc == nil {
		return found.sorted()
	}
	found = append(found, f.validate(doc)...)
	// The parts that the schema accepts are checked even if it refused others, so that
	// all mistakes are reported together.
	r := reading{checker: checker{mistakes{file: f.file, doc: doc}}}
	r.value(reflect.ValueOf(to).Elem(), doc.Value, f.form(), nil)
	check(&r.checker)
	if found = append(found, r.errors()...); len(found) > 0 {
		return found.sorted()
	}
	r.sort()
	return nil
}

// document reads the one document that the file may hold. A document that exceeds the
// format's size is not checked any further: then none is returned.
func (f *format) document(data []byte) (*strictyaml.Document, Errors) {
	var found Errors
	docs, err := strictyaml.Decode(data)
	if problems, ok := errors.AsType[strictyaml.Problems](err); ok {
		for _, p := range problems {
			found = append(found, Error{File: f.file, Line: p.Line, Message: p.Message})
		}
	}
	if len(docs) > 0 {
		if tooMuch := f.tooMuch(&docs[0]); len(tooMuch) > 0 {
			return nil, append(found, tooMuch...)
		}
	}
	switch {
	case len(docs) == 0 && len(found) == 0:
		return nil, Errors{{File: f.file, Message: fmt.Sprintf("the file is empty; begin it with apiVersion: %s and kind: %s", federation.APIVersion, f.kind)}}
	case len(docs) == 0:
		return nil, found
	case len(docs) > 1:
		found = append(found, Error{
			File: f.file, Line: docs[1].Root.Line,
			Message: fmt.Sprintf("a second document begins here; the file must hold exactly one %s", f.kind),
		})
	}
	return &docs[0], found
}
