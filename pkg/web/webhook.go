package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"

	"go.uber.org/zap"
)

// maxDelivery is the most that is read of a webhook's body, in bytes.
const maxDelivery = 1 << 20

// serveGiteaWebhook takes a delivery of Gitea or Forgejo as a hint to poll now.
//
// The body serves to prove where the delivery comes from and for nothing else:
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
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDelivery))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		writeText(w, http.StatusRequestEntityTooLarge, "a delivery has at most 1 MiB")
		return
	}
	if err != nil {
		writeText(w, http.StatusBadRequest, "the delivery ended early")
		return
	}
	if !signed(body, secret, r.Header.Get("X-Gitea-Signature")) {
		s.log.Warn("webhook delivery refused", zap.String("remote", r.RemoteAddr),
			zap.Bool("signature", r.Header.Get("X-Gitea-Signature") != ""))
		writeText(w, http.StatusForbidden, "X-Gitea-Signature does not fit the delivery: is it signed with the same secret?")
		return
	}
	s.opts.Nudge()
	writeText(w, http.StatusAccepted, "polling")
}

// signed says whether signature is the HMAC-SHA256 of body in hexadecimal. It
// takes as long for a wrong signature as for the right one.
func signed(body, secret []byte, signature string) bool {
	got, err := hex.DecodeString(signature)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}
