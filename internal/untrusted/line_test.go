package untrusted

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestLineMasksSecrets(t *testing.T) {
	secrets := NewSecrets("hunter2!", "", "in")
	for in, want := range map[string]string{
		"dial tcp 10.0.0.1:6443: connection refused":                                        "dial tcp 10.0.0.1:6443: connection refused",
		"bad header Authorization: Bearer abc.def-ghi":                                      "bad header Authorization: Bearer ***",
		"sent basic dXNlcjpwYXNz to it":                                                     "sent basic *** to it",
		`Get "https://bob:pa55@cluster:6443/readyz": EOF`:                                   `Get "https://***@cluster:6443/readyz": EOF`,
		"clone ssh://git@host/a and ssh://git:pa55@host/b":                                  "clone ssh://git@host/a and ssh://***@host/b",
		"ssh://git@host,https://bob:pa55@host":                                              "ssh://***@host",
		"GET /x?access_token=s3cr3t&watch=1":                                                "GET /x?access_token=***&watch=1",
		"token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl":                       "token ***",
		"the known one is hunter2!":                                                         "the known one is ***",
		"TO\u212aEN=abcdefgh":                                                               "TO\u212aEN=***",
		"Authorization: token abcdefgh":                                                     "Authorization: token ***",
		"the token expired at noon":                                                         "the token expired at noon",
		"sent token 0123456789abcdef0123":                                                   "sent token ***",
		"password=swordfish is wrong":                                                       "password=*** is wrong",
		"aws_secret_access_key = AKIAabc":                                                   "aws_secret_access_key = ***",
		`it said {"access_token":"abcdefgh","n":1}`:                                         `it said {"access_token":"***","n":1}`,
		`it said {\"token\": \"abcdefgh\"}`:                                                 `it said {\"token\": \"***\"}`,
		`{"token":"ab\"cd","n":1}`:                                                          `{"token":"***","n":1}`,
		`it said {'password': 'sword fish'}`:                                                `it said {'password': '***'}`,
		`password="" token="abc def`:                                                        `password="" token=***`,
		"map[password:swordfish user:bob]":                                                  "map[password:*** user:bob]",
		"X-Vault-Token: s.abcdef":                                                           "X-Vault-Token: ***",
		"Set-Cookie: a=b; Path=/; more":                                                     "Set-Cookie: ***; more",
		`spec.password: Invalid value: "swordfish": too short`:                              `spec.password: Invalid value: ***: too short`,
		"key -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- end": "key *** end",
		"key -----BEGIN PRIVATE KEY-----\nMIIE\nabc":                                        "key ***",
		"remote: ghp_0123456789abcdefABCDEF0123456789abcd":                                  "remote: ***",
		"cut eyJhbGciOiJSUzI1NiIsImtpZCI6Ij":                                                "cut ***",
		`password="https://bob:pa55@host" {"token":"abc"}`:                                  `password=*** {"token":"***"}`,
		"hun\u200bter2! is hidden":                                                          "*** is hidden",
		"hun\nter2! and hunter2%21 and hunt er2!":                                           "*** and *** and ***",
		"aHVudGVyMiE= and Ym9iOmh1bnRlcjIh":                                                 "*** and ***",
		"\x1b[31mred\x7f \ufffe\u0085\u202eup":                                              "[31mred up",
		"two\nlines\tand\x00more   blanks\r\n":                                              "two lines and more blanks",
		`secret "web-tls" not found`:                                                        `secret "web-tls" not found`,
		"spec.token: Required value":                                                        "spec.token: Required value",
		"docker pull nginx:1.2@sha256:abc":                                                  "docker pull nginx:1.2@sha256:abc",
		"a\xffb":                                                                            "a\uFFFDb",
		"":                                                                                  "",
	} {
		if got := secrets.Line(in); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCleanCutsBetweenRunes(t *testing.T) {
	for _, c := range []struct {
		in   string
		most int
		want string
	}{
		{"", 10, ""},
		{"short", 5, "short"},
		{"longer", 5, "lo…"},
		{"203.0.113.10 · 13/13 clusters", 15, "203.0.113.10…"}, // "·" would not fit whole
		{"日本語", 9, "日本語"},
		{"日本語", 8, "日…"},
		{"日本語", 2, ""},
		{"abc", 2, "ab"},
		{"abc", 0, ""},
		{"abc", -1, ""},
		{"\xff\xfe", 100, "\uFFFD"},
		{strings.Repeat("ü", 1<<20), 12, "üüüü…"},
		{"a" + strings.Repeat(" ", 1<<20) + "b", 12, "a…"},
	} {
		if got := Clean(c.in, c.most); got != c.want {
			t.Errorf("Clean(%.40q, %d) = %q, want %q", c.in, c.most, got, c.want)
		}
	}
}

func TestShortenKeepsWholeRunes(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"short", 5, "short"},
		{"shorter", 5, "shor…"},
		{"größer", 6, "größer"},
		{"größere", 6, "größe…"},
		{"日本語日本語", 3, "日本…"},
		{"", 1, ""},
	} {
		if got := Shorten(c.text, c.n); got != c.want {
			t.Errorf("Shorten(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

// The text from an API server may be as long as its answer.
func TestCleaningMegabytesTakesNoLongerThanCleaningTheHead(t *testing.T) {
	for name, unit := range map[string]string{
		"words":          "the token expired, ",
		"one word":       "a",
		"settings":       "password=x&",
		"quotes":         `"token":"`,
		"open quotes":    `password="`,
		"user names":     "://a@",
		"keys":           "-----BEGIN ",
		"names":          "token-secret_",
		"headers":        "a-token: ",
		"no text":        "\xff",
		"invisible":      "\u200b",
		"nothing hidden": "日本語",
	} {
		text := strings.Repeat(unit, 32<<20/len(unit))
		began := time.Now()
		got := Line(text)
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s: took %v for %d MiB", name, took, len(text)>>20)
		}
		if len(got) > MaxLine {
			t.Errorf("%s: %d bytes, want at most %d", name, len(got), MaxLine)
		}
	}
}

func TestASecretCutAtTheEndIsNotShown(t *testing.T) {
	secret := strings.Repeat("s3cr3t", 8)
	for blanks := 0; blanks < window(MaxLine); blanks += 5 {
		// The blanks are removed, so the line ends far before the text that was
		// read.
		text := strings.Repeat(" ", blanks) + "user " + secret + " " + strings.Repeat("x ", 4*MaxLine)
		if got := NewSecrets(secret).Line(text); strings.Contains(got, "s3cr3t") {
			t.Fatalf("after %d blanks the line is %q", blanks, got)
		}
	}
}

func checkLine(t *testing.T, in, got string, most int) {
	t.Helper()
	if !utf8.ValidString(got) || len(got) > max(most, 0) {
		t.Errorf("Clean(%q, %d) = %q: %d bytes, valid %v", in, most, got, len(got), utf8.ValidString(got))
	}
	if strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) || invisible(r) && !joiner(r) || Hidden(r) }) {
		t.Errorf("Clean(%q, %d) = %q has invisible characters", in, most, got)
	}
}

func TestJoinersStayWhereALanguageHasThem(t *testing.T) {
	for text, want := range map[string]string{
		"می\u200cخواهم":                  "می\u200cخواهم",
		"👩🏽\u200d💻":                      "👩🏽\u200d💻",
		"to\u200bken=\u200da\u200cb":     "token=***",
		"\u200da \u200c日":                "a 日",
		"日\u200c\u200d\u200c日\u200d":     "日\u200c日",
		"日\u200c" + "\u202e" + "\u200d日": "日\u200d日",
	} {
		if got := Line(text); got != want {
			t.Errorf("Line(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzCleanIsIdempotentAndBounded(f *testing.F) {
	f.Add("203.0.113.10 · 13/13 clusters · 26/26 ready", 20)
	f.Add("a\u0300\u202eb\x00\xff", 3)
	f.Add("日本語", 7)
	f.Add(`password="a token=b`+"Bearer \u200bc{\"token\":\"d", 40)
	f.Add("basic ://a:b@c -----BEGIN X", 20)
	f.Fuzz(func(t *testing.T, text string, most int) {
		got := Clean(text, most)
		checkLine(t, text, got, most)
		if again := Clean(got, most); again != got {
			t.Errorf("Clean(%q, %d) = %q, and again %q", text, most, got, again)
		}
		if whole := Clean(text, 1<<30); len(whole) <= most && got != whole && len(text) <= window(most) {
			t.Errorf("Clean(%q, %d) = %q, want %q, which fits", text, most, got, whole)
		}
	})
}

// secretShapes are forms in which servers quote credentials; %s is the secret.
var secretShapes = []string{
	"Authorization: Bearer %s", "authorization: Basic %s", `"Authorization":"Bearer %s"`, "map[Authorization:[Bearer %s]]",
	"https://bob:%s@example.com/a.git", "https://%s@example.com", "password=%s", "db_password = %s", `passwd="%s"`, "token='%s'",
	"/x?a=1&access_token=%s&b=2", "client_secret=%s", "api_key=%s", `{"token":"%s"}`, `{"refresh_token": "%s", "n": 1}`,
	`{\"password\":\"%s\"}`, "{'secret': '%s'}", "X-Vault-Token: %s", "PRIVATE-TOKEN: %s", "Cookie: session=%s",
	"map[password:%s]", `spec.password: Invalid value: "%s": no`, "eyJhbGciOiJub25lIn0.%s.c2ln",
	"-----BEGIN RSA PRIVATE KEY-----\n%s\n-----END RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n%s", "ghp_0123456789%s",
}

func FuzzCleanHidesWhatLooksLikeASecret(f *testing.F) {
	for i := range secretShapes {
		f.Add(uint8(i), []byte("s3cr3t-token"), "denied: ", " is wrong")
	}
	f.Add(uint8(13), []byte("abcdefgh"), `password="`, `"`)
	f.Fuzz(func(t *testing.T, shape uint8, seed []byte, before, behind string) {
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		if len(seed) < 8 || len(seed) > 100 {
			return
		}
		secret := make([]byte, len(seed))
		for i, b := range seed {
			secret[i] = letters[int(b)%len(letters)]
		}
		form := secretShapes[int(shape)%len(secretShapes)]
		text := before + "\n" + strings.ReplaceAll(form, "%s", string(secret)) + "\n" + behind
		if strings.Contains(before+form+behind, string(secret)) {
			return
		}
		got := Line(text)
		checkLine(t, text, got, MaxLine)
		if strings.Contains(got, string(secret)) {
			t.Errorf("Line(%q) = %q holds the secret %q", text, got, secret)
		}
	})
}
