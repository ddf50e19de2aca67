package forges

import (
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/bitbucket"
)

func bitbucketRow() Forge {
	return Forge{
		Name:    "bitbucket",
		Title:   "Bitbucket Cloud",
		Rights:  "the scope repository; pullrequest:write for comments",
		Hosts:   []string{bitbucket.Host},
		Webhook: "/webhook/bitbucket",
		New: func(c Config) (status.Provider, error) {
			at, err := c.Address(2)
			if err != nil {
				return nil, err
			}
			return bitbucket.New(bitbucket.Config{
				Config: c.client(at), Workspace: at.Name[0], Repository: at.Name[1],
			})
		},
	}
}
