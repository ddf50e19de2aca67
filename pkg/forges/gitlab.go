package forges

import (
	"strings"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/gitlab"
)

func gitlabRow() Forge {
	return Forge{
		Name:     "gitlab",
		Title:    "GitLab",
		Rights:   "the scope api and the role Developer; on a protected branch a role that may push or merge there",
		Hosts:    []string{"gitlab.com"},
		TakesURL: true,
		Webhook:  "/webhook/gitlab",
		New: func(c Config) (status.Provider, error) {
			at, err := c.Address(0)
			if err != nil {
				return nil, err
			}
			return gitlab.New(gitlab.Config{
				Config: c.client(at), Project: strings.Join(at.Name, "/"), Ref: c.Ref,
			})
		},
	}
}
