package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"strings"
)

// A webhook is the endpoint for the events of one kind of forge.
type webhook struct {
	path   string
	proofs []proof // any one is enough
	// ping reports whether a request is a test that the forge does not sign; nil if it
	// signs everything. A ping is answered and has no effect.
	ping func(http.Header) bool
}

// webhooks are all webhooks.
var webhooks = []webhook{
	{path: "/webhook/github", proofs: []proof{hexSignature("X-Hub-Signature-256", "sha256=")}},
	{path: "/webhook/gitlab", proofs: []proof{tokenInHeader("X-Gitlab-Token"), standardSignature()}},
	{path: "/webhook/gitea", proofs: []proof{hexSignature("X-Gitea-Signature", ""), hexSignature("X-Forgejo-Signature", "")}},
	{path: "/webhook/bitbucket", proofs: []proof{hexSignature("X-Hub-Signature", "sha256=")}, ping: bitbucketPing},
	{path: "/webhook/azuredevops", proofs: []proof{basicPassword()}},
	{path: "/webhook/generic", proofs: []proof{hexSignature("X-Signature", "sha256=")}},
}

// A proof is a form in which a sender shows that it knows the secret.
type proof struct {
	header string // the header that has it
	form   string // what it is, for messages
	// read reads the evidence in the headers. It returns false if they prove nothing,
	// whatever the body is.
	read func(r *http.Request, secret []byte) (evidence, bool)
}

// evidence is the proof in one delivery.
type evidence struct {
	// The body is written to mac, and the delivery is proved if the sum is one of sums.
	// A nil mac means that the headers alone prove it.
	mac  hash.Hash
	sums [][]byte
}

// holds reports whether the delivery is proved, after the body was written to mac. It
// takes the same time for a wrong signature as for the right one.
func (e evidence) holds() bool {
	if e.mac == nil {
		return true
	}
	proved, sum := false, e.mac.Sum(nil)
	for _, s := range e.sums {
		proved = hmac.Equal(s, sum) || proved
	}
	return proved
}

// hexSignature is the HMAC-SHA256 of the body in hex digits, after a prefix.
func hexSignature(header, prefix string) proof {
	form := "the HMAC-SHA256 of the body"
	if prefix != "" {
		form = `"` + prefix + `" followed by ` + form
	}
	return proof{header: header, form: form, read: func(r *http.Request, secret []byte) (evidence, bool) {
		digits, found := strings.CutPrefix(r.Header.Get(header), prefix)
		if !found || len(digits) != hex.EncodedLen(sha256.Size) {
			return evidence{}, false
		}
		sum, err := hex.DecodeString(digits)
		return evidence{hmac.New(sha256.New, secret), [][]byte{sum}}, err == nil
	}}
}

// tokenInHeader is the secret itself, as a header.
func tokenInHeader(header string) proof {
	return proof{header: header, form: "the secret", read: func(r *http.Request, secret []byte) (evidence, bool) {
		return evidence{}, equal([]byte(r.Header.Get(header)), secret)
	}}
}

// basicPassword is the secret as the password, with any user name.
func basicPassword() proof {
	return proof{
		header: "Authorization", form: "basic authentication, with the secret as its password",
		read: func(r *http.Request, secret []byte) (evidence, bool) {
			_, password, found := r.BasicAuth()
			return evidence{}, equal([]byte(password), secret) && found
		},
	}
}

// equal takes the same time whatever a and b have in common, including their length.
func equal(a, b []byte) bool {
	x, y := sha256.Sum256(a), sha256.Sum256(b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// From the Standard Webhooks specification.
const (
	signingTokenPrefix = "whsec_"
	maxSignatures      = 8 // of one delivery, such as while the secret is changed
)

// standardSignature is the signature of the Standard Webhooks specification, which GitLab
// uses if its webhook has a signing token. The age of a delivery does not matter: a
// replayed one only causes a poll.
func standardSignature() proof {
	const header = "Webhook-Signature"
	return proof{
		header: header, form: "the signature by a signing token, which begins with " + signingTokenPrefix,
		read: func(r *http.Request, secret []byte) (evidence, bool) {
			id, timestamp := r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp")
			key, err := base64.StdEncoding.DecodeString(string(bytes.TrimPrefix(secret, []byte(signingTokenPrefix))))
			if err != nil || len(key) == 0 || !bytes.HasPrefix(secret, []byte(signingTokenPrefix)) || id == "" || timestamp == "" {
				return evidence{}, false
			}
			e := evidence{mac: hmac.New(sha256.New, key)}
			signatures := strings.SplitN(r.Header.Get(header), " ", maxSignatures+1)
			for _, signature := range signatures[:min(len(signatures), maxSignatures)] {
				digits, found := strings.CutPrefix(signature, "v1,")
				sum, err := base64.StdEncoding.DecodeString(digits)
				if found && err == nil && len(sum) == sha256.Size {
					e.sums = append(e.sums, sum)
				}
			}
			_, _ = e.mac.Write([]byte(id + "." + timestamp + ".")) // a hash takes all
			return e, len(e.sums) > 0
		},
	}
}

// bitbucketPing reports whether a request is a connection test by Bitbucket Data Center.
func bitbucketPing(h http.Header) bool {
	return h.Get("X-Event-Key") == "diagnostics:ping" && h.Get("X-Hub-Signature") == ""
}
