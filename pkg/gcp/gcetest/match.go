package gcetest

import (
	"net/http"
	"net/url"
	"strings"

	compute "google.golang.org/api/compute/v1"
)

// routeRequest holds the parts of a request that a URL map matches.
type routeRequest struct {
	host, path, scheme string
	header             http.Header
	query              url.Values
}

// routed is where a URL map sends a request.
type routed struct {
	service  string // URL of the backend service; empty for a redirect or weights
	redirect *compute.HttpRedirectAction
	action   *compute.HttpRouteAction
	prefix   string // the prefix that matched, for rewrites and redirects of prefixes
}

func (d destination) routed(prefix string) routed {
	return routed{service: d.service, redirect: d.redirect, action: d.action, prefix: prefix}
}

// route applies the host rules, then the path matcher.
func route(m *compute.UrlMap, r *routeRequest) routed {
	matcher := matcherFor(m, r.host)
	if matcher == nil {
		return destination{m.DefaultService, m.DefaultUrlRedirect, m.DefaultRouteAction}.routed("/")
	}
	for _, rule := range matcher.RouteRules { // in the order of priorities
		for _, match := range rule.MatchRules {
			if matches(match, r) {
				return destination{rule.Service, rule.UrlRedirect, rule.RouteAction}.routed(match.PrefixMatch)
			}
		}
	}
	best, length, exact := (*compute.PathRule)(nil), -1, false
	for _, rule := range matcher.PathRules {
		for _, pattern := range rule.Paths {
			prefix, wild := strings.CutSuffix(pattern, "*")
			if !wild && pattern == r.path {
				best, length, exact = rule, len(pattern), true
			}
			if wild && !exact && strings.HasPrefix(r.path, prefix) && len(prefix) > length {
				best, length = rule, len(prefix)
			}
		}
	}
	if best != nil {
		return destination{best.Service, best.UrlRedirect, best.RouteAction}.routed(r.path[:min(length, len(r.path))])
	}
	return destination{matcher.DefaultService, matcher.DefaultUrlRedirect, matcher.DefaultRouteAction}.routed("/")
}

// matcherFor returns the path matcher of the host: the exact one, else the one of the
// longest wildcard, else the one of "*", else nil.
func matcherFor(m *compute.UrlMap, host string) *compute.PathMatcher {
	host = strings.ToLower(host)
	bare, _, _ := strings.Cut(host, ":")
	name, length := "", -1
	for _, rule := range m.HostRules {
		for _, pattern := range rule.Hosts {
			suffix, wild := strings.CutPrefix(pattern, "*")
			switch {
			case !wild && (pattern == host || pattern == bare):
				name, length = rule.PathMatcher, 1<<10
			case wild && strings.HasSuffix(bare, suffix) && len(bare) > len(suffix) && len(suffix) > length:
				name, length = rule.PathMatcher, len(suffix)
			}
		}
	}
	for _, matcher := range m.PathMatchers {
		if matcher.Name == name {
			return matcher
		}
	}
	return nil
}

func matches(m *compute.HttpRouteRuleMatch, r *routeRequest) bool {
	path, prefix, full := r.path, m.PrefixMatch, m.FullPathMatch
	if m.IgnoreCase {
		path, prefix, full = strings.ToLower(path), strings.ToLower(prefix), strings.ToLower(full)
	}
	if prefix != "" && !strings.HasPrefix(path, prefix) || full != "" && path != full {
		return false
	}
	for _, h := range m.HeaderMatches {
		if !headerMatches(h, r.header) {
			return false
		}
	}
	for _, q := range m.QueryParameterMatches {
		value := r.query.Get(q.Name)
		if !r.query.Has(q.Name) || !q.PresentMatch && value != q.ExactMatch {
			return false
		}
	}
	return true
}

func headerMatches(h *compute.HttpHeaderMatch, header http.Header) bool {
	value := header.Get(h.HeaderName)
	_, present := header[http.CanonicalHeaderKey(h.HeaderName)]
	ok := present
	switch {
	case h.ExactMatch != "":
		ok = value == h.ExactMatch
	case h.PrefixMatch != "":
		ok = present && strings.HasPrefix(value, h.PrefixMatch)
	case h.SuffixMatch != "":
		ok = present && strings.HasSuffix(value, h.SuffixMatch)
	}
	return ok != h.InvertMatch
}
