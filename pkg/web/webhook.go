package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
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

// serveGiteaWebhook takes a delivery of Gitea or Forgejo as a hint to poll now.
//
// The body serves to prove where the delivery comes from and for nothing else, so
// it is hashed as it arrives and never held:
// which revision is next is asked of the repository, so whoever could forge or
// replay a delivery gains a poll and cannot choose what runs. The kind of event
// makes no difference for the same reason.
func (s *server) serveGiteaWebhook(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeText(w, http.StatusMethodNotAllowed, "deliveries are sent with POST")
		return
	}
	secret, err := s.opts.WebhookSecret()
	if err != nil {
		s.log.Error("webhook secret not readable", zap.Error(err))
		writeText(w, http.StatusServiceUnavailable, "the webhook's secret cannot be read: see fedsync's log")
		return
	}
	secret = bytes.TrimRight(secret, "\r\n")
	if len(secret) == 0 {
		writeText(w, http.StatusNotImplemented, "no webhook is configured: give fedsync the secret that the forge signs with")
		return
	}
	// What bears no signature is refused before its body is read.
	signature, err := hex.DecodeString(r.Header.Get("X-Gitea-Signature"))
	if err != nil || len(signature) != sha256.Size {
		s.refuseDelivery(w, r, http.StatusForbidden, "X-Gitea-Signature is not the HMAC-SHA256 of a delivery: is a secret configured in the forge?")
		return
	}
	select {
	case s.deliveries <- struct{}{}:
		defer func() { <-s.deliveries }()
	default:
		w.Header().Set("Retry-After", "5")
		s.refuseDelivery(w, r, http.StatusServiceUnavailable, "too many deliveries at a time")
		return
	}
	// A recorder in a test has no deadline; the server's own holds then.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(deliveryTimeout))
	mac := hmac.New(sha256.New, secret)
	_, err = io.Copy(mac, http.MaxBytesReader(w, r.Body, maxDelivery))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		s.refuseDelivery(w, r, http.StatusRequestEntityTooLarge, "a delivery has at most 1 MiB")
		return
	}
	if err != nil {
		s.refuseDelivery(w, r, http.StatusBadRequest, "the delivery ended early, or took too long")
		return
	}
	// Equal takes as long for a wrong signature as for the right one.
	if !hmac.Equal(signature, mac.Sum(nil)) {
		s.refuseDelivery(w, r, http.StatusForbidden, "X-Gitea-Signature does not fit the delivery: is it signed with the same secret?")
		return
	}
	s.opts.Nudge()
	writeText(w, http.StatusAccepted, "polling")
}

// refuseDelivery closes the connection, so that the server does not read what is
// left of the body.
func (s *server) refuseDelivery(w http.ResponseWriter, r *http.Request, code int, why string) {
	s.refused.Log(zap.WarnLevel, "webhook delivery refused", zap.String("remote", r.RemoteAddr), zap.Int("status", code),
		zap.Bool("signature", r.Header.Get("X-Gitea-Signature") != ""))
	w.Header().Set("Connection", "close")
	writeText(w, code, why)
}
