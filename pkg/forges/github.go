package forges

import (
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/github"
)

func githubRow() Forge {
	return Forge{
		Name:     "github",
		Title:    "GitHub, GitHub Enterprise",
		Rights:   "commit statuses: write, pull requests: write for comments, and deployments: write with --deployments",
		Hosts:    []string{"github.com"},
		TakesURL: true,
		Webhook:  "/webhook/github",
		New: func(c Config) (status.Provider, error) {
			at, err := c.Address(2)
			if err != nil {
				return nil, err
			}
			return github.New(github.Config{
				Config: c.client(at), Owner: at.Name[0], Repository: at.Name[1], AppID: c.AppID, AppKey: c.AppKey,
			})
		},
	}
}
