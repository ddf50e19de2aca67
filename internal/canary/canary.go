// Package canary provides recognisable secrets for tests: a canary is planted where
// a secret may be, Shapes encodes it in the ways in which it may be sent back, and
// a Search finds it in any output, however it is encoded.
//
// It shares no code with package secret; otherwise both would miss the same encodings.
package canary

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
)

// New returns the canary for a place: a secret with the characters of tokens and
// passwords, which is the same in each run.
func New(place string) string {
	sum := sha256.Sum256([]byte(place))
	core := base64.RawStdEncoding.EncodeToString(sum[:])
	core = strings.NewReplacer("+", "x", "/", "y").Replace(core)
	return core[:9] + "+" + core[9:17] + "/" + core[17:25] + "=" + core[25:32]
}

// NewWord returns the canary for a place that accepts only letters and digits.
func NewWord(place string) string {
	return strings.NewReplacer("+", "", "/", "", "=", "").Replace(New(place))
}

// Credential returns the password or token in a request.
func Credential(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token
}

// A Shape is a way to encode a secret.
type Shape struct {
	Name  string
	Write func(secret string) string
}

// Shapes returns the ways in which a secret may be sent back.
func Shapes() []Shape {
	std, safe := base64.StdEncoding, base64.URLEncoding
	return []Shape{
		{"plain", func(s string) string { return s }},
		{"header", func(s string) string { return "Authorization: Bearer " + s }},
		{"query", url.QueryEscape},
		{"path", url.PathEscape},
		{"query twice", func(s string) string { return url.QueryEscape(url.QueryEscape(s)) }},
		{"every byte in percent", func(s string) string { return each(s, "%%%02X") }},
		{"base64", func(s string) string { return std.EncodeToString([]byte(s)) }},
		{"base64, unpadded", func(s string) string { return std.WithPadding(base64.NoPadding).EncodeToString([]byte("x" + s)) }},
		{"base64 for URLs", func(s string) string { return safe.EncodeToString([]byte(s)) }},
		{"base64 with a user", func(s string) string { return "Basic " + std.EncodeToString([]byte("git:"+s)) }},
		{"base64 in lines", func(s string) string { return lines(std.EncodeToString([]byte("ab"+s)), 20) }},
		{"hexadecimal", func(s string) string { return hex.EncodeToString([]byte(s)) }},
		{"HEXADECIMAL", func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) }},
		{"JSON", func(s string) string { return `{"token":` + quoted(s) + `}` }},
		{"JSON twice", func(s string) string { return quoted(quoted(s)) }},
		{"every byte as \\u", func(s string) string { return each(s, `\u%04x`) }},
		{"\\u in percent", func(s string) string { return url.QueryEscape(each(s, `\u%04x`)) }},
		{"HTML in JSON in a query", func(s string) string { return url.QueryEscape(quoted(html.EscapeString(s))) }},
		{"HTML", html.EscapeString},
		{"every byte as &#", func(s string) string { return each(s, "&#%d;") }},
		{"split by a newline", func(s string) string { return s[:len(s)/2] + "\n" + s[len(s)/2:] }},
		{"split by \\n", func(s string) string { return s[:len(s)/2] + `\n` + s[len(s)/2:] }},
		{"split by a blank", func(s string) string { return s[:len(s)/2] + " " + s[len(s)/2:] }},
		{"split, unseen", func(s string) string { return s[:len(s)/3] + "\u200b\u202e" + s[len(s)/3:] }},
		{"spaced", func(s string) string { return strings.Join(strings.Split(s, ""), " ") }},
		{"lower case", strings.ToLower},
		{"UPPER CASE", strings.ToUpper},
		{"name", func(s string) string {
			return "svc-" + strings.ToLower(strings.NewReplacer("+", "-", "/", "-", "=", "-").Replace(s))
		}},
		{"in a URL", func(s string) string { return "https://git:" + url.QueryEscape(s) + "@forge.example/web.git" }},
	}
}

// Everywhere returns a secret in all shapes.
func Everywhere(secret string) string {
	shapes := Shapes()
	all := make([]string, len(shapes))
	for i, s := range shapes {
		all[i] = s.Write(secret)
	}
	return strings.Join(all, " , ")
}

func each(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

func lines(s string, width int) string {
	var b strings.Builder
	for len(s) > width {
		b.WriteString(s[:width] + "\n")
		s = s[width:]
	}
	return b.String() + s
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // strings can always be encoded
	return string(b)
}
