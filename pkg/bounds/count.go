package bounds

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

// add takes in what follows. Where events are counted, each value at the top begins
// with nothing.
func (c *count) add(p []byte, events bool) {
	c.bytes += len(p)
	for i, b := range p {
		if c.quoted {
			switch {
			case c.escaped:
				c.escaped = false
			case b == '\\':
				c.escaped = true
			case b == '"':
				c.quoted = false
			}
			continue
		}
		switch b {
		case '"':
			c.quoted = true
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
