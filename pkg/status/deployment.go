package status

import (
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// Deployer is implemented by providers of forges that have deployments.
type Deployer interface {
	Provider

	// Deployments returns a provider whose statuses are those of deployments: a context
	// is the name of an environment, and a target URL is the environment's. A superseded
	// status becomes inactive. page returns the URL of a commit's page; empty for none.
	Deployments(page func(sha string) string) Provider
}

// environments is the prefix of environment names: "federation/web", or
// "federation/FOLDER/web" if the federation is in a folder.
const environments = "federation/"

// Deployment returns the deployment that a report's revision should have, as a status:
// that of its federation's environment, with the federation's address when it is in sync.
// For a report without a revision or a federation, the status has no commit.
func Deployment(r Report) Commit {
	if r.Federation == "" {
		return Commit{}
	}
	c := Commit{SHA: r.Revision.SHA, Context: environments + path.Join(r.Folder, r.Federation), State: r.State}
	if r.State == Success {
		c.TargetURL = addressURL(r.Addresses)
	}
	return c
}

// addressURL returns the URL of the federation; empty if it has more than one address.
func addressURL(addresses []Address) string {
	host := ""
	for _, a := range addresses {
		if host != "" && a.Address != host {
			return ""
		}
		host = a.Address
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		if ip.Is6() {
			host = "[" + host + "]"
		}
	} else if !isHostname(host) {
		return ""
	}
	return (&url.URL{Scheme: "http", Host: host, Path: "/"}).String()
}

// isHostname reports whether a text from a cluster can be a DNS name.
func isHostname(text string) bool {
	const most = 253
	return text != "" && len(text) <= most && strings.Trim(text, ".-") == text && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}
