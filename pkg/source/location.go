package source

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
)

type scheme int

const (
	schemeLocal scheme = iota
	schemeHTTP         // and https
	schemeSSH
)

// location is where a repository is. It never holds a secret.
type location struct {
	scheme scheme
	text   string // for messages, and for http the URL that is requested
	path   string // local: the absolute path; ssh: the path sent to the server
	user   string // ssh, and http where the URL has one
	host   string // with the port, ssh only
}

// String returns the URL or path.
func (l location) String() string { return l.text }

// identity is the same for all spellings of a local path: relative or absolute,
// with a trailing slash or as a file URL. Symbolic links are not followed. The
// operator chose the path, and its target may change with each release, as with
// git-sync's "current" link.
func (l location) identity() string {
	if l.scheme == schemeLocal {
		return l.path
	}
	return l.text
}

// scpLike is Git's short form of an ssh URL: a host, a colon and a path, with no
// slash before the colon.
var scpLike = regexp.MustCompile(`^(?:([^@:/]+)@)?([^@:/]+|\[[0-9A-Fa-f:.]+\]):(.+)$`)

// parseLocation parses Options.URL. Its errors show no credential.
func parseLocation(raw string) (location, error) {
	if raw == "" {
		return location{}, errors.New("no repository: give a URL or a local path")
	}
	scheme, rest, isURL := strings.Cut(raw, "://")
	if !isURL {
		// Otherwise USER:PASSWORD@HOST:PATH would parse as the host USER.
		if before, _, ok := strings.Cut(raw, "@"); ok && strings.Contains(before, ":") && !strings.Contains(before, "/") {
			return location{}, credentialsInURL(raw)
		}
		if m := scpLike.FindStringSubmatch(raw); m != nil {
			return sshLocation(raw, m[1], m[2], "", m[3])
		}
		return localLocation(raw)
	}
	switch scheme {
	case "file":
		return localLocation(rest)
	case "http", "https", "ssh":
	default:
		return location{}, fmt.Errorf("repository %s: want https://, ssh://, USER@HOST:PATH or a local path", untrusted.URL(raw))
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse quotes the URL. A password with a slash or a percent
		// sign in it makes the URL invalid.
		if strings.Contains(rest, "@") {
			return location{}, fmt.Errorf("repository %s: not a valid URL; credentials do not belong in a URL: put the token into a file and name that", untrusted.URL(raw))
		}
		return location{}, fmt.Errorf("repository %s: not a valid URL", untrusted.URL(raw))
	}
	_, hasPassword := u.User.Password()
	switch {
	case hasPassword || u.User != nil && scheme != "ssh" && !isUserName(u.User.Username()):
		return location{}, fmt.Errorf("%w; set a user name with --username", credentialsInURL(raw))
	case strings.Contains(rest, "@") && u.User == nil:
		// A slash in a password ends the host.
		return location{}, fmt.Errorf("%w; write an @ in a path as %%40", credentialsInURL(raw))
	case u.RawQuery != "" || u.Fragment != "":
		return location{}, fmt.Errorf("repository %s: a URL with a query or fragment names no repository", untrusted.URL(raw))
	case u.Hostname() == "" || strings.Trim(u.Path, "/") == "":
		return location{}, fmt.Errorf("repository %s: want a host and a path", untrusted.URL(raw))
	case scheme == "ssh":
		// A server expands ~user/ to a home only without the slash before it.
		path := u.Path
		if strings.HasPrefix(path, "/~") {
			path = path[1:]
		}
		return sshLocation(raw, u.User.Username(), u.Hostname(), u.Port(), path)
	case scheme == "http" && !loopback(u.Hostname()):
		return location{}, fmt.Errorf("repository %s: http is not encrypted and is accepted for loopback hosts only; use https", untrusted.URL(raw))
	}
	if u.User == nil {
		return location{scheme: schemeHTTP, text: raw}, nil
	}
	_, place, _ := strings.Cut(rest, "@")
	return location{scheme: schemeHTTP, text: scheme + "://" + place, user: u.User.Username()}, nil
}

// userName is the form of names of users and organizations.
var userName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// isUserName reports whether a text looks like a user name, and not like a token of a
// known form.
func isUserName(text string) bool {
	return userName.MatchString(text) && untrusted.Line(text) == text
}

func credentialsInURL(raw string) error {
	return fmt.Errorf("repository %s: credentials do not belong in a URL; put the token into a file and name that", untrusted.URL(raw))
}

func localLocation(path string) (location, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return location{}, fmt.Errorf("repository %s: %w", untrusted.URL(path), err)
	}
	return location{scheme: schemeLocal, text: untrusted.URL(path), path: abs}, nil
}

func sshLocation(raw, user, host, port, path string) (location, error) {
	if strings.HasPrefix(host, "-") || strings.HasPrefix(path, "-") || strings.ContainsAny(path, "\x00\n") {
		return location{}, fmt.Errorf("repository %s: host and path must not begin with a dash", untrusted.URL(raw))
	}
	if port == "" {
		port = "22"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return location{}, fmt.Errorf("repository %s: %q is not a valid port", untrusted.URL(raw), port)
	}
	if user == "" {
		user = "git"
	}
	host = strings.Trim(host, "[]")
	return location{scheme: schemeSSH, text: untrusted.URL(raw), path: path, user: user, host: net.JoinHostPort(host, port)}, nil
}

// loopback reports whether a host is this machine whatever the network does.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
