package lab

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Forge is a running Gitea.
type Forge struct {
	URL        string `json:"url"`
	Owner      string `json:"owner"` // an administrator
	Password   string `json:"password"`
	Token      string `json:"token"`      // the owner's, for everything
	Repository string `json:"repository"` // one that all tests share; see NewRepository
	CloneURL   string `json:"cloneURL"`   // of Repository, without credentials
}

// Forge returns the sandbox's forge.
func (s *Sandbox) Forge(tb testing.TB) *Forge {
	tb.Helper()
	if s.description.Forge == nil {
		tb.Fatalf("the sandbox in %s has no forge: start it with --forge", s.description.Dir)
	}
	f := *s.description.Forge
	return &f
}

// NewRepository creates an empty repository for one test and returns a forge with it
// as Repository. The repository is deleted at the test's end.
func (f *Forge) NewRepository(tb testing.TB) *Forge {
	tb.Helper()
	own := *f
	own.Repository = "test-" + strings.ToLower(rand.Text()[:8])
	own.CloneURL = fmt.Sprintf("%s/%s/%s.git", f.URL, f.Owner, own.Repository)
	if err := f.Call(tb.Context(), http.MethodPost, "/user/repos",
		map[string]any{"name": own.Repository, "default_branch": "main", "auto_init": false}, nil); err != nil {
		tb.Fatalf("create a repository on the forge: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 10*time.Second)
		defer cancel()
		if err := f.Call(ctx, http.MethodDelete, own.path(""), nil, nil); err != nil {
			tb.Errorf("delete the repository %s on the forge: %v", own.Repository, err)
		}
	})
	return &own
}

// PushURL returns the clone URL with the owner's token in it, for the git command.
func (f *Forge) PushURL() string {
	return strings.Replace(f.CloneURL, "://", "://"+f.Owner+":"+f.Token+"@", 1)
}

// AddWebhook registers a webhook, so that the forge posts pushes and changes of pull
// requests in the repository to url, signed with secret.
func (f *Forge) AddWebhook(tb testing.TB, url, secret string) {
	tb.Helper()
	err := f.Call(tb.Context(), http.MethodPost, f.path("/hooks"), map[string]any{
		"type":   "gitea",
		"active": true,
		"events": []string{"push", "pull_request", "pull_request_sync"},
		"config": map[string]string{"url": url, "secret": secret, "content_type": "json"},
	}, nil)
	if err != nil {
		tb.Fatalf("register the webhook %s: %v", url, err)
	}
}

// Status is a commit status as the forge shows it.
type Status struct {
	Context     string `json:"context"`
	State       string `json:"status"`
	Description string `json:"description"`
	TargetURL   string `json:"target_url"`
}

// Statuses returns the statuses of a commit, newest first.
func (f *Forge) Statuses(tb testing.TB, sha string) []Status {
	tb.Helper()
	type numbered struct {
		ID int64 `json:"id"`
		Status
	}
	var found []numbered
	if err := f.Call(tb.Context(), http.MethodGet, f.path("/commits/"+sha+"/statuses"), nil, &found); err != nil {
		tb.Fatalf("read the statuses of %s: %v", sha, err)
	}
	// Gitea's own orders are not used: its "highestindex" is oldest first.
	slices.SortFunc(found, func(a, b numbered) int { return cmp.Compare(b.ID, a.ID) })
	var all []Status
	for _, s := range found {
		all = append(all, s.Status)
	}
	return all
}

func (f *Forge) path(below string) string { return "/repos/" + f.Owner + "/" + f.Repository + below }

// Call sends a request to the forge's API, with the owner's token; path is relative to
// /api/v1. It sends body as JSON unless it is nil, and decodes the answer into the
// variable that into points to unless it is nil.
func (f *Forge) Call(ctx context.Context, method, path string, body, into any) error {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, f.URL+"/api/v1"+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "token "+f.Token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, strings.TrimSpace(string(answer)))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}
