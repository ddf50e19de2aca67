package untrusted

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"testing"
)

func TestURLHidesCredentialsAndNothingElse(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"https://example.com/a/b.git", "https://example.com/a/b.git"},
		{"https://token@example.com/a", "https://***@example.com/a"},
		{"https://me:pass@example.com/a", "https://***@example.com/a"},
		{"https://me:p@ss/w:rd@example.com/a", "https://***@example.com/a"},
		{"https://example.com/a?private_token=x", "https://example.com/a?***"},
		{"https://example.com/a#x", "https://example.com/a#***"},
		{"ssh://git@example.com/a", "ssh://git@example.com/a"},
		{"ssh://git:pass@example.com/a", "ssh://***@example.com/a"},
		{"git@example.com:a/b", "git@example.com:a/b"},
		{"git:pass@example.com:a/b", "***@example.com:a/b"},
		{"/srv/git/a@b", "/srv/git/a@b"},
		{"", ""},
	} {
		if got := URL(c.in); got != c.want {
			t.Errorf("URL(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzURLNeverLeaks(f *testing.F) {
	f.Add("https", "me", "s3cret-token", "example.com")
	f.Add("ssh", "git", "p@ss/word:?#", "example.com")
	f.Fuzz(func(t *testing.T, scheme, user, secret, host string) {
		// A secret that is part of the fixed text cannot be recognized.
		written := scheme + user + mask + "https://ssh://@" + host + "/a.git"
		if len(secret) < 6 || strings.Contains(written, secret) || strings.Contains(written, url.QueryEscape(secret)) || strings.ContainsAny(host, "@:/?#") {
			return
		}
		if scheme != "https" && scheme != "http" && scheme != "ssh" {
			scheme = "https"
		}
		for _, in := range []string{
			scheme + "://" + user + ":" + secret + "@" + host + "/a.git",
			scheme + "://" + url.UserPassword(user, secret).String() + "@" + host + "/a.git",
			"https://" + secret + "@" + host + "/a.git",
		} {
			if got := URL(in); strings.Contains(got, secret) || strings.Contains(got, url.QueryEscape(secret)) {
				t.Errorf("URL(%q) = %q, which holds the secret", in, got)
			}
		}
	})
}

func TestHiddenCharactersBecomeVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain, größer, 日本語":    "plain, größer, 日本語",
		"line\n\tend":           "line\n\tend",
		"\x1b[31mred\x07":       `\x1b[31mred\a`,
		"a\r\nb":                "a\\r\nb",
		"\u202egnp.exe":         `\u202egnp.exe`,
		"\u2066a\u2069 \u200f":  `\u2066a\u2069 \u200f`,
		"zero\u200bwidth\ufeff": `zero\u200bwidth\ufeff`,
		"\U000e0041":            `\U000e0041`,
		"bad\xff\xc3utf8":       "bad\uFFFD\uFFFDutf8",
		"👩\u200d💻 and می\u200cخواهم": "👩\u200d💻 and می\u200cخواهم",
		"\u009b\x7f\u2028":           `\u009b\x7f\u2028`,
	} {
		if got := string(Visible([]byte(text))); got != want {
			t.Errorf("Visible(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestQuoteLeavesPlainWordsAlone(t *testing.T) {
	for word, want := range map[string]string{
		"gce-us-east1b":   "gce-us-east1b",
		"":                "''",
		"a b":             "'a b'",
		"$(rm -rf /)":     "'$(rm -rf /)'",
		"it's":            `'it'\''s'`,
		"a\nb\x1b\u202ec": "'a bc'",
		"system:x":        "system:x",
		"~root":           "'~root'",
	} {
		if got := Quote(word); got != want {
			t.Errorf("Quote(%q) = %s, want %s", word, got, want)
		}
	}
	if got, want := Command("kubectl --context=%s get %s", "a;b", "pods"), "kubectl --context='a;b' get pods"; got != want {
		t.Errorf("Command = %q, want %q", got, want)
	}
}

// FuzzQuoteIsOneWord checks the result with a shell.
func FuzzQuoteIsOneWord(f *testing.F) {
	for _, word := range []string{"plain", "", "a b", "$(id)", "`id`", "it's", `\`, "*", "~", "a\nb", "!x", "-n", "a=b"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf '%s|' x "+Quote(word)).Output() //nolint:gosec // the test is how a shell reads it
		if want := "x|" + oneLine(withoutControls(word)) + "|"; err != nil || string(out) != want {
			t.Errorf("a shell reads %s as %q (%v), want %q", Quote(word), out, err, want)
		}
	})
}

func TestSomeCountsTheRest(t *testing.T) {
	for most, want := range map[int]string{0: "4", 1: "a and 3 more", 3: "a, b, c and 1 more", 4: "a, b, c, d", 9: "a, b, c, d"} {
		if got := Some([]string{"a", "b", "c", "d"}, most); got != want {
			t.Errorf("Some(%d) = %q, want %q", most, got, want)
		}
	}
	if got := Some[string](nil, 3); got != "" {
		t.Errorf("Some of none = %q", got)
	}
}

func TestAListNamesThingsWholeOrCountsThem(t *testing.T) {
	things := strings.Split(strings.Repeat("kubectl get pods|", 200), "|")[:200]
	got := List("look: ", things, "; ").String()
	head, count, _ := strings.Cut(got, "; and ")
	if n := strings.Count(head, "kubectl get pods"); len(got) > MaxText || count != fmt.Sprintf("%d more", 200-n) || n < 80 || !strings.HasSuffix(head, "; kubectl get pods") {
		t.Errorf("List of 200 has %d bytes and %d of them: %q", len(got), n, got)
	}
	if got, want := List("look: ", things[:2], "; ").String(), "look: kubectl get pods; kubectl get pods"; got != want {
		t.Errorf("List = %q, want %q", got, want)
	}
	if got := List("", nil, "; "); !got.IsZero() {
		t.Errorf("List of none = %q", got)
	}
	if got := List("", []string{strings.Repeat("long ", 1000), "b"}, "; ").String(); len(got) > MaxText || !strings.HasSuffix(got, "…") {
		t.Errorf("List of a long one has %d bytes: %q", len(got), got)
	}
}

func TestATextIsCleanedHoweverItIsMade(t *testing.T) {
	const raw, want = "a\n password=x", "a password=***"
	var read struct{ A, B Text }
	if err := json.Unmarshal([]byte(`{"A":"a\n password=x","B":""}`), &read); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]Text{
		"New": New(raw), "Textf": Textf("a\n %s", "password=x"), "JSON": read.A, "with secrets": NewSecrets("s3cr3t").Text(raw),
	} {
		if got.String() != want || got.IsZero() || !got.Equal(New(want)) || got.Compare(New("b")) >= 0 {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if out, err := json.Marshal(read); err != nil || string(out) != `{"A":"a password=***","B":""}` {
		t.Errorf("as JSON it is %s (%v)", out, err)
	}
	if !read.B.IsZero() {
		t.Errorf("an empty text is %q", read.B)
	}
}
