// Package forges is the registry of the forges that commit statuses can be posted to.
//
// A row describes one forge: its name in the settings, what its token needs, and how to
// create its provider. The settings, their help and the documentation are generated from
// the rows, so a new forge needs only one package and one row here.
package forges

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// Auto is the name for the forge to which the repository's URL leads.
const Auto = "auto"

// Forge is a row of the registry.
type Forge struct {
	Name  string // in the settings: "gitea"
	Title string // for users: "Gitea, Forgejo"
	// Rights are the rights that the token needs: "the scope write:repository".
	Rights string
	// Hosts are the hosts of the forge's public servers, by which Find recognizes a
	// repository.
	Hosts []string
	// TakesURL reports that the forge's software can also be self-hosted, at an address
	// in the settings.
	TakesURL bool
	// Webhook is the path at --listen that receives the forge's webhooks, with the
	// authentication of this forge: "/webhook/gitea".
	Webhook string
	// New creates the provider. It sends no request.
	New func(Config) (status.Provider, error)
}

// Config is the configuration of a provider of any forge.
type Config struct {
	// Repository is the repository's URL over HTTP or SSH, or its path.
	Repository string
	// URL is the forge's address, and Name the repository's full name on it, such as
	// "team/web". If they are empty, they are derived from Repository.
	URL, Name string
	// Ref is the branch or tag that is followed; empty for the default branch.
	Ref string
	// Token returns the forge's token. It is called for each request, so that a
	// replaced token takes effect.
	Token func() (string, error)
	// AppID is the number of a GitHub App, which posts instead of the token's account,
	// and AppKey returns its private key. Zero for none.
	AppID  int64
	AppKey func() ([]byte, error)
	// Secrets receives the credentials that are sent.
	Secrets *secret.Set
}

// client returns the configuration of a client for the forge at an address.
func (c Config) client(at Address) forgeclient.Config {
	return forgeclient.Config{Base: at.Base, Token: c.Token, Secrets: c.Secrets}
}

// All returns the rows in the order of their names.
func All() []Forge {
	rows := []Forge{azureRow(), bitbucketRow(), giteaRow(), githubRow(), gitlabRow()}
	slices.SortFunc(rows, func(a, b Forge) int { return strings.Compare(a.Name, b.Name) })
	return rows
}

// Names returns the names of all forges.
func Names() []string {
	var names []string
	for _, f := range All() {
		names = append(names, f.Name)
	}
	return names
}

// Find returns the forge of that name. For Auto, it is the forge whose public server has
// the repository. If there is none, the error names the setting to use.
func Find(name string, c Config) (Forge, error) {
	rows := All()
	at := slices.IndexFunc(rows, func(f Forge) bool { return f.Name == name })
	if name == Auto {
		host := cmp.Or(place(c.URL).host, place(c.Repository).host)
		at = slices.IndexFunc(rows, func(f Forge) bool { return slices.Contains(f.Hosts, host) })
		if at < 0 {
			return Forge{}, fmt.Errorf("the repository's URL does not show which forge it is on: set --commit-status to %s, gitnotes or none",
				strings.Join(Names(), ", "))
		}
	}
	if at < 0 {
		return Forge{}, fmt.Errorf("--commit-status is %q; want %s", name, strings.Join(Names(), ", "))
	}
	return rows[at], nil
}
