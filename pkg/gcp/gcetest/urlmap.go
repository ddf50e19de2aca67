package gcetest

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	compute "google.golang.org/api/compute/v1"
)

const mapsSegment = "urlMaps"

func urlMaps() *collection {
	c := collectionOf[compute.UrlMap](mapsSegment, mapsSegment, "urlMap", "global")
	c.lock = "fingerprint"
	for _, at := range []string{"", "pathMatchers.*."} {
		c.refs = append(c.refs, serviceRef(at+"defaultService"))
		c.refs = append(c.refs, actionRefs(at+"defaultRouteAction")...)
	}
	for _, at := range []string{"pathMatchers.*.pathRules.*.", "pathMatchers.*.routeRules.*."} {
		c.refs = append(c.refs, serviceRef(at+"service"))
		c.refs = append(c.refs, actionRefs(at+"routeAction")...)
	}
	c.refs = append(c.refs, serviceRef("tests.*.service"))
	c.check = checkURLMap
	c.readable().aggregated().writable("patch", "update").testable()
	return c.add(&method{
		name: "validate", verb: "POST", path: c.root() + "/{name}/validate",
		body: reflect.TypeFor[compute.UrlMapsValidateRequest](), serve: validateURLMap,
	})
}

func serviceRef(path string) refField { return refField{path, []string{servicesSegment}} }

func actionRefs(path string) []refField {
	return []refField{
		serviceRef(path + ".weightedBackendServices.*.backendService"),
		serviceRef(path + ".requestMirrorPolicy.backendService"),
	}
}

func checkURLMap(d *draft) *refusal {
	m := as[compute.UrlMap](d.doc)
	c := urlMapCheck{server: d.server, project: d.key.project}
	c.whole(m)
	if c.refused != nil {
		return c.refused
	}
	if failures := d.server.testURLMap(m); len(failures) > 0 {
		f := failures[0]
		return invalid("URL map test failed: %s%s: expected %s, got %s.", f.Host, f.Path, f.ExpectedService, f.ActualService)
	}
	for _, proxy := range d.server.users(d.key) {
		for _, rule := range d.server.rulesTo(proxy) {
			if refused := d.server.sameScheme(d.doc, rule.LoadBalancingScheme); refused != nil {
				return refused
			}
		}
	}
	return nil
}

// validateURLMap returns the result that an insert of the map would have.
func validateURLMap(q *request) (any, *refusal) {
	in, _ := q.body["resource"].(map[string]any)
	if in == nil {
		return nil, refuse(400, reasonRequired, "Required field 'resource.resource' not specified")
	}
	d := &draft{server: q.server, key: q.key, doc: merged(nil, in)}
	result := &compute.UrlMapValidationResult{LoadSucceeded: true}
	refused := q.collection.resolve(d)
	m := as[compute.UrlMap](d.doc)
	if refused == nil {
		c := urlMapCheck{server: q.server, project: q.key.project}
		c.whole(m)
		refused = c.refused
	}
	if refused != nil {
		result.LoadSucceeded, result.LoadErrors = false, []string{refused.message}
		return &compute.UrlMapsValidateResponse{Result: result}, nil
	}
	result.TestFailures = q.server.testURLMap(m)
	result.TestPassed = len(result.TestFailures) == 0
	return &compute.UrlMapsValidateResponse{Result: result}, nil
}

// urlMapCheck collects the first refusal.
type urlMapCheck struct {
	server  *Server
	project string
	refused *refusal
}

func (c *urlMapCheck) fail(field string, value any, why string) {
	if c.refused == nil {
		c.refused = badField(field, value, "%s", why)
	}
}

func (c *urlMapCheck) whole(m *compute.UrlMap) {
	c.destination("", destination{m.DefaultService, m.DefaultUrlRedirect, m.DefaultRouteAction}, "defaultService")
	used := map[string]bool{}
	hosts := map[string]bool{}
	matchers := map[string]bool{}
	for i, p := range m.PathMatchers {
		at := fmt.Sprintf("pathMatchers[%d].", i)
		if !namePattern.MatchString(p.Name) {
			c.fail(at+"name", p.Name, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
		}
		if matchers[p.Name] {
			c.fail(at+"name", p.Name, "The name is given twice.")
		}
		matchers[p.Name] = true
		c.matcher(at, p)
	}
	for i, h := range m.HostRules {
		at := fmt.Sprintf("hostRules[%d].", i)
		if len(h.Hosts) == 0 {
			c.fail(at+"hosts", "", "At least one host is required.")
		}
		for _, host := range h.Hosts {
			if !hostRulePattern.MatchString(host) || len(host) > 255 {
				c.fail(at+"hosts", host, "Must be a host name, with * only in front, followed by . or -.")
			}
			if hosts[host] {
				c.fail(at+"hosts", host, "The host is given twice.")
			}
			hosts[host] = true
		}
		if !matchers[h.PathMatcher] {
			c.fail(at+"pathMatcher", h.PathMatcher, "There is no such path matcher.")
		}
		used[h.PathMatcher] = true
	}
	for i, p := range m.PathMatchers {
		if !used[p.Name] {
			c.fail(fmt.Sprintf("pathMatchers[%d].name", i), p.Name, "No host rule uses the path matcher.")
		}
	}
}

var hostRulePattern = regexp.MustCompile(`^(\*|(\*[-.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)(:[0-9]+)?$`)

func (c *urlMapCheck) matcher(at string, p *compute.PathMatcher) {
	c.destination(at, destination{p.DefaultService, p.DefaultUrlRedirect, p.DefaultRouteAction}, "defaultService")
	if len(p.PathRules) > 0 && len(p.RouteRules) > 0 {
		c.fail(at+"routeRules", len(p.RouteRules), "Path rules and route rules cannot be combined.")
	}
	paths := map[string]bool{}
	for i, rule := range p.PathRules {
		at := fmt.Sprintf("%spathRules[%d].", at, i)
		if len(rule.Paths) == 0 {
			c.fail(at+"paths", "", "At least one path is required.")
		}
		for _, path := range rule.Paths {
			if !pathRulePattern.MatchString(path) || len(path) > 1024 {
				c.fail(at+"paths", path, "Must begin with /, and * is allowed only at the end after a /.")
			}
			if paths[path] {
				c.fail(at+"paths", path, "The path is given twice.")
			}
			paths[path] = true
		}
		c.destination(at, destination{rule.Service, rule.UrlRedirect, rule.RouteAction}, "service")
	}
	priorities := map[int64]bool{}
	for i, rule := range p.RouteRules {
		at := fmt.Sprintf("%srouteRules[%d].", at, i)
		if rule.Priority < 0 || priorities[rule.Priority] {
			c.fail(at+"priority", rule.Priority, "Must be unique and not negative.")
		}
		if i > 0 && rule.Priority < p.RouteRules[i-1].Priority {
			c.fail(at+"priority", rule.Priority, "Route rules must be in the order of their priorities.")
		}
		priorities[rule.Priority] = true
		c.matches(at, rule.MatchRules)
		c.destination(at, destination{rule.Service, rule.UrlRedirect, rule.RouteAction}, "service")
	}
}

var pathRulePattern = regexp.MustCompile(`^/([^*?#]*/)?(\*|[^*?#]*)$`)

func (c *urlMapCheck) matches(at string, rules []*compute.HttpRouteRuleMatch) {
	if len(rules) == 0 {
		c.fail(at+"matchRules", "", "At least one is required.")
	}
	for i, m := range rules {
		at := fmt.Sprintf("%smatchRules[%d].", at, i)
		set := 0
		for _, path := range []string{m.PrefixMatch, m.FullPathMatch, m.RegexMatch, m.PathTemplateMatch} {
			if path != "" {
				set++
			}
		}
		if set != 1 {
			c.fail(at+"prefixMatch", m.PrefixMatch, "Exactly one of prefixMatch, fullPathMatch and regexMatch is required.")
		}
		if m.PathTemplateMatch != "" || len(m.MetadataFilters) > 0 || m.RegexMatch != "" {
			c.fail(at+"pathTemplateMatch", m.PathTemplateMatch, "The stand-in supports prefixes, whole paths, headers and parameters.")
		}
		if path := m.PrefixMatch + m.FullPathMatch; path != "" && (!strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#")) {
			c.fail(at+"prefixMatch", path, "Must begin with /.")
		}
	}
}

// destination is where requests go, in one of the three forms of the API.
type destination struct {
	service  string
	redirect *compute.HttpRedirectAction
	action   *compute.HttpRouteAction
}

func (c *urlMapCheck) destination(at string, d destination, field string) {
	weighted := d.action != nil && len(d.action.WeightedBackendServices) > 0
	switch {
	case d.redirect != nil && (d.service != "" || d.action != nil):
		c.fail(at+field, d.service, "A redirect cannot be combined with a service or a route action.")
	case d.redirect == nil && d.service == "" && !weighted:
		c.fail(at+field, "", "A service, a redirect or weighted backend services are required.")
	case d.service != "" && weighted:
		c.fail(at+field, d.service, "A service cannot be combined with weighted backend services.")
	}
	if d.redirect != nil {
		c.redirect(at, d.redirect)
	}
	if d.action != nil {
		c.action(at, d)
	}
}

var redirectCodes = map[string]int{
	"": 301, "MOVED_PERMANENTLY_DEFAULT": 301, "FOUND": 302, "SEE_OTHER": 303, "TEMPORARY_REDIRECT": 307, "PERMANENT_REDIRECT": 308,
}

func (c *urlMapCheck) redirect(at string, r *compute.HttpRedirectAction) {
	if _, ok := redirectCodes[r.RedirectResponseCode]; !ok {
		c.fail(at+"urlRedirect.redirectResponseCode", r.RedirectResponseCode, "Unknown code.")
	}
	if r.PathRedirect != "" && r.PrefixRedirect != "" {
		c.fail(at+"urlRedirect.pathRedirect", r.PathRedirect, "It cannot be combined with prefixRedirect.")
	}
}

func (c *urlMapCheck) action(at string, d destination) {
	services := []string{d.service}
	for _, w := range d.action.WeightedBackendServices {
		if w.Weight < 0 || w.Weight > 1000 || w.BackendService == "" {
			c.fail(at+"routeAction.weightedBackendServices", w.Weight, "Needs a service and a weight from 0 to 1000.")
		}
		services = append(services, w.BackendService)
	}
	fault := d.action.FaultInjectionPolicy
	if fault != nil && fault.Abort != nil {
		if a := fault.Abort; a.HttpStatus < 200 || a.HttpStatus > 599 || a.Percentage < 0 || a.Percentage > 100 {
			c.fail(at+"routeAction.faultInjectionPolicy.abort", a.HttpStatus, "Needs a status from 200 to 599 and a percentage from 0.0 to 100.0.")
		}
	}
	if fault != nil && fault.Delay != nil || d.action.RequestMirrorPolicy != nil || d.action.CachePolicy != nil {
		c.fail(at+"routeAction", "…", "The stand-in supports abort, weighted backend services, URL rewrites and timeouts.")
	}
	for _, ref := range services {
		k, ok := parseKey(ref, c.project)
		service := typed[compute.BackendService](c.server, k)
		if ok && service != nil && service.LoadBalancingScheme != schemeManaged && (fault != nil || len(d.action.WeightedBackendServices) > 0) {
			c.fail(at+"routeAction", k.name, "Fault injection and weighted backend services need the scheme EXTERNAL_MANAGED.")
		}
	}
}

// testURLMap runs the tests of a URL map.
func (s *Server) testURLMap(m *compute.UrlMap) []*compute.TestFailure {
	var out []*compute.TestFailure
	for _, t := range m.Tests {
		got := route(m, &routeRequest{host: t.Host, path: t.Path, scheme: "http"})
		k, _ := parseKey(got.service, "")
		want, _ := parseKey(t.Service, "")
		if got.redirect == nil && k.name != want.name {
			out = append(out, &compute.TestFailure{Host: t.Host, Path: t.Path, ExpectedService: t.Service, ActualService: got.service})
		}
	}
	return slices.Clip(out)
}
