package untrusted

import (
	"fmt"
	"strings"
	"unicode"
)

// shellPlain are the characters without a meaning for shells.
const shellPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=,@-"

// Quote returns one word of a command to paste into a shell: unchanged if it has only
// plain characters, otherwise in single quotes. Control characters are removed, since
// a terminal acts on them even inside quotes, and a line end becomes a blank.
func Quote(word string) string {
	word = oneLine(withoutControls(word))
	if word != "" && strings.Trim(word, shellPlain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func withoutControls(word string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, word)
}

// Command returns a command to paste: the format with each argument quoted by
// Quote.
func Command(format string, words ...string) string {
	quoted := make([]any, len(words))
	for i, word := range words {
		quoted[i] = Quote(word)
	}
	return fmt.Sprintf(format, quoted...)
}
