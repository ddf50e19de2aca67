package strictyaml

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf16"

	"github.com/fedsync/fedsync/internal/limit"
)

// The parser builds the nodes of a whole document before they can be counted, and
// each takes 165 bytes: 40 times a file of "- 1" lines. So the signs that begin a
// value are counted beforehand. Some of them may be part of a text, so there may
// be fewer nodes; there are never more than three for two signs.
const (
	// maxSigns corresponds to about 160 MiB of nodes, as in a file of 8 MiB whose
	// average line "key: value" has 16 bytes.
	maxSigns = 1_000_000
	// maxDirectives bounds the %TAG directives: the parser compares each with all
	// before it, and each tag with all of them. Manifests have none.
	maxDirectives = 100
)

// refusedBeforehand returns the reason to refuse a file before parsing it.
func refusedBeforehand(data []byte) (Problem, bool) {
	line, directives := 1, 0
	var c signs
	for i, b := range data {
		switch b {
		case '\n':
			line++
		case '%':
			if lineBegins(data, i) && bytes.HasPrefix(data[i:], []byte("%TAG")) {
				directives++
			}
		default:
			c.count(data, i)
		}
		switch {
		case c.n > maxSigns:
			return Problem{Line: line, Message: fmt.Sprintf(
				"the file has more than %s places where a value may begin: split it", limit.Number(maxSigns))}, true
		case directives > maxDirectives:
			return Problem{Line: line, Message: fmt.Sprintf("not YAML: more than %d %%TAG directives", maxDirectives)}, true
		}
	}
	return Problem{}, false
}

// signs counts the signs that begin a value.
type signs struct {
	n    int
	flow bool // after a bracket: commas may separate values
	sets bool // after a brace: commas may separate keys without values
	pair int  // count for a colon since the last comma; 0 for none
}

func (c *signs) count(data []byte, i int) {
	switch data[i] {
	case '[', '{':
		c.flow, c.sets = true, c.sets || data[i] == '{'
		c.n++
	case ',':
		switch {
		case c.sets:
			c.n += 2 - c.pair // a key and a value
		case c.flow && c.pair < 2:
			c.n++
		}
		c.pair = 0
	case ':':
		switch {
		case blankAt(data, i+1):
			c.n += 2 // a key and a value
			c.pair = 2
		case c.flow:
			c.n++
			c.pair = max(c.pair, 1)
		}
	case '?':
		if blankAt(data, i+1) {
			c.n += 2
		}
	case '-':
		if blankAt(data, i+1) {
			c.n++
			if i > 0 && data[i-1] == '-' {
				c.n++ // a document and its value
			}
		}
	}
}

// blankAt reports whether a blank at i makes what precedes it a sign to the
// parser. Bytes that begin one of Unicode's line ends count as blank.
func blankAt(data []byte, i int) bool {
	if i >= len(data) {
		return true
	}
	switch data[i] {
	case ' ', '\t', '\n', '\r', 0xC2, 0xE2:
		return true
	}
	return false
}

// lineBegins reports whether a line may begin at i. The parser recognizes the line
// ends CR, LF, NEL, LS and PS, and skips byte order marks.
func lineBegins(data []byte, i int) bool {
	if i == 0 {
		return true
	}
	switch data[i-1] {
	case '\n', '\r', 0x85, 0xA8, 0xA9, 0xBF:
		return true
	}
	return false
}

// utf8Text converts a file to UTF-8. A file in UTF-16, as PowerShell writes it,
// has a byte order mark. The parser could read it, but nothing else here can.
func utf8Text(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		order = binary.BigEndian
	default:
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for at := 2; at+1 < len(data); at += 2 {
		units = append(units, order.Uint16(data[at:]))
	}
	return []byte(string(utf16.Decode(units)))
}
