package forges

import (
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/gitea"
)

func giteaRow() Forge {
	return Forge{
		Name:     "gitea",
		Title:    "Gitea, Forgejo",
		Rights:   "the scope write:repository",
		Hosts:    []string{"codeberg.org", "gitea.com"},
		TakesURL: true,
		Webhook:  "/webhook/gitea",
		New: func(c Config) (status.Provider, error) {
			at, err := c.Address(2)
			if err != nil {
				return nil, err
			}
			return gitea.New(gitea.Config{
				Config: c.client(at), Owner: at.Name[0], Repository: at.Name[1],
			})
		},
	}
}
