package fedfile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/strictyaml"
)

// A mistake is a FileError that has no words yet. There may be as many as the file
// has values, and only the first few are told.
type mistake struct {
	line  int
	field string
	words func() string
}

// mistakes gathers what is wrong in one file.
type mistakes struct {
	file string // the name in errors
	doc  *strictyaml.Document
	all  []mistake
}

func (m *mistakes) add(words func() string, at ...string) {
	m.all = append(m.all, mistake{line: m.doc.Line(at...), field: fieldOf(at), words: words})
}

// errors puts the mistakes into words, as far as they are told.
func (m *mistakes) errors() Errors {
	slices.SortStableFunc(m.all, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.line, b.line), strings.Compare(a.field, b.field))
	})
	// The order of those at one place is decided by their words, later.
	told := min(len(m.all), limit.Mistakes)
	for told > 0 && told < len(m.all) && told < 2*limit.Mistakes &&
		m.all[told].line == m.all[told-1].line && m.all[told].field == m.all[told-1].field {
		told++
	}
	found := make(Errors, 0, told+1)
	for _, one := range m.all[:told] {
		found = append(found, Error{
			File: m.file, Line: one.line, Field: limit.Text(one.field, limit.ValueBytes), Message: limit.Message(one.words()),
		})
	}
	return found.counted(len(m.all) - told)
}

// counted adds so many mistakes without their words.
func (e Errors) counted(more int) Errors {
	if more == 0 {
		return e
	}
	return append(e, Error{Message: limit.More(more), more: more})
}

// sorted puts the mistakes in order, each once, and counts what is too much.
func (e Errors) sorted() Errors {
	more, file := 0, ""
	e = slices.DeleteFunc(e, func(one Error) bool {
		more += one.more
		file = cmp.Or(one.File, file)
		return one.more > 0
	})
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Field, b.Field), strings.Compare(a.Message, b.Message))
	})
	e = slices.Compact(e)
	if over := len(e) - limit.Mistakes; over > 0 {
		e, more = e[:limit.Mistakes], more+over
	}
	e = e.counted(more)
	if more > 0 {
		e[len(e)-1].File = file
	}
	return e
}
