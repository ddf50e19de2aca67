package azure_test

import (
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/azure"
	"github.com/fedsync/fedsync/pkg/status/azure/azuretest"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

const (
	shaA = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	shaB = "b000000000000000000000000000000000000000"
)

func provider(t *testing.T, baseURL string, token func() (string, error)) status.Provider {
	t.Helper()
	p, err := azure.New(azure.Config{Config: forgeclient.Config{Base: baseURL, Token: token}, Organization: "contoso", Project: "shop", Repository: "web"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProviderConforms(t *testing.T) {
	states := map[string]status.State{"pending": status.Pending, "succeeded": status.Success, "failed": status.Failure}
	statustest.Run(t, func(t *testing.T) statustest.Fixture {
		f := azuretest.New(statustest.Token, shaA, shaB)
		t.Cleanup(func() {
			for _, fault := range f.Faults() {
				t.Errorf("invalid request to Azure DevOps: %s", fault)
			}
		})
		return statustest.Fixture{
			Forge: f, New: provider,
			Posted: func(_ *testing.T, sha, context string) []status.Commit {
				var commits []status.Commit
				for _, s := range f.Statuses(sha, context) {
					commits = append(commits, status.Commit{
						SHA: sha, Context: context, State: states[s.State], Description: s.Description, TargetURL: s.TargetURL, Time: s.Created,
					})
				}
				return commits
			},
			SHA: shaA, OtherSHA: shaB,
		}
	})
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	client := forgeclient.Config{Base: "https://dev.azure.com", Token: func() (string, error) { return "t", nil }}
	_, err := azure.New(azure.Config{Config: client, Organization: "contoso", Project: "shop"})
	if err == nil || !strings.Contains(err.Error(), "ORGANIZATION/PROJECT/REPOSITORY") {
		t.Errorf("New without a repository = %v, want the form of its name", err)
	}
}
