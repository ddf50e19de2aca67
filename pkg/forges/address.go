package forges

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Address is where a repository is on its forge.
type Address struct {
	Base string   // of the forge, without a slash at the end: "https://git.example"
	Name []string // of the repository, in parts: "team", "web"
}

// Address finds the forge and the repository's name on it in the settings. parts is how
// many parts a name has: 2 for an owner and a name, 0 if the forge has nested groups. In
// that case only --forge-url distinguishes the forge's folder from a group. No error
// contains a URL, which may hold a credential.
func (c Config) Address(parts int) (Address, error) {
	at := place(c.Repository)
	if c.URL != "" {
		given := place(c.URL)
		if given.base() == "" {
			return Address{}, errors.New("the forge's address must be like https://git.example: set --forge-url")
		}
		if rest, below := cutFolder(at.path, given.path); below {
			at.path = rest
		}
		at.scheme, at.host, at.folder = given.scheme, given.host, given.path
	}
	base := cmp.Or(at.base(), publicServer(at))
	if base == "" {
		return Address{}, errors.New("the repository's URL does not contain the forge's HTTP address: set --forge-url")
	}
	name := at.path
	if before := len(name) - parts; parts > 0 && before > 0 {
		if c.URL == "" && at.base() != "" {
			base += "/" + strings.Join(name[:before], "/")
		}
		name = name[before:]
	}
	if c.Name != "" {
		name = split(c.Name)
	}
	if len(name) < 2 || parts > 0 && len(name) != parts {
		return Address{}, fmt.Errorf("%s is not the repository's full name on the forge: set --forge-repository, for example to team/web",
			cmp.Or(strings.Join(name, "/"), "the end of the URL"))
	}
	return Address{Base: base, Name: name}, nil
}

// located is the parsed URL of a repository.
type located struct {
	scheme, host string   // both empty for a path
	folder       []string // of the forge on its host
	path         []string // of the repository, without ".git"
}

func (l located) base() string {
	if l.host == "" || l.scheme != "http" && l.scheme != "https" {
		return ""
	}
	return strings.TrimSuffix((&url.URL{Scheme: l.scheme, Host: l.host, Path: "/" + strings.Join(l.folder, "/")}).String(), "/")
}

// publicServer returns the address of a forge's public server, which is known even if the
// repository is cloned over SSH.
func publicServer(l located) string {
	if host := l.host; slices.ContainsFunc(All(), func(f Forge) bool { return slices.Contains(f.Hosts, host) }) {
		return "https://" + host
	}
	return ""
}

// scpLike is Git's short form of an SSH URL.
var scpLike = regexp.MustCompile(`^(?:[^@:/]+@)?([^@:/]+):(.+)$`)

func place(repository string) located {
	if u, err := url.Parse(repository); err == nil && u.Host != "" {
		host := u.Host
		if u.Scheme == "ssh" {
			host = u.Hostname() // its port is not the HTTP port
		}
		return located{scheme: u.Scheme, host: strings.ToLower(host), path: split(u.Path)}
	}
	if m := scpLike.FindStringSubmatch(repository); m != nil && !strings.Contains(repository, "://") {
		return located{scheme: "ssh", host: strings.ToLower(m[1]), path: split(m[2])}
	}
	return located{}
}

func split(path string) []string {
	path = strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

func cutFolder(path, folder []string) ([]string, bool) {
	if len(path) < len(folder) || !slices.Equal(path[:len(folder)], folder) {
		return path, false
	}
	return path[len(folder):], true
}
