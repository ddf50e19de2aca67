package strictyaml

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf16"

	"github.com/fedsync/fedsync/internal/limit"
)

// The parser makes nodes of a whole document before anybody can count them, and
// each takes 165 bytes: 40 times a file of "- 1" lines. So the signs that begin a
// value are counted beforehand. Which of them are part of a text is not known, so
// there may be fewer nodes; there are never more than three for two signs.
const (
	// maxSigns is some 160 MiB of nodes, as in a file of 8 MiB whose average line
	// "key: value" has 16 bytes.
	maxSigns = 1_000_000
	// maxDirectives bounds the %TAG directives: the parser compares each with all
	// before it, and each tag with all of them. Nobody writes any.
	maxDirectives = 100
)

// refusedBeforehand returns why a file is not parsed at all.
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

// signs counts what begins a value.
type signs struct {
	n    int
	flow bool // a bracket was seen: from there on commas may part values
	sets bool // a brace was seen: from there on they may part keys without values
	pair int  // what a colon since the last comma counted for; 0 for none
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

// blankAt reports whether a sign that stands before i is one to the parser. Bytes
// that begin one of Unicode's line ends count as blank.
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

// lineBegins reports whether a line may begin at i; the parser knows the line ends
// CR, LF, NEL, LS and PS, and skips byte order marks.
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

// utf8Text returns a file in UTF-8. One in UTF-16, as PowerShell writes it, has a
// byte order mark; the parser would read it too, but nothing else here.
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
