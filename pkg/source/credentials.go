package source

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/fedsync/fedsync/pkg/bounds"
)

// maxCredentialBytes is more than any token, key, known_hosts file or bundle of
// certificates needs.
const maxCredentialBytes = 4 << 20

// credentials reads our credentials, and what identifies the remote, from
// files. It reads them again for each use: they are small, and nothing can be
// stale.
type credentials struct {
	opts Options
	at   location

	mu        sync.Mutex      // protects transport and ca
	transport *http.Transport // replaced when the CA file changes
	ca        []byte          // what transport trusts in addition to the system's
}

// http returns basic authentication, or nil without a token file.
func (c *credentials) http() (*githttp.BasicAuth, error) {
	if c.opts.TokenFile == "" {
		return nil, nil //nolint:nilnil // no credentials are configured
	}
	token, err := c.line("token", c.opts.TokenFile)
	if err != nil {
		return nil, err
	}
	user := c.opts.Username
	if c.opts.UsernameFile != "" {
		if user, err = c.line("username", c.opts.UsernameFile); err != nil {
			return nil, err
		}
	}
	if user == "" {
		user = defaultUsername
	}
	return &githttp.BasicAuth{Username: user, Password: token}, nil
}

// ssh returns the private key, together with the known_hosts that verify the
// host.
func (c *credentials) ssh() (*gitssh.PublicKeys, error) {
	key, err := c.file("ssh key", c.opts.SSHKeyFile)
	if err != nil {
		return nil, err
	}
	auth, err := gitssh.NewPublicKeys(c.at.user, key, "")
	if err != nil {
		// The error may quote the file.
		return nil, c.unusable("ssh key", c.opts.SSHKeyFile, "it is not an unencrypted private key in PEM or OpenSSH form")
	}
	if _, err := c.file("known_hosts", c.opts.KnownHostsFile); err != nil {
		return nil, err
	}
	known, err := gitssh.NewKnownHostsDb(c.opts.KnownHostsFile)
	if err != nil {
		return nil, c.unusable("known_hosts", c.opts.KnownHostsFile, err.Error())
	}
	auth.HostKeyCallback = known.HostKeyCallback()
	auth.HostKeyAlgorithms = known.HostKeyAlgorithms(c.at.host)
	return auth, nil
}

// auth returns the credentials in go-git's form, or nil for none.
func (c *credentials) auth() (transport.AuthMethod, error) {
	switch c.at.scheme {
	case schemeHTTP:
		// A nil pointer in the interface would not be nil.
		auth, err := c.http()
		if auth == nil || err != nil {
			return nil, err
		}
		return auth, nil
	case schemeSSH:
		auth, err := c.ssh()
		if err != nil {
			return nil, err
		}
		return auth, nil
	case schemeLocal:
	}
	return nil, nil //nolint:nilnil // go-git's way to say "no authentication".
}

// caBundle returns the content of the CA file; nil without one.
func (c *credentials) caBundle() ([]byte, error) {
	if c.opts.CAFile == "" {
		return nil, nil
	}
	return c.file("CA", c.opts.CAFile)
}

// client returns an HTTP transport that trusts the current CA file.
func (c *credentials) client() (http.RoundTripper, error) {
	ca, err := c.caBundle()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil && bytes.Equal(ca, c.ca) {
		return c.transport, nil
	}
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the program's default HTTP transport was replaced by one of another type")
	}
	t = bounds.Headers(t)
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	t.IdleConnTimeout = time.Minute
	t.MaxIdleConnsPerHost = 1 // One poll at a time.
	if ca != nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(ca) {
			return nil, c.unusable("CA", c.opts.CAFile, "it has no certificate in PEM form")
		}
		t.TLSClientConfig.RootCAs = pool
	}
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
	c.transport, c.ca = t, ca
	return t, nil
}

func (c *credentials) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}

// files returns the files to watch.
func (c *credentials) files() []string {
	var names []string
	for _, name := range []string{
		c.opts.TokenFile, c.opts.UsernameFile, c.opts.CAFile, c.opts.SSHKeyFile, c.opts.KnownHostsFile,
	} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

func (c *credentials) line(what, name string) (string, error) {
	content, err := c.file(what, name)
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(content))
	if strings.ContainsAny(line, "\r\n\x00") {
		return "", c.unusable(what, name, "it has more than one line")
	}
	return line, nil
}

// file reads a whole file, which must not be empty.
func (c *credentials) file(what, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, c.unusable(what, name, reason(err))
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxCredentialBytes+1))
	switch {
	case err != nil:
		return nil, c.unusable(what, name, reason(err))
	case len(content) > maxCredentialBytes:
		return nil, c.unusable(what, name, "it is too large")
	case len(bytes.TrimSpace(content)) == 0:
		return nil, c.unusable(what, name, "it is empty")
	}
	return content, nil
}

func (c *credentials) unusable(what, name, why string) error {
	return &Error{Repository: c.at.text, Kind: ErrCredentials, Detail: fmt.Sprintf("%s file %s: %s", what, name, why)}
}

// reason returns a file error without the path, which the message already
// names.
func reason(err error) string {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
