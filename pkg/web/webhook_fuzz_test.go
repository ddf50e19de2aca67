package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func FuzzOnlySignedDeliveriesNudge(f *testing.F) {
	secret := []byte("a secret that nobody knows")
	sign := func(body []byte) string {
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		return hex.EncodeToString(mac.Sum(nil))
	}
	f.Add([]byte(`{"ref": "refs/heads/main"}`), sign([]byte(`{"ref": "refs/heads/main"}`)), "application/json")
	f.Add([]byte(``), sign(nil), "")
	f.Add([]byte("\x00\xff"), strings.ToUpper(sign([]byte("\x00\xff"))), "multipart/form-data; boundary=x")
	f.Add([]byte(`x`), " "+sign([]byte("x")), "text/html")
	f.Fuzz(func(t *testing.T, body []byte, signature, contentType string) {
		nudges := 0
		h := New(Options{
			Nudge:         func() { nudges++ },
			WebhookSecret: func() ([]byte, error) { return secret, nil },
			Log:           zap.NewNop(),
		})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook/gitea", bytes.NewReader(body))
		r.Header.Set("X-Gitea-Signature", signature)
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		signed := strings.EqualFold(signature, sign(body))
		if got := w.Code == http.StatusAccepted && nudges == 1; got != signed || nudges > 1 {
			t.Errorf("status %d and %d nudges for signature %q, want it taken: %t", w.Code, nudges, signature, signed)
		}
		if answer := w.Body.String(); bytes.Contains(w.Body.Bytes(), secret) || len(answer) > 1000 {
			t.Errorf("the answer is %q", answer)
		}
	})
}
