// Package secret takes the secrets of one connection out of the texts that come
// back over it.
//
// The secrets go in when the connection is made, or are learnt from the requests
// that bear them; texts of the other side go through before anybody sees them. Who
// holds a secret may send it back in any shape, so what is compared is what is left
// of a text without its shape: see skeleton. What a secret looks like that nobody
// knows is not this package's to say.
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
	// shortest is the least number of letters and digits by which a secret is
	// recognised in any shape. A text may hold a shorter one by chance.
	shortest = 8
	// shortestExact is the least length, in bytes, of a secret that is looked for
	// at all: a shorter one would blank out ordinary words.
	shortestExact = 4
	// learntMost bounds the secrets that Learn keeps: a token that is renewed may
	// still be quoted for a while.
	learntMost = 16
	// mask is what a secret is replaced by.
	mask = "***"
)

// Set holds the secrets of one connection. The zero value, and nil, holds none. It
// is safe for concurrent use.
type Set struct {
	mu     sync.Mutex // protects what follows, and changes of now
	fixed  []string
	learnt []string // the newest last

	now    atomic.Pointer[matcher]
	header atomic.Pointer[string] // the last that LearnHeader saw
	found  atomic.Bool
}

// New returns a set of the secrets, of which empty ones are left out.
func New(secrets ...string) *Set {
	s := &Set{fixed: secrets}
	s.now.Store(newMatcher(secrets))
	return s
}

// Learn adds secrets, in place of those that were learnt long ago.
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

// LearnHeader learns what an Authorization header holds. It costs next to nothing
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
				password = user // forges take a token for the user's name
			}
			found = append(found, password)
		}
	}
	s.Learn(found...)
}

// Mask returns a text without the secrets, in whatever shape they are in it. It is
// for texts that report a failure: short secrets are taken out as well, and with them
// a word that is equal to one.
func (s *Set) Mask(text string) string {
	m := s.matcher()
	if m == nil {
		return text
	}
	return s.note(text, m.replace(m.exact(text)))
}

// Clean is Mask for what is no report of a failure, such as names: only secrets that
// no such text holds by chance are taken out.
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

// Found reports whether a secret was ever found: the other side sends them back.
func (s *Set) Found() bool { return s != nil && s.found.Load() }

// In reports whether a string of a decoded JSON value holds a secret.
func (s *Set) In(value any) bool {
	m := s.matcher()
	if m == nil || !m.within(value) {
		return false
	}
	s.found.Store(true)
	return true
}

// Object returns a decoded JSON value with every string cleaned, keys included. It
// is the same value where there is nothing to clean, as nearly always.
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

// OfProxy returns what is secret of the proxy that the environment names for a request.
func OfProxy(req *http.Request) []string {
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil {
		return nil // the request fails of it, and nobody is sent anything
	}
	return OfURL(proxy)
}

// OfURL returns what is secret of a URL: its password, or else its user, which may
// be a token.
func OfURL(u *url.URL) []string {
	if u == nil || u.User == nil {
		return nil
	}
	if password, ok := u.User.Password(); ok && password != "" {
		return []string{password}
	}
	return []string{u.User.Username()}
}

// shapes are the ways in which a short secret is written as a whole.
func shapes(secret string) []string {
	quoted, _ := json.Marshal(secret) // a string always can be
	all := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(string(quoted), `"`),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
	slices.Sort(all)
	slices.Reverse(all) // what begins with another comes before it
	return slices.Compact(all)
}
