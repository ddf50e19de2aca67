package gitlab_test

import (
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/gitlab"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

func TestAForgeThatMisbehavesLearnsAndSaysNothing(t *testing.T) {
	statustest.Misbehave(t, shaA, func(t *testing.T, baseURL string, token func() (string, error)) status.Provider {
		p, err := gitlab.New(gitlab.Config{BaseURL: baseURL, Project: project, Ref: "main", Token: token})
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
}
