package web

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func FuzzOnlySignedDeliveriesNudge(f *testing.F) {
	secret := []byte("a secret that nobody knows")
	f.Add([]byte(`{"ref": "refs/heads/main"}`), hexSum(`{"ref": "refs/heads/main"}`, secret), "application/json")
	f.Add([]byte(``), hexSum("", secret), "")
	f.Add([]byte("\x00\xff"), strings.ToUpper(hexSum("\x00\xff", secret)), "multipart/form-data; boundary=x")
	f.Add([]byte(`x`), " "+hexSum("x", secret), "text/html")
	f.Fuzz(func(t *testing.T, body []byte, signature, contentType string) {
		for path, head := range map[string]http.Header{
			"/webhook/gitea":     {"X-Gitea-Signature": {signature}},
			"/webhook/github":    {"X-Hub-Signature-256": {"sha256=" + signature}},
			"/webhook/bitbucket": {"X-Hub-Signature": {"sha256=" + signature}},
			"/webhook/generic":   {"X-Signature": {"sha256=" + signature}},
		} {
			head.Set("Content-Type", contentType)
			deliver(t, path, body, head, secret, strings.EqualFold(signature, hexSum(string(body), secret)))
		}
	})
}

// deliver makes a delivery. It fails the test if the delivery is wrongly accepted or
// refused, or if the answer contains the secret.
func deliver(t *testing.T, path string, body []byte, head http.Header, secret []byte, taken bool) {
	t.Helper()
	nudges := 0
	h := New(Options{
		Nudge:         func() { nudges++ },
		WebhookSecret: func() ([]byte, error) { return secret, nil },
		Log:           zap.NewNop(),
	})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
	r.Header = head
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Code == http.StatusAccepted && nudges == 1; got != taken || nudges > 1 {
		t.Errorf("%s: status %d and %d nudges for %v, want it taken: %t", path, w.Code, nudges, head, taken)
	}
	if answer := w.Body.String(); bytes.Contains(w.Body.Bytes(), secret) || len(answer) > 1000 {
		t.Errorf("%s: the answer is %q", path, answer)
	}
}

// It tries the secret itself, a password, and a signature by a signing token.
func FuzzOnlyTheSecretNudges(f *testing.F) {
	right, key := string(signingToken), []byte("a key that nobody knows, 32 long")
	signed := "v1," + base64.StdEncoding.EncodeToString(sum("a.1.x", key))
	f.Add(right, "Basic "+base64.StdEncoding.EncodeToString([]byte("u:"+right)), "a", "1", signed, []byte("x"))
	f.Add(right+"\x00", "basic "+base64.StdEncoding.EncodeToString([]byte(":"+right)), "a.1", "", "v1, "+signed, []byte(".x"))
	f.Add("", "Basic", "", "", "v1,", []byte{})
	f.Add(right[:20], "Bearer "+right, "a", "1", strings.Repeat("v1,AAAA ", 100)+signed, []byte("x"))
	f.Fuzz(func(t *testing.T, token, authorization, id, timestamp, signature string, body []byte) {
		deliver(t, "/webhook/gitlab", body, http.Header{"X-Gitlab-Token": {token}}, signingToken, token == right)

		parsed := &http.Request{Header: http.Header{"Authorization": {authorization}}}
		_, password, _ := parsed.BasicAuth()
		deliver(t, "/webhook/azuredevops", body, parsed.Header, signingToken, password == right)

		proved := false
		for i, part := range strings.Split(signature, " ") {
			got, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(part, "v1,"))
			fits := subtle.ConstantTimeCompare(got, sum(id+"."+timestamp+"."+string(body), key)) == 1
			proved = proved || i < maxSignatures && err == nil && fits && strings.HasPrefix(part, "v1,")
		}
		deliver(t, "/webhook/gitlab", body, http.Header{
			"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature},
		}, signingToken, proved && id != "" && timestamp != "")
	})
}
