package secret

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// window is the length, in letters and digits, of a piece of a long secret that
	// is recognised by itself: a text may be cut within a secret.
	window = 12
	// stride is the distance between the beginnings of pieces. Any window+stride-1
	// consecutive characters contain a whole piece.
	stride = 4
	// heads is the number of hashes, a bit each, in the filter for the
	// beginning of a needle.
	heads = 1 << 16
)

// matcher finds secrets. It is immutable.
type matcher struct {
	short   *strings.Replacer // replaces secrets too short for a needle; nil for none
	split   *regexp.Regexp    // matches the same secrets split by blanks; nil for none
	needles map[uint32][]string
	may     [heads / 64]uint64 // hashes of the first four bytes of the needles
}

// newMatcher returns a matcher, or nil if there is nothing to find.
func newMatcher(secrets []string) *matcher {
	m := &matcher{needles: map[uint32][]string{}}
	var exact, split []string
	for _, s := range secrets {
		if len(s) < shortestExact {
			continue
		}
		if bare := bareOf(s); len(bare) >= shortest {
			m.add(bare)
			for _, encoded := range encodings(s) {
				m.add(encoded)
			}
			continue
		}
		for _, shape := range shapes(s) {
			exact = append(exact, shape, mask)
		}
		for _, encoded := range encodings(s) {
			if len(encoded) >= shortest {
				m.add(encoded)
			}
		}
		if len(s) >= shortest {
			var letters []string
			for letter := range strings.SplitSeq(s, "") {
				if !utf8.ValidString(letter) {
					letter = string(utf8.RuneError) // matches an invalid byte
				}
				letters = append(letters, regexp.QuoteMeta(letter))
			}
			split = append(split, strings.Join(letters, `(?:\s|\\[nrt])*`))
		}
	}
	if len(split) > 0 {
		m.split = regexp.MustCompile(strings.Join(split, "|"))
	}
	if len(exact) > 0 {
		m.short = strings.NewReplacer(exact...)
	}
	if m.short == nil && len(m.needles) == 0 {
		return nil
	}
	return m
}

// encodings returns the skeletons of a secret in base64, at each possible position
// within an encoded text, and in hexadecimal digits.
func encodings(secret string) []string {
	all := []string{hex.EncodeToString([]byte(secret))}
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + secret))
		// A character shared with the bytes before or after the secret is not part of
		// it.
		encoded = encoded[(before*8+5)/6:]
		if (before+len(secret))%3 != 0 {
			encoded = encoded[:len(encoded)-1]
		}
		if bare := bareOf(encoded); len(bare) >= shortest {
			all = append(all, bare)
		}
	}
	return all
}

// add adds a needle, or the pieces of a long one.
func (m *matcher) add(bare string) {
	for len(bare) > window {
		m.addOne(bare[:window])
		bare = bare[min(stride, len(bare)-window):]
	}
	m.addOne(bare)
}

func (m *matcher) addOne(needle string) {
	head := binary.LittleEndian.Uint32([]byte(needle[:4]))
	m.needles[head] = append(m.needles[head], needle)
	h := hash(head)
	m.may[h/64] |= 1 << (h % 64)
}

func hash(head uint32) uint32 { return head * 2654435761 >> 16 } // Knuth's multiplier

// exact masks the short secrets.
func (m *matcher) exact(text string) string {
	if m.short == nil {
		return text
	}
	text = m.short.Replace(text)
	if m.split != nil {
		text = m.split.ReplaceAllLiteralString(text, mask)
	}
	return text
}

// span is a part of a text.
type span struct{ from, to int }

// replace masks the secrets in a text, each with the word around it: the end of
// an encoded secret shares a character with what follows.
func (m *matcher) replace(text string) string {
	if !m.in(text) {
		return text
	}
	secret := make([]bool, len(text)) // by byte: whether it belongs to a secret
	eachLayer(layer{text: text}, func(l layer) (more bool) {
		for undo := range eachOf(escapesIn(l.text)) {
			at := make([]int, 0, len(l.text))
			for _, found := range m.find(skeleton(make([]byte, 0, len(l.text)), l.text, undo, &at)) {
				for i := l.from(at[found.from]); i <= l.from(at[found.to-1]); i++ {
					secret[i] = true
				}
			}
		}
		return true
	})
	var b strings.Builder
	for i := 0; i < len(text); {
		end := i
		for end < len(text) && !secret[end] {
			end++
		}
		if end == len(text) {
			b.WriteString(text[i:])
			break
		}
		from := end
		for from > i && isWord(text[from-1]) {
			from--
		}
		b.WriteString(text[i:from])
		b.WriteString(mask)
		for i = end; i < len(text) && (secret[i] || isWord(text[i])); {
			i++
		}
	}
	return b.String()
}

// in reports whether a text contains a needle.
func (m *matcher) in(text string) bool {
	if len(m.needles) == 0 || len(text) < shortest || !m.maybe(text) {
		return false
	}
	var buffer [512]byte
	found := false
	eachLayer(layer{text: text}, func(l layer) (more bool) {
		for undo := range eachOf(escapesIn(l.text)) {
			if m.holds(skeleton(buffer[:0], l.text, undo, nil)) {
				found = true
			}
		}
		return !found
	})
	return found
}

// maybe reports whether a text may contain a needle. It is fast, and the answer is
// nearly always no.
func (m *matcher) maybe(text string) bool {
	var last uint32 // four characters of the skeleton, the oldest in the lowest byte
	for i := range len(text) {
		switch c := letters[text[i]]; c {
		case 0:
		case escape:
			return true
		default:
			last = last>>8 | uint32(c)<<24
			if h := hash(last); m.may[h/64]&(1<<(h%64)) != 0 {
				return true
			}
		}
	}
	return false
}

// escape marks the characters that begin an escape.
const escape = 1

// letters maps each byte to its character in the skeleton, zero for none.
var letters = func() (table [256]byte) {
	for c := range table {
		switch c := byte(c); {
		case c >= 'A' && c <= 'Z':
			table[c] = c + 'a' - 'A'
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'z':
			table[c] = c
		case escapesIn(string([]byte{c})) != 0:
			table[c] = escape
		}
	}
	return table
}()

// eachOf yields all subsets of the escapes, including the empty one.
func eachOf(all escapes) iter.Seq[escapes] {
	return func(yield func(escapes) bool) {
		for some := escapes(0); some <= all; some++ {
			if some&^all == 0 && !yield(some) {
				return
			}
		}
	}
}

// isWord reports whether a character may be part of an encoded secret.
func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("+/=_-.~%", c) >= 0
}

// holds reports whether a skeleton contains a needle.
func (m *matcher) holds(bare []byte) bool {
	for i := 0; i+shortest <= len(bare); i++ {
		if m.at(bare[i:]) > 0 {
			return true
		}
	}
	return false
}

// find returns the positions of the needles in a skeleton, in order.
func (m *matcher) find(bare []byte) []span {
	var all []span
	for i := 0; i+shortest <= len(bare); i++ {
		if n := m.at(bare[i:]); n > 0 {
			all = append(all, span{i, i + n})
		}
	}
	return all
}

// at returns the length of the longest needle that a skeleton begins with.
func (m *matcher) at(bare []byte) (length int) {
	head := binary.LittleEndian.Uint32(bare)
	if h := hash(head); m.may[h/64]&(1<<(h%64)) == 0 {
		return 0
	}
	for _, n := range m.needles[head] {
		if len(n) > length && len(bare) >= len(n) && string(bare[:len(n)]) == n {
			length = len(n)
		}
	}
	return length
}

// within reports whether a string in a JSON value contains a needle.
func (m *matcher) within(value any) bool {
	switch v := value.(type) {
	case string:
		return m.in(v)
	case map[string]any:
		for key, one := range v {
			if m.within(key) || m.within(one) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, m.within)
	}
	return false
}

func (m *matcher) cleaned(value any) any {
	switch v := value.(type) {
	case string:
		return m.replace(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, one := range v {
			out[m.replace(key)] = m.cleaned(one)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, one := range v {
			out[i] = m.cleaned(one)
		}
		return out
	}
	return value
}
