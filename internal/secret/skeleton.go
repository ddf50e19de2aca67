package secret

import "strings"

// escapes is a set of ways to escape a character. A text may use several, and a
// secret may contain something that only looks like an escape.
type escapes uint8

const (
	escapesURL   escapes = 1 << iota // %2B
	escapesJSON                      // \u002b, \n
	escapesHTML                      // &#43;, &amp;
	escapesTwice                     // %252B, where the percent sign itself is escaped
)

// escapesIn returns the escapes that a text may use.
func escapesIn(text string) (all escapes) {
	for i := range len(text) {
		switch text[i] {
		case '%':
			all |= escapesURL
			if strings.HasPrefix(text[i:], "%25") {
				all |= escapesTwice
			}
		case '\\':
			all |= escapesJSON
		case '&':
			all |= escapesHTML
		}
	}
	return all
}

// skeleton appends the text without its shape: only its ASCII letters, in lower
// case, and digits. Escapes are undone first; blanks, line ends, quotes, invisible
// and all other characters are left out. If at is not nil, the position of each
// character in the text is appended to it.
func skeleton(out []byte, text string, undo escapes, at *[]int) []byte {
	for i := 0; i < len(text); {
		c, width := unescaped(text[i:], undo)
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
			out = append(out, c)
			if at != nil {
				*at = append(*at, i)
			}
		}
		i += width
	}
	return out
}

// bareOf returns the skeleton of a text without escapes.
func bareOf(text string) string { return string(skeleton(nil, text, 0, nil)) }

// unescaped returns the first character of a text, and its width in bytes. The
// character is zero if the skeleton leaves it out anyway.
func unescaped(text string, undo escapes) (c byte, width int) {
	switch c = text[0]; {
	case c == '%' && undo&escapesURL != 0:
		return unescapedURL(text, undo&escapesTwice != 0)
	case c == '\\' && undo&escapesJSON != 0:
		return unescapedJSON(text)
	case c == '&' && undo&escapesHTML != 0:
		return unescapedHTML(text)
	}
	return c, 1
}

// unescapedURL reads %2B, and with twice also %252B and %25252B.
func unescapedURL(text string, twice bool) (c byte, width int) {
	from := 1
	for twice && strings.HasPrefix(text[from:], "25") {
		if _, ok := digits(text, from+2); !ok {
			break
		}
		from += 2
	}
	if c, ok := digits(text, from); ok {
		return c, from + 2
	}
	return 0, 1
}

// unescapedJSON leaves out an escaped control character, like an unescaped one.
// It skips all but the last of several backslashes, since the text may be escaped
// twice.
func unescapedJSON(text string) (c byte, width int) {
	if len(text) < 2 {
		return 0, 1
	}
	switch text[1] {
	case 'n', 'r', 't', 'b', 'f':
		return 0, 2
	case 'u':
		if high, ok := digits(text, 2); ok {
			if low, ok := digits(text, 4); ok {
				if high == 0 {
					return low, 6
				}
				return 0, 6
			}
		}
	}
	return 0, 1
}

// unescapedHTML reads &amp; and &#43; and &#x2b;.
func unescapedHTML(text string) (c byte, width int) {
	end := strings.IndexByte(text[:min(len(text), 10)], ';')
	if end < 0 {
		return 0, 1
	}
	name, numeric := strings.CutPrefix(text[1:end], "#")
	if !numeric {
		switch name {
		case "amp", "lt", "gt", "quot", "apos":
			return 0, end + 1
		}
		return 0, 1
	}
	base, digits := 10, name
	if x := strings.TrimLeft(name, "xX"); x != name {
		base, digits = 16, x
	}
	n := 0
	for i := range len(digits) {
		d, ok := digit(digits[i])
		if !ok || d >= base {
			return 0, 1
		}
		if n = n*base + d; n > 0x7f {
			n = 0x80
		}
	}
	return byte(n), end + 1
}

// digits reads two hexadecimal digits of a text.
func digits(text string, from int) (c byte, ok bool) {
	if len(text) < from+2 {
		return 0, false
	}
	for i := range 2 {
		d, ok := digit(text[from+i])
		if !ok {
			return 0, false
		}
		c = c<<4 | byte(d)
	}
	return c, true
}

func digit(c byte) (value int, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0'), true
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10, true
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10, true
	}
	return 0, false
}
