// Package secret removes the secrets of one connection from the texts that come
// back over it.
//
// The secrets are set when the connection is made, or learnt from the requests that
// contain them. Texts from the other side are cleaned before they are used. The
// other side may send a secret back in any encoding, so texts are compared without
// their encoding: see skeleton. Unknown secrets are recognised by package
// untrusted, by their form.
package secret

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// shortest is the least number of letters and digits of a secret that is
	// recognised in any shape. A text may contain a shorter one by chance.
	shortest = 8
	// shortestExact is the least length, in bytes, of a secret that is masked: a
	// shorter one would mask ordinary words.
	shortestExact = 4
	// learntMost bounds the secrets that Learn remembers: a token that was
	// renewed may still be quoted for a while.
	learntMost = 16
	// mask replaces a secret.
	mask = "***"
)

// Set holds the secrets of one connection. The zero value and nil are empty sets.
// It is safe for concurrent use.
type Set struct {
	mu     sync.Mutex // protects what follows, and writes to now
	fixed  []string
	learnt []string // the newest last

	now    atomic.Pointer[matcher]
	header atomic.Pointer[string] // the last argument of LearnHeader
	found  atomic.Bool
}

// New returns a set of the secrets, without empty ones.
func New(secrets ...string) *Set {
	s := &Set{fixed: secrets}
	s.now.Store(newMatcher(secrets))
	return s
}

// Learn adds secrets. They replace those that were learnt long ago.
func (s *Set) Learn(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := false
	for _, one := range secrets {
		if one == "" || slices.Contains(s.fixed, one) {
			continue
		}
		news = news || !slices.Contains(s.learnt, one)
		s.learnt = append(slices.DeleteFunc(s.learnt, func(have string) bool { return have == one }), one)
	}
	if !news {
		return
	}
	s.learnt = s.learnt[max(0, len(s.learnt)-learntMost):]
	s.now.Store(newMatcher(slices.Concat(s.fixed, s.learnt)))
}

// LearnHeader learns the credentials in an Authorization header. It is cheap
// while the header stays the same.
func (s *Set) LearnHeader(header string) {
	if last := s.header.Load(); header == "" || last != nil && *last == header {
		return
	}
	s.header.Store(&header)
	scheme, value, _ := strings.Cut(header, " ")
	found := []string{value}
	if strings.EqualFold(scheme, "Basic") {
		if plain, err := base64.StdEncoding.DecodeString(value); err == nil {
			user, password, _ := strings.Cut(string(plain), ":")
			if password == "" || password == "x-oauth-basic" {
				password = user // forges accept a token as the user name
			}
			found = append(found, password)
		}
	}
	s.Learn(found...)
}

// Mask returns a text without the secrets, whatever their shape. It is for texts that
// report a failure: it also masks short secrets, and so any word equal to one.
func (s *Set) Mask(text string) string {
	m := s.matcher()
	if m == nil {
		return text
	}
	return s.note(text, m.replace(m.exact(text)))
}

// Clean is Mask for texts other than failures, such as names: it masks only secrets
// that such a text does not contain by chance.
func (s *Set) Clean(text string) string {
	m := s.matcher()
	if m == nil || len(text) < shortest {
		return text
	}
	return s.note(text, m.replace(text))
}

func (s *Set) note(before, after string) string {
	if before != after {
		s.found.Store(true)
	}
	return after
}

// Found reports whether a secret was ever found, which means that the other side
// sends them back.
func (s *Set) Found() bool { return s != nil && s.found.Load() }

// In reports whether a string in a decoded JSON value contains a secret.
func (s *Set) In(value any) bool {
	m := s.matcher()
	if m == nil || !m.within(value) {
		return false
	}
	s.found.Store(true)
	return true
}

// Object returns a decoded JSON value with every string cleaned, including keys.
// If there is nothing to clean, which is usual, it returns the same value.
func (s *Set) Object(value any) any {
	if !s.In(value) {
		return value
	}
	return s.matcher().cleaned(value)
}

func (s *Set) matcher() *matcher {
	if s == nil {
		return nil
	}
	return s.now.Load()
}

// OfProxy returns the secrets of the proxy that the environment names for a request.
func OfProxy(req *http.Request) []string {
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil {
		return nil // the request fails with this error, so nothing is sent
	}
	return OfURL(proxy)
}

// OfURL returns the secret in a URL: its password, or else its user, which may be
// a token.
func OfURL(u *url.URL) []string {
	if u == nil || u.User == nil {
		return nil
	}
	if password, ok := u.User.Password(); ok && password != "" {
		return []string{password}
	}
	return []string{u.User.Username()}
}

// shapes returns the encodings of a whole short secret.
func shapes(secret string) []string {
	quoted, _ := json.Marshal(secret) // strings can always be encoded
	all := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(string(quoted), `"`),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
	slices.Sort(all)
	slices.Reverse(all) // a shape comes before its own prefixes
	return slices.Compact(all)
}
