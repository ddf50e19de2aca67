package secret

// A layer is a text in which some escapes were undone.
type layer struct {
	text   string
	at     []int   // position of each byte in the original text; nil if unchanged
	undone escapes // the escapes undone so far
}

// from returns the position of a byte of the layer in the original text.
func (l layer) from(i int) int {
	if l.at == nil {
		return i
	}
	return l.at[i]
}

// eachLayer calls visit for a text and for each text that results from undoing its
// escapes, one kind after another: escaped text may have been escaped again. It stops
// when visit returns false. Most texts have one layer.
func eachLayer(l layer, visit func(layer) bool) bool {
	if !visit(l) {
		return false
	}
	for _, kind := range [...]escapes{escapesURL | escapesTwice, escapesJSON, escapesHTML} {
		if l.undone&kind != 0 || escapesIn(l.text)&kind == 0 {
			continue
		}
		// If no other escapes remain, the skeleton undoes this kind by itself.
		if next := l.undo(kind); escapesIn(next.text)&^next.undone != 0 && !eachLayer(next, visit) {
			return false
		}
	}
	return true
}

// undo returns the layer with the escapes of one kind undone.
func (l layer) undo(kind escapes) layer {
	out, at := make([]byte, 0, len(l.text)), make([]int, 0, len(l.text))
	for i := 0; i < len(l.text); {
		c, width := unescaped(l.text[i:], kind)
		if c != 0 {
			out, at = append(out, c), append(at, l.from(i))
		}
		i += width
	}
	return layer{text: string(out), at: at, undone: l.undone | kind}
}
