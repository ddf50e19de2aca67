package source

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	masking "github.com/fedsync/fedsync/internal/secret"
)

func FuzzErrorsNeverLeak(f *testing.F) {
	f.Add("https", "me", "s3cret-token", "example.com", "fatal: cannot read")
	f.Add("ssh", "git", "p@ss/word:?#", "example.com", "x")
	f.Add("https", "", "ghp_abcdefghij", "h", "Authorization: Basic ")
	f.Fuzz(func(t *testing.T, scheme, user, secret, host, text string) {
		const known = "***https://ssh://user:repository the cannot be read : example.com/a.git 0123456789"
		// A secret that is part of the message's fixed text cannot be recognized.
		if len(secret) < 6 || strings.Contains(known+scheme+host+text+user, secret) || strings.ContainsAny(host, "@:/?#") {
			return
		}
		if scheme != "https" && scheme != "http" && scheme != "ssh" {
			scheme = "https"
		}
		for _, in := range []string{
			scheme + "://" + user + ":" + secret + "@" + host + "/a.git",
			scheme + "://" + url.UserPassword(user, secret).String() + "@" + host + "/a.git",
			"https://" + secret + "@" + host + "/a.git",
		} {
			if _, err := Open(Options{URL: in}, nil); err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("Open(%q) = %q, which holds the secret", in, err)
			}
		}
		header := base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
		c := &conversation{at: location{text: "https://example.com/a.git"}, opts: Options{Secrets: masking.New(header, secret)}, ctx: t.Context()}
		for _, message := range []string{
			text + secret, text + url.QueryEscape(secret) + text, "Basic " + header + text, url.PathEscape(secret) + text,
			text + " https://" + user + ":" + url.PathEscape(secret) + "@" + host + "/a.git: EOF",
		} {
			got := c.explain(plumbing.NewUnexpectedError(errors.New(message)))
			for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), header} {
				if strings.Contains(got.Error(), form) {
					t.Errorf("explain(%q) = %q, which holds %q", message, got, form)
				}
			}
			if _, ok := errors.AsType[*plumbing.UnexpectedError](got); ok {
				t.Error("the error that holds the secret can be unwrapped")
			}
		}
	})
}

func TestTheRemedyForARefusedCertificateFitsTheReason(t *testing.T) {
	for want, err := range map[string]error{
		"use a name":         x509.HostnameError{Certificate: &x509.Certificate{}, Host: "git.example"},
		"renewed":            x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired},
		"name the authority": x509.UnknownAuthorityError{},
	} {
		wrapped := &tls.CertificateVerificationError{Err: err}
		if !untrustedCertificate(wrapped) || !strings.Contains(certificateRemedy(wrapped), want) {
			t.Errorf("%T: remedy %q, want %q", err, certificateRemedy(wrapped), want)
		}
	}
}
