package fedfile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/strictyaml"
)

// A mistake is a FileError whose message is not formatted yet. There may be as many
// mistakes as the file has values, and only the first few are reported.
type mistake struct {
	line    int
	field   string
	message func() string
}

// mistakes collects the mistakes in one file.
type mistakes struct {
	file string // the name in errors
	doc  *strictyaml.Document
	all  []mistake
}

func (m *mistakes) add(message func() string, at ...string) {
	m.all = append(m.all, mistake{line: m.doc.Line(at...), field: fieldOf(at), message: message})
}

// errors formats the mistakes that are reported.
func (m *mistakes) errors() Errors {
	slices.SortStableFunc(m.all, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.line, b.line), strings.Compare(a.field, b.field))
	})
	// Mistakes at one place are sorted later, by message: all of them are needed for that.
	reported := min(len(m.all), limit.Mistakes)
	for reported > 0 && reported < len(m.all) && reported < 2*limit.Mistakes &&
		m.all[reported].line == m.all[reported-1].line && m.all[reported].field == m.all[reported-1].field {
		reported++
	}
	found := make(Errors, 0, reported+1)
	for _, one := range m.all[:reported] {
		found = append(found, Error{
			File: m.file, Line: one.line, Field: limit.Text(one.field, limit.ValueBytes), Message: limit.Message(one.message()),
		})
	}
	return found.counted(len(m.all) - reported)
}

// counted appends an entry that counts the omitted mistakes.
func (e Errors) counted(more int) Errors {
	if more == 0 {
		return e
	}
	return append(e, Error{Message: limit.More(more), more: more})
}

// sorted sorts the mistakes, removes duplicates, and counts those above the limit.
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
