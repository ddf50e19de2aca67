package bounds

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/internal/secret"
)

// How much of a refusal's text is kept, in bytes. More would not be read, and
// processing takes time for each byte.
const (
	messageMost = 8 << 10
	textMost    = 2 << 10
	causesMost  = 100
)

// replaceBody replaces the body of an answer with a cleaned one, which reads at
// most most bytes.
func (g *Guard) replaceBody(resp *http.Response, most int, clean func([]byte) []byte) {
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	resp.Body = &replaced{from: resp.Body, most: int64(most), clean: clean}
}

// replaced is a body that is read as a whole and cleaned at the first read.
type replaced struct {
	from    io.ReadCloser
	most    int64
	clean   func([]byte) []byte
	content *bytes.Reader // nil before the first read
}

// Read implements io.Reader.
func (r *replaced) Read(p []byte) (int, error) {
	if r.content == nil {
		raw, err := io.ReadAll(io.LimitReader(r.from, r.most))
		if err != nil {
			return 0, err
		}
		r.content = bytes.NewReader(r.clean(raw))
	}
	return r.content.Read(p)
}

// Close implements io.Closer.
func (r *replaced) Close() error { return r.from.Close() }

func (g *Guard) cleanRefusal(raw []byte) []byte {
	var status metav1.Status
	if json.Unmarshal(raw, &status) == nil && status.Kind == "Status" {
		CleanStatus(&status, g.secrets)
		if cleaned, err := json.Marshal(status); err == nil {
			return cleaned
		}
	}
	if cleaned, ok := g.cleanShortJSON(raw); ok {
		return cleaned
	}
	return []byte(words(string(raw), textMost, g.secrets))
}

// cleanShortJSON removes the secrets from the strings of a document that is short enough
// to be passed on as a whole: a client reads the reason of a refusal from its fields.
func (g *Guard) cleanShortJSON(raw []byte) ([]byte, bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) > messageMost || !bytes.HasPrefix(raw, []byte("{")) {
		return nil, false
	}
	var document map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if decoder.Decode(&document) != nil || decoder.More() {
		return nil, false
	}
	cleaned, err := json.Marshal(g.secrets.Object(document))
	return cleaned, err == nil
}

type cleanedKey struct{}

// Cleaned returns a context for a request whose answer is not written back anywhere:
// secrets are then removed from the object too, including its names.
func Cleaned(ctx context.Context) context.Context { return context.WithValue(ctx, cleanedKey{}, true) }

func isCleaned(req *http.Request) bool { return req.Context().Value(cleanedKey{}) != nil }

func (g *Guard) cleanObject(raw []byte) []byte {
	if text := string(raw); g.secrets.Clean(text) == text {
		return raw
	}
	var object any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // unchanged
	if decoder.Decode(&object) != nil {
		return nil // not JSON, but it holds a secret
	}
	cleaned, err := json.Marshal(g.secrets.Object(object))
	if err != nil {
		return nil
	}
	return cleaned
}

// CleanStatus removes secrets and excess text from a Status that is an answer or
// the event of a watch.
func CleanStatus(status *metav1.Status, secrets *secret.Set) {
	status.Message = words(status.Message, messageMost, secrets)
	status.Reason = metav1.StatusReason(words(string(status.Reason), textMost, secrets))
	d := status.Details
	if d == nil {
		return
	}
	for _, text := range []*string{&d.Name, &d.Group, &d.Kind} {
		*text = words(*text, textMost, secrets)
	}
	d.Causes = d.Causes[:min(len(d.Causes), causesMost)]
	for i := range d.Causes {
		c := &d.Causes[i]
		c.Type = metav1.CauseType(words(string(c.Type), textMost, secrets))
		c.Message, c.Field = words(c.Message, textMost, secrets), words(c.Field, textMost, secrets)
	}
}

// words returns the beginning of a text, without secrets. A long text is cut first,
// before the last partial word, since a piece of a secret cannot be recognised.
func words(text string, most int, secrets *secret.Set) string {
	if len(text) > 2*most {
		text = text[:2*most]
		text = text[:max(0, strings.LastIndexAny(text, " \n"))]
	}
	text = secrets.Mask(strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
