// Package forges is the registry of the forges that commit statuses can be posted to.
//
// A row describes one forge: its name among the settings, what its token needs, and
// how its provider is made. The settings, their help and the documentation are made
// from the rows, so that another forge is one package and one row here.
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

// Auto is the name that stands for the forge that the repository's URL leads to.
const Auto = "auto"

// Forge is a row of the registry.
type Forge struct {
	Name  string // as the settings have it: "gitea"
	Title string // as people call it: "Gitea, Forgejo"
	// Rights is what the token must be allowed: "the scope write:repository".
	Rights string
	// Hosts are those of the forge's public servers, by which Find knows a repository.
	Hosts []string
	// TakesURL says that others run the forge's software too, at an address that
	// the settings give.
	TakesURL bool
	// Webhook is the path at --listen that takes the forge's webhooks, by the proof
	// that this forge sends: "/webhook/gitea".
	Webhook string
	// New makes the provider. It makes no request.
	New func(Config) (status.Provider, error)
}

// Config is what a provider of any forge is made from.
type Config struct {
	// Repository is the URL that is read: over HTTP, over SSH, or a path.
	Repository string
	// URL is the forge's address, and Name the repository's full name on it, such as
	// "team/web". Where they are empty, Repository says them.
	URL, Name string
	// Ref is the branch or tag that is followed; empty for the default branch.
	Ref string
	// Token gives the forge's token. It is called for each request, so that one that
	// was replaced takes effect.
	Token func() (string, error)
	// AppID is the number of a GitHub App, which posts in the place of the token's
	// account, and AppKey gives its private key. Zero for none.
	AppID  int64
	AppKey func() ([]byte, error)
	// Secrets learns what is sent as a credential.
	Secrets *secret.Set
}

// client is what the provider of a forge at an address is made from.
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

// Find returns the forge of that name. Auto is the one whose public server the
// repository is on; its error says what to set where the URL does not tell.
func Find(name string, c Config) (Forge, error) {
	rows := All()
	at := slices.IndexFunc(rows, func(f Forge) bool { return f.Name == name })
	if name == Auto {
		host := cmp.Or(place(c.URL).host, place(c.Repository).host)
		at = slices.IndexFunc(rows, func(f Forge) bool { return slices.Contains(f.Hosts, host) })
		if at < 0 {
			return Forge{}, fmt.Errorf("the repository's URL does not tell which forge it is on: set --commit-status to %s, gitnotes or none",
				strings.Join(Names(), ", "))
		}
	}
	if at < 0 {
		return Forge{}, fmt.Errorf("--commit-status is %q; want %s", name, strings.Join(Names(), ", "))
	}
	return rows[at], nil
}
