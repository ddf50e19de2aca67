// Package convert translates between the resources of package gcp and those of the API
// compute/v1. Package gce uses it for every call.
package convert

import (
	"strings"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// link holds the parts of a Compute Engine resource's URL.
type link struct {
	Project    string
	Scope      string // "global", "zones/Z" or "regions/R"
	Collection string // "backendServices"
	Name       string
}

// ParseLink parses a URL of a resource in any of the forms that Compute Engine and its
// clients write: in full with any host and version, from "projects/" on, or from the
// scope on, which is then in the given project. It returns false for any other text.
func ParseLink(url, project string) (link, bool) {
	path := url
	if _, rest, found := strings.Cut(url, "://"); found {
		_, path, _ = strings.Cut(rest, "/")
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, part := range parts {
		if part == "projects" && i+1 < len(parts) {
			project, parts = parts[i+1], parts[i+2:]
			break
		}
	}
	l := link{Project: project}
	switch {
	case len(parts) == 3 && parts[0] == "global":
		l.Scope, l.Collection, l.Name = "global", parts[1], parts[2]
	case len(parts) == 4 && (parts[0] == "zones" || parts[0] == "regions"):
		l.Scope, l.Collection, l.Name = parts[0]+"/"+parts[1], parts[2], parts[3]
	default:
		return link{}, false
	}
	return l, l.Project != "" && l.Name != "" && l.Collection != ""
}

// String returns the form "projects/P/global/backendServices/N". Compute Engine accepts
// it as a URL, and links are compared in it.
func (l link) String() string {
	return "projects/" + l.Project + "/" + l.Scope + "/" + l.Collection + "/" + l.Name
}

// zone returns the zone of a zonal resource, empty for any other.
func (l link) zone() string {
	zone, _ := strings.CutPrefix(l.Scope, "zones/")
	if zone == l.Scope {
		return ""
	}
	return zone
}

// ShortLink returns the form of link.String for any URL of a resource. It returns other
// text unchanged, so that it differs from every link.
func ShortLink(url, project string) string {
	if url == "" {
		return ""
	}
	if l, ok := ParseLink(url, project); ok {
		return l.String()
	}
	return url
}

// Collections are the names of the kinds in URLs.
var Collections = map[gcp.Kind]string{
	gcp.KindAddress:     "addresses",
	gcp.KindFirewall:    "firewalls",
	gcp.KindHealthCheck: "healthChecks",
	gcp.KindGroup:       "networkEndpointGroups",
	gcp.KindService:     "backendServices",
	gcp.KindURLMap:      "urlMaps",
	gcp.KindCertificate: "sslCertificates",
	gcp.KindHTTPProxy:   "targetHttpProxies",
	gcp.KindHTTPSProxy:  "targetHttpsProxies",
	gcp.KindRule:        "forwardingRules",
}

// LinkOf returns the URL of a resource of the project.
func LinkOf(id gcp.ID, project string) string {
	scope := "global"
	if id.Zone != "" {
		scope = "zones/" + id.Zone
	}
	return link{Project: project, Scope: scope, Collection: Collections[id.Kind], Name: id.Name}.String()
}

// idOf returns the ID of the resource that a URL names. If its project, scope or kind is
// not one that fedsync uses, the ID has the expected kind and the URL as its name, and so
// equals no wanted one.
func idOf(url, project string, expected ...gcp.Kind) gcp.ID {
	if url == "" {
		return gcp.ID{}
	}
	l, ok := ParseLink(url, project)
	if !ok || l.Project != project {
		return gcp.ID{Kind: expected[0], Name: url}
	}
	for _, kind := range expected {
		zonal := kind == gcp.KindGroup
		if l.Collection == Collections[kind] && zonal == (l.zone() != "") && (zonal || l.Scope == "global") {
			return gcp.ID{Kind: kind, Zone: l.zone(), Name: l.Name}
		}
	}
	return gcp.ID{Kind: expected[0], Name: l.String()}
}

// NetworkProject returns the project of a network, which is given by its URL, or by its
// name in the given project.
func NetworkProject(network, project string) string {
	if l, ok := ParseLink(network, project); ok {
		return l.Project
	}
	return project
}
