package secret

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/fedsync/fedsync/internal/canary"
)

// written are the ways in which a secret may be sent back.
var written = map[string]func(string) string{
	"plain":             func(s string) string { return s },
	"URL":               url.QueryEscape,
	"URL path":          url.PathEscape,
	"URL, every byte":   percent,
	"base64":            func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64, second":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte("u" + s + "...")) },
	"base64, third":     func(s string) string { return base64.URLEncoding.EncodeToString([]byte("u:" + s + "?")) },
	"JSON":              quoted,
	"JSON twice":        func(s string) string { return quoted(quoted(s)) },
	"JSON, every byte":  unicodes,
	"HTML":              html.EscapeString,
	"split by a line":   func(s string) string { return s[:len(s)/2] + "\n" + s[len(s)/2:] },
	"split, escaped":    func(s string) string { return s[:len(s)/2] + `\n` + s[len(s)/2:] },
	"split, invisible":  func(s string) string { return s[:len(s)/3] + "\u200b\u202e" + s[len(s)/3:] },
	"header":            func(s string) string { return "Authorization: Bearer " + s },
	"name":              func(s string) string { return "svc-" + strings.ToLower(s) + ".web" },
	"hexadecimal":       func(s string) string { return hex.EncodeToString([]byte(s)) },
	"spaced characters": func(s string) string { return strings.Join(strings.Split(s, ""), " ") },
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

func unicodes(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\u%04x`, s[i])
	}
	return b.String()
}

// random returns a secret of the characters of tokens and passwords.
func random(r *rand.Rand, length int) string {
	const characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_.~&<\"%@:"
	b := make([]byte, length)
	for i := range b {
		b[i] = characters[r.IntN(len(characters))]
	}
	return string(b)
}

func TestNoShapeOfASecretIsLeft(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable on purpose
	for round := range 500 {
		length := 14 + r.IntN(40)
		if round%10 == 0 {
			length = 900 // of a JSON web token
		}
		canary := random(r, length)
		set := New("", canary)
		for shape, write := range written {
			text := "before " + write(canary) + " after"
			for name, got := range map[string]string{"Mask": set.Mask(text), "Clean": set.Clean(text)} {
				if left := bareOf(got); strings.Contains(left, bareOf(canary)) || strings.Contains(left, bareOf(write(canary))) {
					t.Fatalf("%s of %q as %s = %q, which holds it", name, canary, shape, got)
				}
				if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, mask) {
					t.Errorf("%s of %q as %s = %q, want the text around it", name, canary, shape, got)
				}
			}
		}
	}
}

func TestNoShapeOfACanaryIsLeft(t *testing.T) {
	token := canary.New("a token")
	search := canary.NewSearch(map[string]string{"token": token})
	set := New(token)
	for _, shape := range canary.Shapes() {
		for name, got := range map[string]string{"Mask": set.Mask(shape.Write(token)), "Clean": set.Clean("x: " + shape.Write(token) + ".")} {
			if found := search.In(got); len(found) > 0 {
				t.Errorf("%s of %s = %q, which holds %q", name, shape.Name, got, found[0].Near)
			}
		}
	}
}

func TestAPieceOfALongSecretIsFound(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // repeatable on purpose
	for range 200 {
		token := strings.Map(func(c rune) rune {
			if strings.ContainsRune(`&<"%@:`, c) {
				return 'x'
			}
			return c
		}, random(r, 600))
		from := r.IntN(500)
		if got := New(token).Mask(token[from : from+90]); got != mask {
			t.Fatalf("Mask of a piece of %q = %q, want %s", token, got, mask)
		}
	}
}

func TestOrdinaryTextsAreUnchanged(t *testing.T) {
	set := New("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl", "hunter2!", "pw", "")
	for _, text := range []string{
		"", "x", `services "web" is forbidden: User "fedsync" cannot list resource "services"`,
		"%", "%4", `\`, `\u`, `\u00`, "&", "&#;", "&#x;", "&#99999999;", "&amp;", "hunter", "pw",
		strings.Repeat("metadata.managedFields ", 500),
	} {
		if got := set.Mask(text); got != text {
			t.Errorf("Mask(%q) = %q", text, got)
		}
	}
	if got := set.Mask("it is hunter2!, hunter2%21"); got != "it is ***, ***" {
		t.Errorf("a short secret: %q", got)
	}
	if got := set.Clean("hunter2!"); got != "hunter2!" {
		t.Errorf("Clean masks what a name may contain by chance: %q", got)
	}
	if got := (*Set)(nil).Mask("x") + (&Set{}).Clean("a text"); got != "xa text" {
		t.Errorf("an empty set: %q", got)
	}
}

func TestAnObjectIsCopiedOnlyWhereASecretIsInIt(t *testing.T) {
	set := New("canary-0123456789")
	clean := map[string]any{"metadata": map[string]any{"name": "web", "labels": map[string]any{"app": "canary"}}, "n": int64(3)}
	if got := set.Object(clean); reflect.ValueOf(got).Pointer() != reflect.ValueOf(clean).Pointer() {
		t.Error("an object without a secret was copied")
	}
	dirty := map[string]any{"metadata": map[string]any{"labels": map[string]any{"canary-0123456789": "x"}}, "list": []any{"a", "Canary-0123456789"}, "n": int64(3)}
	want := map[string]any{"metadata": map[string]any{"labels": map[string]any{"***": "x"}}, "list": []any{"a", "***"}, "n": int64(3)}
	if got := set.Object(dirty); !reflect.DeepEqual(got, want) {
		t.Errorf("Object = %v, want %v", got, want)
	}
	if dirty["list"].([]any)[1] == "***" {
		t.Error("the object itself was changed")
	}
}

// sealed is a text without exported fields.
type sealed struct{ text string }

func (s sealed) MarshalText() ([]byte, error) { return []byte(s.text), nil }

func (s *sealed) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}

func TestAValueOfAnyTypeIsCleaned(t *testing.T) {
	type name string
	type inner struct {
		Text   sealed
		At     time.Time
		Err    error
		hidden string
	}
	type outer struct {
		Name  name
		Inner []inner
		By    map[string][]name
		None  []string
		Bytes []byte
		Any   any
		Count int
	}
	const canary = "canary-0123456789"
	set := New(canary)
	failed := fmt.Errorf("no %s: %w", canary, os.ErrNotExist)
	at := time.Unix(1, 0)
	value := outer{
		Name: canary, Inner: []inner{{Text: sealed{canary}, At: at, Err: failed, hidden: "x"}},
		By: map[string][]name{canary: {"a", canary}}, Bytes: []byte(canary), Any: 3, Count: 4,
	}
	got := Value(set, value)
	if err := got.Inner[0].Err; err.Error() != "no ***: file does not exist" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v", err)
	}
	got.Inner[0].Err = nil
	want := outer{
		Name: mask, Inner: []inner{{Text: sealed{mask}, At: at, hidden: "x"}},
		By: map[string][]name{mask: {"a", mask}}, Bytes: []byte(canary), Any: 3, Count: 4,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Value = %+v, want %+v", got, want)
	}
	if value.Name != canary || value.Inner[0].Text.text != canary {
		t.Error("the value itself was changed")
	}
}

func TestLogsHoldNoSecret(t *testing.T) {
	const canary = "canary-0123456789"
	set := New(canary)
	core, lines := observer.New(zap.DebugLevel)
	log := set.Logger(zap.New(core)).With(zap.String("with", canary))
	log.Debug("got "+canary, zap.String("text", canary), zap.Error(errors.New(canary)), zap.Stringer("name", &url.URL{Path: canary}),
		zap.Any("any", map[string]string{"a": canary}), zap.Int("n", 1))
	if n := lines.Len(); n != 1 {
		t.Fatalf("%d lines, want one", n)
	}
	line := lines.All()[0]
	if text := fmt.Sprint(line.Message, line.ContextMap()); strings.Contains(text, "0123456789") || !strings.Contains(text, "n:1") {
		t.Errorf("logged: %s", text)
	}
}

func TestSecretsOfHeadersAreLearnt(t *testing.T) {
	set := New()
	set.LearnHeader("Bearer first-token-1")
	set.LearnHeader("Basic " + base64.StdEncoding.EncodeToString([]byte("bob:correct horse battery")))
	if got := set.Mask("first-token-1, correct horse battery, bob"); got != "***, ***, bob" {
		t.Errorf("Mask = %q", got)
	}
	for i := range 2 * learntMost {
		set.LearnHeader(fmt.Sprintf("Bearer renewed-token-%d", i))
	}
	if got := set.Mask("first-token-1"); got == mask {
		t.Error("a secret that was learnt long ago is still known: they grow endlessly")
	}
}

func FuzzMask(f *testing.F) {
	f.Add("Bearer %s", "s3cr3t-token-of-some-length")
	f.Add("https://user:%s@host/", "p%40ss%word\\n1")
	f.Add("\xff\xfe&#x%s;", "0123456789abcdef")
	f.Fuzz(func(t *testing.T, text, canary string) {
		set := New(canary)
		got := set.Mask(strings.ReplaceAll(text, "%s", canary))
		if bare := bareOf(canary); len(bare) >= shortest && !strings.Contains(bareOf(text), bare[:shortest/2]) && strings.Contains(got, canary) {
			t.Errorf("Mask(%q) = %q holds %q", text, got, canary)
		}
	})
}

func BenchmarkObjectWithoutASecret(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable on purpose
	set := New(random(r, 900))
	object := map[string]any{}
	for i := range 40 {
		object[fmt.Sprintf("field%d", i)] = []any{"a usual value", "nginx", int64(1), map[string]any{"f:metadata": "2026-01-01T00:00:00Z", "name": "web"}}
	}
	for b.Loop() {
		set.Object(object)
	}
}

// A token file may contain anything, even invalid text.
func TestASecretThatIsNotTextIsMasked(t *testing.T) {
	for _, secret := range []string{"0000\xac000", "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", "päss\x80wort!", "\x00\x01\x02\x03!?!?"} {
		s := New(secret)
		for _, text := range []string{"a " + secret + " b", "a " + strings.Join(strings.Split(secret, ""), "\n") + " b"} {
			if got := s.Mask(text); strings.Contains(got, secret) || !strings.Contains(got, mask) {
				t.Errorf("Mask(%q) = %q", text, got)
			}
		}
	}
}
