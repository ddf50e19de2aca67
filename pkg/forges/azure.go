package forges

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/azure"
)

const (
	azureHost    = "dev.azure.com"
	azureSSHHost = "ssh.dev.azure.com"
)

func azureRow() Forge {
	return Forge{
		Name:     "azure",
		Title:    "Azure DevOps, untried against the service itself",
		Rights:   "the scope Code (status)",
		Hosts:    []string{azureHost, azureSSHHost},
		TakesURL: true,
		Webhook:  "/webhook/azuredevops",
		New: func(c Config) (status.Provider, error) {
			at, err := c.Address(0)
			if err != nil {
				return nil, err
			}
			name, err := azureName(at.Name)
			if err != nil {
				return nil, err
			}
			if at.Base == "https://"+azureSSHHost {
				at.Base = "https://" + azureHost
			}
			return azure.New(azure.Config{
				Config: c.client(at), Organization: name[0], Project: name[1], Repository: name[2],
			})
		},
	}
}

// azureName returns the organization, the project and the repository of a name, which in
// a URL is ORG/PROJECT/_git/REPO, and v3/ORG/PROJECT/REPO over SSH. A project's repository
// of the same name is ORG/_git/REPO.
func azureName(name []string) ([]string, error) {
	if name[0] == "v3" {
		name = name[1:]
	}
	at := slices.Index(name, "_git")
	switch {
	case at == 1 && len(name) == 3:
		return []string{name[0], name[2], name[2]}, nil
	case at == 2 && len(name) == 4:
		return []string{name[0], name[1], name[3]}, nil
	case at < 0 && len(name) == 3:
		return name, nil
	}
	return nil, fmt.Errorf("%s is not the repository's full name on Azure DevOps: set --forge-repository, for example to contoso/shop/web", strings.Join(name, "/"))
}
