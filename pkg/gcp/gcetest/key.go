package gcetest

import (
	"regexp"
	"strings"
)

// publicHost is the host of every URL in an answer, as in the real service, whichever
// host or short form the request used.
const publicHost = "https://www.googleapis.com/compute/v1/"

// key identifies a resource. The collection is the segment of the path, so "addresses"
// and "forwardingRules" for the global ones.
type key struct {
	project    string
	scope      string // "global", "zones/Z" or "regions/R"
	collection string
	name       string
}

// path returns the key without a host: "projects/p/global/addresses/a".
func (k key) path() string {
	if k.collection == zonesSegment {
		return "projects/" + k.project + "/zones/" + k.name
	}
	return "projects/" + k.project + "/" + k.scope + "/" + k.collection + "/" + k.name
}

// zonesSegment is the collection whose members are scopes themselves.
const zonesSegment = "zones"

func (k key) url() string { return publicHost + k.path() }

// zone returns the name of the zone; empty if the key has none.
func (k key) zone() string {
	zone, ok := strings.CutPrefix(k.scope, "zones/")
	if !ok {
		return ""
	}
	return zone
}

var (
	namePattern = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	hostPattern = regexp.MustCompile(`^https?://[^/]+/(compute/)?v1/`)
)

// parseKey parses a reference in any of the forms that the API accepts: a URL with any
// host, "projects/…", or, within a project, "global/…", "zones/…" and "regions/…".
func parseKey(ref, project string) (key, bool) {
	if strings.Contains(ref, "://") {
		prefix := hostPattern.FindString(ref)
		if prefix == "" {
			return key{}, false
		}
		ref = ref[len(prefix):]
	}
	parts := strings.Split(ref, "/")
	if len(parts) > 2 && parts[0] == "projects" {
		project, parts = parts[1], parts[2:]
	}
	k := key{project: project}
	switch {
	case len(parts) == 3 && parts[0] == "global":
		k.scope, k.collection, k.name = "global", parts[1], parts[2]
	case len(parts) == 4 && (parts[0] == "zones" || parts[0] == "regions"):
		k.scope, k.collection, k.name = parts[0]+"/"+parts[1], parts[2], parts[3]
	default:
		return key{}, false
	}
	return k, k.project != "" && namePattern.MatchString(k.name)
}

// parseZone parses a zone's reference: a URL, a path or the bare name.
func parseZone(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }
