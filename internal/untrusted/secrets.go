package untrusted

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The least lengths, in bytes, of what is masked. Shorter ones would blank out
// ordinary words: as it is, or in another encoding or with blanks in it.
const (
	minSecret  = 4
	minEncoded = 8
)

// Secrets are texts that must not be shown. A nil one has none.
type Secrets struct {
	forms    []string // the longest first, so that none is hidden in part by another
	replacer *strings.Replacer
	squeezed []string          // those that are found with white space in them
	within   *strings.Replacer // finds out quickly that none of squeezed is there
}

// NewSecrets returns the secrets with these values. Each is masked as it is, each of
// its lines, and as URLs, JSON, quoted strings, hexadecimal digits and base64 hold
// it, in base64 also where something stands before or behind it. Those of fewer than
// four bytes are left out.
func NewSecrets(values ...string) *Secrets {
	all := map[string]bool{}
	for _, value := range values {
		for _, form := range forms(value) {
			all[form] = true
		}
	}
	if len(all) == 0 {
		return nil
	}
	s := &Secrets{}
	for form := range all {
		s.forms = append(s.forms, form)
	}
	slices.SortFunc(s.forms, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	pairs := make([]string, 0, 2*len(s.forms))
	for _, form := range s.forms {
		pairs = append(pairs, form, mask)
		if narrow, _ := squeeze(form); len(narrow) >= minEncoded && strings.Trim(narrow, "*") != "" {
			s.squeezed = append(s.squeezed, narrow)
		}
	}
	s.replacer = strings.NewReplacer(pairs...)
	pairs = pairs[:0]
	for _, narrow := range s.squeezed {
		pairs = append(pairs, narrow, "")
	}
	s.within = strings.NewReplacer(pairs...)
	return s
}

// forms are how a secret may turn up in a text.
func forms(secret string) []string {
	var all []string
	for _, part := range append([]string{secret}, strings.Split(secret, "\n")...) {
		part = strings.TrimSpace(part)
		if strings.HasPrefix(part, "-----") && !strings.Contains(part, "\n") {
			continue // of PEM, and the same in all of them
		}
		for i, form := range append([]string{part, oneLine(part)}, encodings(part)...) {
			if len(form) >= minEncoded || i < 2 && len(form) >= minSecret {
				all = append(all, form)
			}
		}
	}
	if len(secret) >= minSecret { // with the white space at its ends, where that is what it is
		all = append(all, secret)
	}
	return all
}

func encodings(secret string) []string {
	all := []string{
		url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(strconv.Quote(secret), `"`),
		hex.EncodeToString([]byte(secret)),
	}
	if text, err := json.Marshal(secret); err == nil {
		all = append(all, strings.Trim(string(text), `"`))
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		all = append(all, encoding.EncodeToString([]byte(secret)))
		for before := range 3 {
			all = append(all, within(encoding, secret, before))
		}
	}
	return all
}

// within is the part of the base64 of a longer text that depends on the secret
// alone, where before bytes of the text precede it in its group of three.
func within(encoding *base64.Encoding, secret string, before int) string {
	text := encoding.EncodeToString([]byte(strings.Repeat("\x00", before) + secret))
	text = strings.TrimRight(text, "=")
	if (before+len(secret))%3 != 0 {
		text = text[:max(0, len(text)-1)] // bits of what follows are in it
	}
	return text[min(len(text), []int{0, 2, 3}[before]):]
}

// Mask replaces the secrets in a text, and changes nothing else. It takes time in
// proportion to the text.
func (s *Secrets) Mask(text string) string {
	if s == nil || text == "" {
		return text
	}
	return s.maskSplit(s.replacer.Replace(text))
}

// maskSplit masks the secrets that white space or invisible characters split.
func (s *Secrets) maskSplit(text string) string {
	narrow, at := squeeze(text)
	if at == nil || s.within.Replace(narrow) == narrow {
		return text
	}
	var found [][2]int
	for _, secret := range s.squeezed {
		for from := 0; ; {
			i := strings.Index(narrow[from:], secret)
			if i < 0 {
				break
			}
			first, end := from+i, from+i+len(secret)
			found = append(found, [2]int{at[first], at[end-1] + 1})
			from = end
		}
	}
	return masked(text, found)
}

// squeeze leaves out white space, control and invisible characters, and the escapes
// \n, \r and \t, and returns where in the text each byte stands; nil where nothing
// was left out.
func squeeze(text string) (string, []int) {
	narrow, at := make([]byte, 0, len(text)), make([]int, 0, len(text))
	for i, r := range text {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), invisible(r):
			continue
		case r == '\\' && i+1 < len(text) && strings.IndexByte("nrt", text[i+1]) >= 0:
			continue
		case i > 0 && text[i-1] == '\\' && strings.ContainsRune("nrt", r):
			continue
		}
		for j := i; j < len(text) && (j == i || text[j]&0xc0 == 0x80); j++ {
			narrow, at = append(narrow, text[j]), append(at, j)
		}
	}
	if len(narrow) == len(text) {
		return text, nil
	}
	return string(narrow), at
}
