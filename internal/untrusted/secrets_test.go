package untrusted

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// echoes returns the ways in which a server may send back a secret.
func echoes(secret string) map[string]string {
	inJSON, _ := json.Marshal(map[string]string{"said": secret}) // strings can always be encoded
	middle := len(secret) / 2
	return map[string]string{
		"plain":               "denied: " + secret + " is unknown",
		"in a URL":            "no such page /x?y=" + url.QueryEscape(secret) + "&z",
		"in a path":           "no such page /" + url.PathEscape(secret) + "/x",
		"in base64":           "got " + base64.StdEncoding.EncodeToString([]byte(secret)),
		"in base64 of more":   "got " + base64.StdEncoding.EncodeToString([]byte("bob:"+secret+"\n")),
		"in base64 for URLs":  "got " + base64.RawURLEncoding.EncodeToString([]byte("a:"+secret)),
		"in JSON":             string(inJSON),
		"quoted":              strconv.Quote(secret),
		"in hexadecimal":      hex.EncodeToString([]byte(secret)),
		"split by a newline":  secret[:middle] + "\n" + secret[middle:],
		"split by an escape":  secret[:middle] + `\n` + secret[middle:],
		"split, and unseen":   secret[:middle] + "\u200b" + secret[middle:],
		"in a header":         "X-Echo: " + secret,
		"as a name":           `configmaps "` + secret + `" not found`,
		"as a name of others": "x" + secret + "y",
	}
}

func TestKnownSecretsAreHiddenInEveryShape(t *testing.T) {
	for _, secret := range []string{"c4n4ry-t0k3n-0123456789", "p@ss/w:rd+ with=odd&chars\"", "ééé-ünïcode-pässword", "ab<cd>ef&gh"} {
		s := NewSecrets(secret, "another one")
		for name, text := range echoes(secret) {
			got := s.Line(text)
			for what, form := range echoes(secret) {
				if form = strings.TrimPrefix(form, "got "); what != "as a name of others" && len(form) >= 8 && strings.Contains(got, form) {
					t.Errorf("%q, %s: the line %q holds it", secret, name, got)
				}
			}
			if strings.Contains(got, secret) || !strings.Contains(got, mask) {
				t.Errorf("%q, %s: the line is %q", secret, name, got)
			}
		}
	}
}

func TestMaskChangesNothingElse(t *testing.T) {
	const text = "a\n  b\x00 token=x \u202e c4n4ry \xff"
	if got, want := NewSecrets("c4n4ry", "x").Mask(text), "a\n  b\x00 token=x \u202e *** \xff"; got != want {
		t.Errorf("Mask(%q) = %q, want %q", text, got, want)
	}
	if got := NewSecrets("", "abc").Mask(text); got != text {
		t.Errorf("Mask without secrets = %q, want %q", got, text)
	}
}

func FuzzCleanNeverLeaksAndStaysText(f *testing.F) {
	f.Add("Bearer %s", "s3cr3t-token")
	f.Add("https://user:%s@host/", "p%40ss")
	f.Add("\xff\xfe %s", "0123456789")
	f.Fuzz(func(t *testing.T, text, secret string) {
		if len(secret) < 4 {
			return
		}
		s := NewSecrets(secret)
		in := strings.ReplaceAll(text, "%s", secret)
		got := s.Line(in)
		// A mask may by chance be part of the secret, or join two halves of it.
		if !strings.Contains(secret, "*") && secret != ellipsis && strings.Contains(strings.ReplaceAll(got, mask, "\x00"), secret) {
			t.Errorf("Line(%q) = %q holds the secret %q", text, got, secret)
		}
		checkLine(t, in, got, MaxLine)
		if again := s.Line(got); again != got {
			t.Errorf("Line(%q) = %q, and again %q", text, got, again)
		}
	})
}
