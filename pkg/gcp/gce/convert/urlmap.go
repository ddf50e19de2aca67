package convert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// unknownHost is the host of a rule that represents everything in an observed URL map
// that fedsync would not write.
const unknownHost = "(rules not written by fedsync)"

// ToURLMap returns the URL map for the API. Each host has a path matcher of its own, and
// each path a route rule, by priority.
func ToURLMap(r gcp.Resource, spec gcp.URLMap, project string) *compute.UrlMap {
	m := &compute.UrlMap{Name: r.ID.Name, Description: r.Mark.Text()}
	m.DefaultService, m.DefaultRouteAction, m.DefaultUrlRedirect = toTarget(spec.Default, project)
	for _, host := range spec.Hosts {
		matcher := &compute.PathMatcher{Name: matcherName(host.Host)}
		matcher.DefaultService, matcher.DefaultRouteAction, matcher.DefaultUrlRedirect = toTarget(host.Default, project)
		for i, path := range host.Paths {
			matcher.RouteRules = append(matcher.RouteRules, &compute.HttpRouteRule{
				Priority:   int64(i + 1),
				MatchRules: toMatches(path),
				Service:    LinkOf(path.Service, project),
			})
		}
		m.HostRules = append(m.HostRules, &compute.HostRule{Hosts: []string{host.Host}, PathMatcher: matcher.Name})
		m.PathMatchers = append(m.PathMatchers, matcher)
	}
	return m
}

// matcherName returns the name of a host's path matcher. It is a digest because a host
// may be longer than a name, and may contain other characters.
func matcherName(host string) string {
	sum := sha256.Sum256([]byte(host))
	return "host-" + hex.EncodeToString(sum[:8])
}

func toTarget(t gcp.Target, project string) (service string, action *compute.HttpRouteAction, redirect *compute.HttpRedirectAction) {
	if t.HTTPS {
		return "", nil, &compute.HttpRedirectAction{
			HttpsRedirect: true, RedirectResponseCode: "MOVED_PERMANENTLY_DEFAULT",
		}
	}
	if t.Service == (gcp.ID{}) {
		return "", nil, nil
	}
	if t.NotFound {
		action = &compute.HttpRouteAction{FaultInjectionPolicy: &compute.HttpFaultInjection{
			Abort: &compute.HttpFaultAbort{HttpStatus: 404, Percentage: 100},
		}}
	}
	return LinkOf(t.Service, project), action, nil
}

// toMatches returns the alternatives that a path matches. Kubernetes compares a prefix by
// whole elements, so "/shop" matches the path itself and what begins with "/shop/". A
// trailing slash of the prefix does not change the matches; their order records it.
func toMatches(p gcp.PathRule) []*compute.HttpRouteRuleMatch {
	if !p.Prefix {
		return []*compute.HttpRouteRuleMatch{{FullPathMatch: p.Path}}
	}
	bare := strings.TrimSuffix(p.Path, "/")
	if bare == "" {
		return []*compute.HttpRouteRuleMatch{{PrefixMatch: "/"}}
	}
	matches := []*compute.HttpRouteRuleMatch{{FullPathMatch: bare}, {PrefixMatch: bare + "/"}}
	if bare != p.Path {
		slices.Reverse(matches)
	}
	return matches
}

// FromURLMap reads a URL map of the API. If ToURLMap would not produce the same rules
// from the result, the result has an additional rule for unknownHost, which no federation
// can want.
func FromURLMap(m *compute.UrlMap, project string) gcp.URLMap {
	spec := gcp.URLMap{Default: fromTarget(m.DefaultService, m.DefaultRouteAction, m.DefaultUrlRedirect, project)}
	matchers := map[string]*compute.PathMatcher{}
	for _, matcher := range m.PathMatchers {
		matchers[matcher.Name] = matcher
	}
	for _, rule := range m.HostRules {
		matcher := matchers[rule.PathMatcher]
		if len(rule.Hosts) == 0 || matcher == nil {
			continue
		}
		spec.Hosts = append(spec.Hosts, fromMatcher(rule.Hosts[0], matcher, project))
	}
	slices.SortStableFunc(spec.Hosts, func(a, b gcp.HostRule) int { return strings.Compare(a.Host, b.Host) })
	if !sameRouting(m, ToURLMap(gcp.Resource{}, spec, project), project) {
		spec.Hosts = append(spec.Hosts, gcp.HostRule{Host: unknownHost})
	}
	return spec
}

func fromMatcher(host string, m *compute.PathMatcher, project string) gcp.HostRule {
	rule := gcp.HostRule{
		Host:    host,
		Default: fromTarget(m.DefaultService, m.DefaultRouteAction, m.DefaultUrlRedirect, project),
	}
	routes := slices.SortedStableFunc(slices.Values(m.RouteRules), func(a, b *compute.HttpRouteRule) int {
		return int(a.Priority - b.Priority)
	})
	for _, route := range routes {
		path := fromMatches(route.MatchRules)
		path.Service = idOf(route.Service, project, gcp.KindService)
		rule.Paths = append(rule.Paths, path)
	}
	return rule
}

func fromMatches(matches []*compute.HttpRouteRuleMatch) gcp.PathRule {
	switch {
	case len(matches) == 0:
		return gcp.PathRule{}
	case len(matches) == 1 && matches[0].PrefixMatch == "":
		return gcp.PathRule{Path: matches[0].FullPathMatch}
	case matches[0].PrefixMatch != "":
		return gcp.PathRule{Path: matches[0].PrefixMatch, Prefix: true}
	}
	return gcp.PathRule{Path: matches[0].FullPathMatch, Prefix: true}
}

func fromTarget(service string, action *compute.HttpRouteAction, redirect *compute.HttpRedirectAction, project string) gcp.Target {
	if redirect != nil {
		return gcp.Target{HTTPS: redirect.HttpsRedirect}
	}
	return gcp.Target{
		Service:  idOf(service, project, gcp.KindService),
		NotFound: action != nil && action.FaultInjectionPolicy != nil,
	}
}

// routing is the part of a URL map that fedsync owns, for comparison. It omits empty
// values, comments, the names and the order of matchers, and priorities.
type routing struct {
	Default any
	Hosts   map[string]any
}

// sameRouting reports whether two URL maps, of which fedsync rendered one, route every
// request the same way.
func sameRouting(a, b *compute.UrlMap, project string) bool {
	ra, okA := routingOf(a, project)
	rb, okB := routingOf(b, project)
	return okA && okB && reflect.DeepEqual(ra, rb)
}

func routingOf(m *compute.UrlMap, project string) (routing, bool) {
	out := routing{
		Default: plainJSON(&compute.UrlMap{
			DefaultService: m.DefaultService, DefaultRouteAction: m.DefaultRouteAction, DefaultUrlRedirect: m.DefaultUrlRedirect,
		}, project),
		Hosts: map[string]any{},
	}
	matchers := map[string]*compute.PathMatcher{}
	for _, matcher := range m.PathMatchers {
		copied := *matcher
		copied.Name = ""
		copied.RouteRules = nil
		routes := slices.SortedStableFunc(slices.Values(matcher.RouteRules), func(a, b *compute.HttpRouteRule) int {
			return int(a.Priority - b.Priority)
		})
		for i, route := range routes {
			numbered := *route
			numbered.Priority = int64(i + 1)
			copied.RouteRules = append(copied.RouteRules, &numbered)
		}
		matchers[matcher.Name] = &copied
	}
	for _, rule := range m.HostRules {
		for _, host := range rule.Hosts {
			_, twice := out.Hosts[host]
			if matchers[rule.PathMatcher] == nil || twice {
				return out, false
			}
			out.Hosts[host] = plainJSON(matchers[rule.PathMatcher], project)
		}
	}
	return out, true
}

// plainJSON returns a value of the API as JSON without empty values and comments, and
// with URLs in the form in which they are compared.
func plainJSON(value any, project string) any {
	data, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return err.Error()
	}
	return plainTree(tree, project)
}

func plainTree(tree any, project string) any {
	switch v := tree.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if url, ok := value.(string); ok && strings.HasSuffix(strings.ToLower(key), "service") {
				value = ShortLink(url, project)
			}
			if plain := plainTree(value, project); plain != nil && key != "description" {
				out[key] = plain
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		var out []any
		for _, value := range v {
			out = append(out, plainTree(value, project))
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case string:
		if v == "" {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	}
	return tree
}
