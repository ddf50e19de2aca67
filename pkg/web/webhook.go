package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// maxDelivery is how much of a webhook's body is read at most, in bytes.
	maxDelivery = 1 << 20
	// maxDeliveries is how many bodies are read at the same time. A delivery that is
	// refused because of it may be lost: the next poll does what it asks for.
	maxDeliveries = 8
	// deliveryTimeout is how long a body may take, so that a slow sender does not lock
	// out the others.
	deliveryTimeout = 5 * time.Second
)

// serveWebhook returns a handler that treats a forge's deliveries as hints to poll now.
//
// The body only proves where the delivery comes from, so it is hashed as it arrives and
// never held. The next revision is read from the repository: anyone who could forge or
// replay a delivery would only cause a poll and could not choose what runs. For the same
// reason, the kind of event does not matter: a push, a change of a pull request and a
// ping are all accepted.
func (s *server) serveWebhook(hook webhook) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			writeText(w, http.StatusMethodNotAllowed, "method not allowed: use POST")
			return
		}
		secret, configured := s.webhookSecret(w)
		switch {
		case !configured:
		case hook.ping != nil && hook.ping(r.Header):
			w.Header().Set("Connection", "close") // its body is not read
			writeText(w, http.StatusOK, "ping without a signature: ignored")
		default:
			d := delivery{server: s, hook: hook, w: w, r: r}
			d.take(secret)
		}
	}
}

// webhookSecret returns the secret that forges prove themselves with, or answers that
// there is none.
func (s *server) webhookSecret(w http.ResponseWriter) ([]byte, bool) {
	secret, err := s.opts.WebhookSecret()
	if err != nil {
		s.refused.Error("webhook secret not readable", zap.Error(err))
		writeText(w, http.StatusServiceUnavailable, "the webhook secret cannot be read: see fedsync's log")
		return nil, false
	}
	secret = bytes.TrimRight(secret, "\r\n")
	if len(secret) == 0 {
		writeText(w, http.StatusNotImplemented, "webhooks are not configured: give fedsync the secret that the forge signs with")
	}
	return secret, len(secret) > 0
}

// delivery is one request to a webhook.
type delivery struct {
	*server
	hook webhook
	w    http.ResponseWriter
	r    *http.Request
}

func (d delivery) take(secret []byte) {
	// A delivery without a proof is refused before its body is read.
	var brought []evidence
	for _, p := range d.hook.proofs {
		if e, ok := p.read(d.r, secret); ok {
			brought = append(brought, e)
		}
	}
	if len(brought) == 0 {
		d.refuse(http.StatusForbidden, "delivery not proved: want "+d.hook.wanted()+"; configure fedsync's webhook secret in the forge")
		return
	}
	select {
	case d.deliveries <- struct{}{}:
		defer func() { <-d.deliveries }()
	default:
		d.w.Header().Set("Retry-After", "5")
		d.refuse(http.StatusServiceUnavailable, "too many deliveries at the same time: try again later")
		return
	}
	if !d.read(brought) {
		return
	}
	if !slices.ContainsFunc(brought, evidence.holds) {
		d.refuse(http.StatusForbidden, "proof does not match the delivery: want "+d.hook.wanted()+"; use the same secret in the forge and in fedsync")
		return
	}
	d.opts.Nudge()
	writeText(d.w, http.StatusAccepted, "polling")
}

// read hashes the body for all evidence, or answers why it cannot be read.
func (d delivery) read(brought []evidence) bool {
	// Only a recorder in a test has no deadline; then the server's own applies.
	_ = http.NewResponseController(d.w).SetReadDeadline(time.Now().Add(deliveryTimeout))
	macs := []io.Writer{io.Discard}
	for _, e := range brought {
		if e.mac != nil {
			macs = append(macs, e.mac)
		}
	}
	_, err := io.Copy(io.MultiWriter(macs...), http.MaxBytesReader(d.w, d.r.Body, maxDelivery))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		d.refuse(http.StatusRequestEntityTooLarge, "delivery is larger than 1 MiB")
		return false
	}
	if err != nil {
		d.refuse(http.StatusBadRequest, "delivery ended early or took too long")
		return false
	}
	return true
}

// refuse answers and closes the connection, so that the server does not read the rest
// of the body.
func (d delivery) refuse(code int, why string) {
	bears := slices.ContainsFunc(d.hook.proofs, func(p proof) bool { return d.r.Header.Get(p.header) != "" })
	d.refused.Log(zap.WarnLevel, "webhook delivery refused", zap.String("webhook", d.hook.path),
		zap.String("remote", d.r.RemoteAddr), zap.Int("status", code), zap.Bool("proof", bears))
	d.w.Header().Set("Connection", "close")
	writeText(d.w, code, why)
}

// wanted returns the proofs that are accepted, for a message.
func (h webhook) wanted() string {
	var forms []string
	for _, p := range h.proofs {
		forms = append(forms, p.header+" with "+p.form)
	}
	return strings.Join(forms, ", or ")
}
