package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestACrowdDoesNotFillTheLog(t *testing.T) {
	for name, read := range map[string]func() ([]byte, error){
		"webhook delivery refused":    func() ([]byte, error) { return []byte("a secret that nobody knows"), nil },
		"webhook secret not readable": func() ([]byte, error) { return nil, errors.New("permission denied") },
	} {
		core, logs := observer.New(zap.InfoLevel)
		h := New(Options{WebhookSecret: read, Log: zap.New(core)})
		for i := range 1000 {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, webhooks[i%len(webhooks)].path, strings.NewReader("{}"))
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		// The minute may end in between.
		if n := logs.FilterMessage(name).Len(); n < refusalsLogged || n > 2*refusalsLogged {
			t.Errorf("%s: 1000 refusals are %d lines in the log, want %d a minute", name, n, refusalsLogged)
		}
	}
}

// sum returns the HMAC-SHA256 of a text.
func sum(text string, secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func hexSum(text string, secret []byte) string { return hex.EncodeToString(sum(text, secret)) }

// A sender is a forge that makes the headers which prove a body.
type sender struct {
	name, path string
	prove      func(body string, secret []byte) http.Header
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for pair := range slices.Chunk(pairs, 2) {
		h.Set(pair[0], pair[1])
	}
	return h
}

// signingToken is a secret in the form of GitLab's signing tokens.
var signingToken = []byte("whsec_" + base64.StdEncoding.EncodeToString([]byte("a key that nobody knows, 32 long")))

// senders has all forms of proof. They are written by hand, from the forges'
// documentation, so that the server's results are not compared with themselves.
func senders() []sender {
	return []sender{
		{"GitHub", "/webhook/github", func(body string, secret []byte) http.Header {
			return header("X-Hub-Signature-256", "sha256="+hexSum(body, secret))
		}},
		{"GitLab", "/webhook/gitlab", func(_ string, secret []byte) http.Header { return header("X-Gitlab-Token", string(secret)) }},
		{"GitLab, signed", "/webhook/gitlab", func(body string, secret []byte) http.Header {
			key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(secret), "whsec_")) // without a token nothing is signed
			signature := base64.StdEncoding.EncodeToString(sum("msg-1.1767222000."+body, key))
			return header("webhook-id", "msg-1", "webhook-timestamp", "1767222000", "webhook-signature", "v1,"+signature)
		}},
		{"GitLab, signed by two", "/webhook/gitlab", func(body string, secret []byte) http.Header {
			key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(secret), "whsec_"))
			signature := base64.StdEncoding.EncodeToString(sum("m.1."+body, key))
			other := base64.StdEncoding.EncodeToString(sum("m.1."+body, []byte("old")))
			return header("webhook-id", "m", "webhook-timestamp", "1", "webhook-signature", "v1,"+other+" v2,x v1,"+signature,
				"X-Gitlab-Token", "a token that is another")
		}},
		{"Gitea", "/webhook/gitea", func(body string, secret []byte) http.Header {
			return header("X-Gitea-Signature", hexSum(body, secret))
		}},
		{"Forgejo", "/webhook/gitea", func(body string, secret []byte) http.Header {
			return header("X-Forgejo-Signature", hexSum(body, secret))
		}},
		{"Bitbucket", "/webhook/bitbucket", func(body string, secret []byte) http.Header {
			return header("X-Hub-Signature", "sha256="+hexSum(body, secret))
		}},
		{"Azure DevOps", "/webhook/azuredevops", func(_ string, secret []byte) http.Header {
			return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("anybody:"+string(secret))))
		}},
		{"generic", "/webhook/generic", func(body string, secret []byte) http.Header {
			return header("X-Signature", "sha256="+hexSum(body, secret))
		}},
	}
}

// provesBody reports whether a sender's proof depends on the body.
func (s sender) provesBody() bool {
	return !slices.Contains([]string{"GitLab", "Azure DevOps"}, s.name)
}

func TestOnlyProvedDeliveriesPoll(t *testing.T) {
	const push = `{"ref":"refs/heads/main","after":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"}`
	large := strings.Repeat("x", maxDelivery+1)
	for _, s := range senders() {
		secret := signingToken
		right := s.prove(push, secret)
		stranger := s.prove(push, []byte("whsec_eHh4eHg="))
		ofAnother := map[bool]int{true: 403, false: 202}[s.provesBody()]
		for _, c := range []struct {
			name   string
			body   string
			header http.Header
			secret []byte
			err    error
			code   int
		}{
			{"good", push, right, secret, nil, 202},
			{"secret file ends in a line end", push, right, append(bytes.Clone(secret), '\r', '\n'), nil, 202},
			{"ping", `{"zen": "x"}`, s.prove(`{"zen": "x"}`, secret), secret, nil, 202},
			{"no JSON", "hello", s.prove("hello", secret), secret, nil, 202},
			{"no body", "", s.prove("", secret), secret, nil, 202},
			{"largest", large[1:], s.prove(large[1:], secret), secret, nil, 202},
			{"too large", large, s.prove(large, secret), secret, nil, 413},
			{"no proof", push, nil, secret, nil, 403},
			{"made with another secret", push, stranger, secret, nil, 403},
			{"of another body", "x", right, secret, nil, ofAnother},
			{"not configured", push, s.prove(push, nil), nil, nil, 501},
			{"empty secret file", push, s.prove(push, nil), []byte("\n"), nil, 501},
			{"secret not readable", push, right, nil, errors.New("open secret: permission denied"), 503},
		} {
			t.Run(s.name+"/"+c.name, func(t *testing.T) {
				nudges := 0
				core, logs := observer.New(zap.DebugLevel)
				h := New(Options{
					Nudge:         func() { nudges++ },
					WebhookSecret: func() ([]byte, error) { return c.secret, c.err },
					Log:           zap.New(core),
				})
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, s.path, strings.NewReader(c.body))
				for name := range c.header {
					r.Header.Set(name, c.header.Get(name))
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if want := map[bool]int{true: 1}[c.code == 202]; w.Code != c.code || nudges != want {
					t.Errorf("delivery = %d with %d nudges, want %d with %d", w.Code, nudges, c.code, want)
				}
				said := w.Body.String()
				for _, e := range logs.All() {
					said += e.Message
					for _, f := range e.Context {
						said += f.Key + f.String
					}
				}
				if strings.Contains(said, string(secret)) {
					t.Errorf("the secret is in an answer or a log: %s", said)
				}
				for _, values := range right {
					if strings.Contains(said, values[0]) && len(values[0]) > 20 {
						t.Errorf("%q is in an answer or a log: %s", values[0], said)
					}
				}
			})
		}
	}
}

// A delivery is proved only by a form that its path accepts.
func TestAProofCountsOnlyAtItsOwnPath(t *testing.T) {
	for _, s := range senders() {
		for _, hook := range webhooks {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, hook.path, strings.NewReader("{}"))
			r.Header = s.prove("{}", signingToken)
			w, nudges := httptest.NewRecorder(), 0
			New(Options{Nudge: func() { nudges++ }, WebhookSecret: func() ([]byte, error) { return signingToken, nil }}).ServeHTTP(w, r)
			if own := hook.path == s.path; own != (nudges == 1) || own != (w.Code == http.StatusAccepted) {
				t.Errorf("a delivery of %s at %s = %d with %d nudges", s.name, hook.path, w.Code, nudges)
			}
		}
	}
}

func TestMalformedProofsAreRefusedUnread(t *testing.T) {
	good, digits := hexSum("{}", crowdSecret), base64.StdEncoding.EncodeToString(sum("m.1.{}", crowdSecret))
	for _, c := range []struct {
		path   string
		header http.Header
	}{
		{"/webhook/github", header("X-Hub-Signature-256", good)},
		{"/webhook/github", header("X-Hub-Signature-256", "sha1="+good)},
		{"/webhook/github", header("X-Hub-Signature", "sha256="+good)},
		{"/webhook/github", header("X-Hub-Signature-256", "sha256="+good[:32])},
		{"/webhook/github", header("X-Hub-Signature-256", "sha256="+strings.Repeat("z", 64))},
		{"/webhook/github", header("X-Github-Event", "ping")},
		{"/webhook/gitlab", header("X-Gitlab-Token", "")},
		{"/webhook/gitlab", header("X-Gitlab-Token", string(crowdSecret)+" ")},
		{"/webhook/gitlab", header("X-Gitlab-Token", string(crowdSecret[1:]))},
		{"/webhook/gitlab", header("Webhook-Id", "m", "Webhook-Timestamp", "1", "Webhook-Signature", "v1,"+digits)}, // the secret is not a signing token
		{"/webhook/bitbucket", header("X-Hub-Signature", good)},
		{"/webhook/bitbucket", header("X-Hub-Signature", "", "X-Event-Key", "repo:refs_changed")},
		{"/webhook/azuredevops", header("Authorization", "Bearer "+string(crowdSecret))},
		{"/webhook/azuredevops", header("Authorization", "Basic "+base64.StdEncoding.EncodeToString(crowdSecret))},
		{"/webhook/azuredevops", header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(string(crowdSecret)+":")))},
		{"/webhook/generic", header("X-Signature", good)},
	} {
		body, nudges := &countingReader{}, 0
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, c.path, body)
		r.Header = c.header
		w := httptest.NewRecorder()
		deliveryHandler(func() { nudges++ }).ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || body.reads > 0 || nudges > 0 {
			t.Errorf("%s with %v: %d after %d reads and %d nudges, want 403 after none", c.path, c.header, w.Code, body.reads, nudges)
		}
	}
}

// Bitbucket Data Center does not sign the test of a connection.
func TestAnUnsignedPingIsAnsweredAndDoesNothing(t *testing.T) {
	body, nudges := &countingReader{}, 0
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook/bitbucket", body)
	r.Header.Set("X-Event-Key", "diagnostics:ping")
	w := httptest.NewRecorder()
	deliveryHandler(func() { nudges++ }).ServeHTTP(w, r)
	if w.Code != http.StatusOK || nudges > 0 || body.reads > 0 {
		t.Errorf("a ping is answered %d after %d reads with %d nudges, want 200 and nothing done", w.Code, body.reads, nudges)
	}
}
