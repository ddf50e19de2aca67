package bounds

import "bytes"

// count counts the bytes and the values of JSON while it passes. It knows no more of
// JSON than where strings and values end. What is no JSON it may count wrongly; then
// the decoder behind it stops.
type count struct {
	bytes  int
	values int // braces, brackets and commas: at least half as many as a decoder makes values of
	most   int // of values in one that has passed

	depth   int
	quoted  bool // within a string
	escaped bool // after a backslash
}

// exceeds reports whether there is more than a limit allows.
func (c *count) exceeds(most limit) bool {
	return c.bytes > most.bytes || max(c.values, c.most) > most.values
}

// IsObject reports whether JSON is no larger than an object may be.
func IsObject(raw []byte) bool {
	var has count
	has.add(raw, false)
	return !has.exceeds(objectLimit)
}

// add takes in what follows. Where events are counted, each value at the top begins
// with nothing.
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

// unquote returns where the quote is that ends a string; the length of p where it does
// not end there.
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
