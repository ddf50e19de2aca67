package bounds

import "bytes"

// count counts the bytes and values of a stream of JSON. It only recognizes where
// strings and values end. It may miscount invalid JSON, which the decoder after it
// refuses.
type count struct {
	bytes  int
	values int // braces, brackets and commas: at least half the number of decoded values
	most   int // the most values in one completed event

	depth   int
	quoted  bool // within a string
	escaped bool // after a backslash
}

// exceeds reports whether the count exceeds a limit.
func (c *count) exceeds(most limit) bool {
	return c.bytes > most.bytes || max(c.values, c.most) > most.values
}

// IsObject reports whether JSON is within the limit for an object.
func IsObject(raw []byte) bool {
	var has count
	has.add(raw, false)
	return !has.exceeds(objectLimit)
}

// add counts the next bytes. If events is set, the count restarts with each
// top-level value.
func (c *count) add(p []byte, events bool) {
	c.bytes += len(p)
	for i := 0; i < len(p); i++ {
		if c.quoted {
			if i += c.unquote(p[i:]); i == len(p) {
				return
			}
		}
		switch p[i] {
		case '"':
			c.quoted = !c.quoted
		case ',':
			c.values++
		case '{', '[':
			c.values++
			c.depth++
		case '}', ']':
			c.depth--
			if c.depth <= 0 && events {
				c.most = max(c.most, c.values)
				c.bytes, c.values, c.depth = len(p)-i-1, 0, 0
			}
		}
	}
}

// unquote returns the position of the quote that ends a string, or the length of p if
// there is none.
func (c *count) unquote(p []byte) (end int) {
	if c.escaped {
		c.escaped = false
		end = 1
	}
	for {
		n := bytes.IndexByte(p[end:], '"')
		text := p[end:]
		if n >= 0 {
			text = text[:n]
		}
		odd := false // backslashes before it
		for i := len(text); i > 0 && text[i-1] == '\\'; i-- {
			odd = !odd
		}
		switch {
		case n < 0:
			c.escaped = odd
			return len(p)
		case !odd:
			return end + n
		}
		end += n + 1 // an escaped quote
	}
}
