package claim

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// maxGeneration bounds the generations that Parse accepts. With one start per second it
// takes 30,000 years to get there, so a greater one is damage. One can always be added
// to a smaller one.
const maxGeneration = 1_000_000_000_000

// Token identifies one running instance. Tokens have a total order. The zero Token is
// no token, and less than all others.
type Token struct {
	generation uint64
	random     [16]byte
}

// newToken returns a unique token of the generation.
func newToken(generation uint64) Token {
	t := Token{generation: generation}
	_, _ = rand.Read(t.random[:]) // it never fails: the program ends instead
	return t
}

// Parse reads the form that String writes, and no other, so that each token has exactly
// one text.
func Parse(text string) (Token, error) {
	number, random, found := strings.Cut(text, "-")
	generation, err := strconv.ParseUint(number, 10, 64)
	t := Token{generation: generation}
	if !found || err != nil || generation > maxGeneration || len(random) != hex.EncodedLen(len(t.random)) {
		return Token{}, fmt.Errorf("parse token: want GENERATION-%d hexadecimal digits", hex.EncodedLen(len(t.random)))
	}
	if _, err := hex.Decode(t.random[:], []byte(random)); err != nil {
		return Token{}, fmt.Errorf("parse token: %w", err)
	}
	if t.IsZero() || t.String() != text {
		return Token{}, fmt.Errorf("parse token: it is not in the form that fedsync writes")
	}
	return t, nil
}

// String returns the token as it is written in a Lease, such as "7-" and 32 hexadecimal
// digits. The form is stable.
func (t Token) String() string {
	return strconv.FormatUint(t.generation, 10) + "-" + hex.EncodeToString(t.random[:])
}

// Short returns the token as users compare it: "7-3f9c2a01".
func (t Token) Short() string {
	return strconv.FormatUint(t.generation, 10) + "-" + hex.EncodeToString(t.random[:4])
}

// Compare orders tokens by generation, and equal generations by their random part.
func (t Token) Compare(o Token) int {
	return cmp.Or(cmp.Compare(t.generation, o.generation), bytes.Compare(t.random[:], o.random[:]))
}

// Greater reports whether t wins over o.
func (t Token) Greater(o Token) bool { return t.Compare(o) > 0 }

// IsZero reports whether t is the zero Token.
func (t Token) IsZero() bool { return t.generation == 0 }

func greatest(a, b Token) Token {
	if a.Greater(b) {
		return a
	}
	return b
}
