package untrusted

import (
	"fmt"
	"strings"
	"unicode"
)

// shellPlain are the characters of a word that no shell reads.
const shellPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=,@-"

// Quote returns one word of a command that somebody will paste into a shell: as it is
// where it holds nothing that a shell reads, else in single quotes. Control
// characters go, since a terminal acts on them inside quotes too, and a line end
// becomes a blank.
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

// Command returns a command to paste: the format with each argument quoted as Quote
// does.
func Command(format string, words ...string) string {
	quoted := make([]any, len(words))
	for i, word := range words {
		quoted[i] = Quote(word)
	}
	return fmt.Sprintf(format, quoted...)
}
