package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestACrowdDoesNotFillTheLog(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	h := New(Options{
		WebhookSecret: func() ([]byte, error) { return []byte("a secret that nobody knows"), nil },
		Log:           zap.New(core),
	})
	for range 1000 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook/gitea", strings.NewReader("{}"))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	// The minute may end in between.
	if n := logs.FilterMessage("webhook delivery refused").Len(); n < refusalsLogged || n > 2*refusalsLogged {
		t.Errorf("1000 refusals are %d lines in the log, want %d a minute", n, refusalsLogged)
	}
}

func TestWebhook(t *testing.T) {
	secret := []byte("a secret that nobody knows")
	sign := func(body string, secret []byte) string {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(body))
		return hex.EncodeToString(mac.Sum(nil))
	}
	push := `{"ref":"refs/heads/main","after":"` + strings.Repeat("e", 40) + `"}`
	large := strings.Repeat("x", maxDelivery+1)
	for _, c := range []struct {
		name      string
		body      string
		signature string
		secret    []byte
		err       error
		code      int
		nudges    int
	}{
		{"good", push, sign(push, secret), secret, nil, 202, 1},
		{"secret file ends in a line end", push, sign(push, secret), append(bytes.Clone(secret), '\r', '\n'), nil, 202, 1},
		{"capital digits", push, strings.ToUpper(sign(push, secret)), secret, nil, 202, 1},
		{"no JSON, well signed", "hello", sign("hello", secret), secret, nil, 202, 1},
		{"largest", large[1:], sign(large[1:], secret), secret, nil, 202, 1},
		{"too large", large, sign(large, secret), secret, nil, 413, 0},
		{"no signature", push, "", secret, nil, 403, 0},
		{"signed with another secret", push, sign(push, []byte("x")), secret, nil, 403, 0},
		{"signature of another body", push, sign("x", secret), secret, nil, 403, 0},
		{"half a signature", push, sign(push, secret)[:32], secret, nil, 403, 0},
		{"signature is no hex", push, strings.Repeat("z", 64), secret, nil, 403, 0},
		{"not configured", push, sign(push, nil), nil, nil, 501, 0},
		{"empty secret file", push, sign(push, nil), []byte("\n"), nil, 501, 0},
		{"secret not readable", push, sign(push, secret), nil, errors.New("open secret: permission denied"), 503, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			nudges := 0
			core, logs := observer.New(zap.DebugLevel)
			h := New(Options{
				Nudge:         func() { nudges++ },
				WebhookSecret: func() ([]byte, error) { return c.secret, c.err },
				Log:           zap.New(core),
			})
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook/gitea", strings.NewReader(c.body))
			if c.signature != "" {
				r.Header.Set("X-Gitea-Signature", c.signature)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.code || nudges != c.nudges {
				t.Errorf("delivery = %d with %d nudges, want %d with %d", w.Code, nudges, c.code, c.nudges)
			}
			said := w.Body.String()
			for _, e := range logs.All() {
				said += e.Message
				for _, f := range e.Context {
					said += f.Key + f.String
				}
			}
			for _, s := range []string{string(secret), sign(push, secret)} {
				if strings.Contains(said, s) {
					t.Errorf("%q is in an answer or a log: %s", s, said)
				}
			}
		})
	}
}
