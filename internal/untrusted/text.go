package untrusted

import (
	"fmt"
	"strings"
)

// MaxText is the maximum length of a Text, in bytes: an untrusted text of MaxLine,
// and as much of our own around it.
const MaxText = 2 * MaxLine

// Text is one line that may be shown, the result of Clean with MaxText. Only this
// package can make one, so a field of this type cannot hold unclean text. The zero
// Text is empty. Texts can be compared with ==.
type Text struct{ line string }

// Const returns a text of our own. Its argument must be a constant, so there is
// nothing to clean.
func Const(text constant) Text { return Text{string(text)} }

// constant is a type that no other package can have a variable of.
type constant string

// New cleans a text.
func New(text string) Text { return Text{Clean(text, MaxText)} }

// Excerpt cleans an untrusted text and cuts it to MaxLine, so that a Text that quotes
// it has room for our own text.
func Excerpt(text string) Text { return Text{Line(text)} }

// Textf formats a text, and cleans it.
func Textf(format string, args ...any) Text { return New(fmt.Sprintf(format, args...)) }

// List returns a head and a list of as many whole things as fit into a Text, and
// counts the rest: "see each: a; b; and 3 more". So no command is cut in its middle.
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

// Text cleans a text, and masks the secrets.
func (s *Secrets) Text(text string) Text { return Text{s.Clean(text, MaxText)} }

// String returns the line.
func (t Text) String() string { return t.line }

// IsZero reports whether the text is empty. Encoders call it.
func (t Text) IsZero() bool { return t.line == "" }

// Compare orders texts as strings.Compare does.
func (t Text) Compare(o Text) int { return strings.Compare(t.line, o.line) }

// Equal reports whether two texts are the same.
func (t Text) Equal(o Text) bool { return t == o }

// MarshalText implements encoding.TextMarshaler.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.line), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It cleans the text.
func (t *Text) UnmarshalText(text []byte) error {
	*t = New(string(text))
	return nil
}
