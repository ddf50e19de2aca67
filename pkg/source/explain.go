package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/fedsync/fedsync/internal/gitssh"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/source/gitdir"
	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// errTimeout is the cause of a context that ended because the remote was slow.
var errTimeout = errors.New("it took too long to answer")

// explain returns an error that explains a failed conversation. Its text holds
// no secret and is equal for equal causes, so that the daemon can tell a new
// problem from an old one.
func (c *conversation) explain(err error) error {
	switch cause := context.Cause(c.ctx); {
	case errors.Is(cause, errTimeout):
		err = errTimeout
	case cause != nil: // The caller cancelled it.
		return fmt.Errorf("read %s: %w", c.at, cause)
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	if ref, ok := errors.AsType[*RefError](err); ok {
		return ref
	}
	if m, ok := errors.AsType[*failure.Misbehaviour](unwrapped(err)); ok {
		return &Error{Repository: c.at.text, Kind: ErrUnreadable, Detail: m.Error()}
	}
	if limit, ok := errors.AsType[*objectdb.LimitError](err); ok {
		limit.Repository = c.at.text
		return limit
	}
	if strings.Contains(err.Error(), "not our ref") { // As upload-pack puts it.
		return errMoved
	}
	if c.exceeded.Load() {
		return &objectdb.LimitError{
			Repository: c.at.text, What: "MiB received in one fetch",
			Limit: c.opts.Limits.RepositoryBytes >> 20, Setting: "--max-repository-bytes",
		}
	}
	kind, detail, remedy := c.kindOf(unwrapped(err))
	return &Error{Repository: c.at.text, Kind: kind, Detail: untrusted.Known(c.opts.Secrets).Line(detail), Remedy: remedy}
}

// kindOf classifies an error from a library or the server.
func (c *conversation) kindOf(err error) (kind error, detail, remedy string) { //nolint:staticcheck // the kind is a word here, not a failure
	var hostKey *gitssh.HostKeyError
	var status *githttp.Err
	switch {
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return ErrUnreachable, fmt.Sprintf("it did not answer within %v", c.opts.Timeout), ""
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return ErrEmpty, "", "push a first commit"
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return ErrNotFound, "", "check the URL, and that these credentials may read it"
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		if host, _ := c.elsewhere.Load().(string); host != "" && c.opts.TokenFile != "" {
			return ErrUnauthorised, "it redirects to " + host + ", another host, to which the token is not sent", "if the repository has moved there, set its new URL"
		}
		return ErrUnauthorised, c.refusal(err), c.renew()
	case errors.As(err, &hostKey):
		return ErrUntrusted, hostKey.Error(), "put the host's key into " + c.opts.KnownHostsFile + " if it is the right one"
	case strings.Contains(err.Error(), "ssh: unable to authenticate"):
		return ErrUnauthorised, "the server rejects the key", c.renew()
	case untrustedCertificate(err):
		return ErrUntrusted, err.Error(), certificateRemedy(err)
	case c.webPage.Load():
		return ErrUnreadable, "it answers with a web page, such as a login page, and not as a Git server", "check the URL, and that these credentials may read it"
	case errors.As(err, &status):
		return ErrUnreachable, fmt.Sprintf("it answered %d %s", status.StatusCode(), http.StatusText(status.StatusCode())), ""
	case strings.Contains(err.Error(), "object-format=sha256"): // in the list of refs, whose first line cannot be read
		reason, remedy := gitdir.NotSHA1("sha256")
		return ErrUnreadable, reason, remedy
	case errors.Is(err, ErrUnreadable):
		return ErrUnreadable, strings.TrimPrefix(err.Error(), ErrUnreadable.Error()+": "), ""
	}
	if detail, ok := networkReason(err); ok {
		return ErrUnreachable, detail, ""
	}
	return ErrUnreadable, err.Error(), ""
}

// refusal returns what the status means. It leaves out the body, which may be a
// web page.
func (c *conversation) refusal(err error) string {
	switch {
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return "they do not permit reading it (403)"
	case c.opts.TokenFile == "":
		return "it cannot be read without credentials (401)"
	}
	return "they are wrong or have expired (401)"
}

func (c *conversation) renew() string {
	switch {
	case c.at.scheme == schemeSSH:
		return "give the forge the public key of " + c.opts.SSHKeyFile
	case c.opts.TokenFile == "":
		return "name a token file"
	}
	return "renew the token in " + c.opts.TokenFile
}

// unwrapped removes wrappers of go-git that errors.As cannot see through.
func unwrapped(err error) error {
	for {
		switch e := err.(type) { //nolint:errorlint // It walks the chain itself.
		case *plumbing.UnexpectedError:
			err = e.Err
		case *plumbing.PermanentError:
			err = e.Err
		case *url.Error: // It quotes the URL.
			if e.Timeout() {
				return errTimeout
			}
			err = e.Err
		default:
			return err
		}
	}
}

func untrustedCertificate(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid)
}

// certificateRemedy returns a remedy that fits the error: trusting another authority
// fixes neither the name nor the time that a certificate is for.
func certificateRemedy(err error) string {
	if _, other := errors.AsType[x509.HostnameError](err); other {
		return "use a name that the certificate is for, or have one issued for this name"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "have the server's certificate renewed, and compare the clocks"
	}
	return "name the authority that signed it in a CA file"
}

// networkReason returns the innermost reason of a network error. The addresses
// around it hold ports that differ each time.
func networkReason(err error) (string, bool) {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("the name %s does not resolve: %s", dns.Name, dns.Err), true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		if op.Op == "dial" && op.Addr != nil {
			return fmt.Sprintf("%v: %v", op.Addr, innermost(op.Err)), true
		}
		return innermost(op.Err).Error(), true
	}
	for _, hint := range []string{"EOF", "connection reset", "broken pipe", "closed network connection", "handshake failed", "the server says"} {
		if strings.Contains(err.Error(), hint) {
			return err.Error(), true
		}
	}
	return "", false
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
