package gitea_test

import (
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/gitea"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

func TestAForgeThatMisbehavesLearnsAndSaysNothing(t *testing.T) {
	statustest.Misbehave(t, shaA, func(t *testing.T, baseURL string, token func() (string, error)) status.Provider {
		p, err := gitea.New(gitea.Config{BaseURL: baseURL, Owner: "team", Repository: "web", Token: token})
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
}
