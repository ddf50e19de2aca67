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
	// maxDelivery is the most that is read of a webhook's body, in bytes.
	maxDelivery = 1 << 20
	// maxDeliveries is how many bodies are read at a time. A delivery that is
	// refused for it is lost, since the next poll does what it asks for.
	maxDeliveries = 8
	// deliveryTimeout is how long a body may take: who is slow must not keep the
	// others out.
	deliveryTimeout = 5 * time.Second
)

// serveWebhook returns what takes a forge's deliveries as hints to poll now.
//
// The body serves to prove where the delivery comes from and for nothing else, so
// it is hashed as it arrives and never held:
// which revision is next is asked of the repository, so whoever could forge or
// replay a delivery gains a poll and cannot choose what runs. The kind of event
// makes no difference for the same reason: a push, a change of a pull request and a
// ping are all taken.
func (s *server) serveWebhook(hook webhook) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			writeText(w, http.StatusMethodNotAllowed, "deliveries are sent with POST")
			return
		}
		secret, configured := s.webhookSecret(w)
		switch {
		case !configured:
		case hook.ping != nil && hook.ping(r.Header):
			w.Header().Set("Connection", "close") // its body is not read
			writeText(w, http.StatusOK, "a ping without a signature: nothing was done")
		default:
			d := delivery{server: s, hook: hook, w: w, r: r}
			d.take(secret)
		}
	}
}

// webhookSecret returns what forges prove themselves by, or answers that there is none.
func (s *server) webhookSecret(w http.ResponseWriter) ([]byte, bool) {
	secret, err := s.opts.WebhookSecret()
	if err != nil {
		s.refused.Error("webhook secret not readable", zap.Error(err))
		writeText(w, http.StatusServiceUnavailable, "the webhook's secret cannot be read: see fedsync's log")
		return nil, false
	}
	secret = bytes.TrimRight(secret, "\r\n")
	if len(secret) == 0 {
		writeText(w, http.StatusNotImplemented, "no webhook is configured: give fedsync the secret that the forge signs with")
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
	// What bears no proof is refused before its body is read.
	var brought []evidence
	for _, p := range d.hook.proofs {
		if e, ok := p.read(d.r, secret); ok {
			brought = append(brought, e)
		}
	}
	if len(brought) == 0 {
		d.refuse(http.StatusForbidden, "not proved: wanted is "+d.hook.wanted()+"; is fedsync's secret configured in the forge?")
		return
	}
	select {
	case d.deliveries <- struct{}{}:
		defer func() { <-d.deliveries }()
	default:
		d.w.Header().Set("Retry-After", "5")
		d.refuse(http.StatusServiceUnavailable, "too many deliveries at a time")
		return
	}
	if !d.read(brought) {
		return
	}
	if !slices.ContainsFunc(brought, evidence.holds) {
		d.refuse(http.StatusForbidden, "the proof does not fit the delivery: wanted is "+d.hook.wanted()+"; is it made with the same secret?")
		return
	}
	d.opts.Nudge()
	writeText(d.w, http.StatusAccepted, "polling")
}

// read hashes the body for whatever was brought, or answers why it is not read.
func (d delivery) read(brought []evidence) bool {
	// A recorder in a test has no deadline; the server's own holds then.
	_ = http.NewResponseController(d.w).SetReadDeadline(time.Now().Add(deliveryTimeout))
	macs := []io.Writer{io.Discard}
	for _, e := range brought {
		if e.mac != nil {
			macs = append(macs, e.mac)
		}
	}
	_, err := io.Copy(io.MultiWriter(macs...), http.MaxBytesReader(d.w, d.r.Body, maxDelivery))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		d.refuse(http.StatusRequestEntityTooLarge, "a delivery has at most 1 MiB")
		return false
	}
	if err != nil {
		d.refuse(http.StatusBadRequest, "the delivery ended early, or took too long")
		return false
	}
	return true
}

// refuse closes the connection, so that the server does not read what is left of the
// body.
func (d delivery) refuse(code int, why string) {
	bears := slices.ContainsFunc(d.hook.proofs, func(p proof) bool { return d.r.Header.Get(p.header) != "" })
	d.refused.Log(zap.WarnLevel, "webhook delivery refused", zap.String("webhook", d.hook.path),
		zap.String("remote", d.r.RemoteAddr), zap.Int("status", code), zap.Bool("proof", bears))
	d.w.Header().Set("Connection", "close")
	writeText(d.w, code, why)
}

// wanted says what proves a delivery.
func (h webhook) wanted() string {
	var forms []string
	for _, p := range h.proofs {
		forms = append(forms, p.header+" with "+p.form)
	}
	return strings.Join(forms, ", or ")
}
