package untrusted

import (
	"fmt"
	"strings"
)

// MaxText is the most, in bytes, that a Text holds: a text of others of MaxLine, and
// as much of ours around it.
const MaxText = 2 * MaxLine

// Text is one line that may be shown: Clean has been over it, with MaxText. Nothing
// but this package makes one, so that a field of this type cannot hold what somebody
// else wrote as he wrote it. The zero Text is empty. Texts are compared with ==.
type Text struct{ line string }

// Const returns a text that is all ours. Only a constant can be given, so there is
// nothing to clean.
func Const(text constant) Text { return Text{string(text)} }

// constant is a type that no other package has a variable of.
type constant string

// New cleans a text.
func New(text string) Text { return Text{Clean(text, MaxText)} }

// Said cleans what somebody else said, and keeps no more of it than MaxLine, so that
// a Text that quotes it has room for as much of ours.
func Said(text string) Text { return Text{Line(text)} }

// Textf formats a text, and cleans it.
func Textf(format string, args ...any) Text { return New(fmt.Sprintf(format, args...)) }

// List returns a head and a list after it, of as many things as a Text has room for
// whole, and counts the rest: "see each: a; b; and 3 more". So of commands none is cut
// in its middle.
func List(head string, things []string, separator string) Text {
	const room = MaxText - 32 // for the count
	size, fit := len(head), 0
	for fit < len(things) && (fit == 0 || size+len(separator)+len(things[fit]) <= room) {
		size += len(separator) + len(things[fit])
		fit++
	}
	list := head + strings.Join(things[:fit], separator)
	if fit < len(things) {
		list += fmt.Sprintf("%sand %d more", separator, len(things)-fit)
	}
	return New(list)
}

// Text cleans a text, and takes the secrets out.
func (s *Secrets) Text(text string) Text { return Text{s.Clean(text, MaxText)} }

// String returns the line.
func (t Text) String() string { return t.line }

// IsZero reports whether the text is empty. Encoders ask for it.
func (t Text) IsZero() bool { return t.line == "" }

// Compare orders texts as strings.Compare does.
func (t Text) Compare(o Text) int { return strings.Compare(t.line, o.line) }

// Equal reports whether two texts are the same.
func (t Text) Equal(o Text) bool { return t == o }

// MarshalText implements encoding.TextMarshaler.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.line), nil }

// UnmarshalText implements encoding.TextUnmarshaler. What is read is cleaned.
func (t *Text) UnmarshalText(text []byte) error {
	*t = New(string(text))
	return nil
}
