package secret

// A layer is a text of which some escapes were undone.
type layer struct {
	text   string
	at     []int   // where in the text below each byte stands; nil for the same place
	undone escapes // to come here
}

// from returns where in the first text a byte of the layer stands.
func (l layer) from(i int) int {
	if l.at == nil {
		return i
	}
	return l.at[i]
}

// eachLayer calls visit for a text and for what is left of it when the escapes of one
// kind are undone, then those of another: what was escaped may have been escaped
// before. It stops when visit returns false. Most texts have one layer.
func eachLayer(l layer, visit func(layer) bool) bool {
	if !visit(l) {
		return false
	}
	for _, kind := range [...]escapes{escapesURL | escapesTwice, escapesJSON, escapesHTML} {
		if l.undone&kind != 0 || escapesIn(l.text)&kind == 0 {
			continue
		}
		// What has no other escapes after this is seen as it is read.
		if next := l.undo(kind); escapesIn(next.text)&^next.undone != 0 && !eachLayer(next, visit) {
			return false
		}
	}
	return true
}

// undo undoes the escapes of one kind.
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
