// Package forge runs Gitea, with one user, one token and one empty repository.
//
// It is the real program with a real database. It listens only on the loopback
// interface, and delivers webhooks only there.
package forge

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fedsync/fedsync/sandbox/build"
	"github.com/fedsync/fedsync/sandbox/child"
	"github.com/fedsync/fedsync/sandbox/port"
)

// Config configures a forge.
type Config struct {
	Dir   string // directory for its files; made if it does not exist
	Log   string // the file for its output
	Paths build.Paths
	Group *child.Group // the group that it belongs to
	Ended func(error)  // called if it ends by itself
}

// Forge describes how to reach a running Gitea.
type Forge struct {
	URL        string `json:"url"`
	Owner      string `json:"owner"` // its only user, an administrator
	Password   string `json:"password"`
	Token      string `json:"token"`      // the owner's, with all scopes
	Repository string `json:"repository"` // empty, with main as its default branch
	CloneURL   string `json:"cloneURL"`   // without credentials
}

const (
	owner      = "platform"
	repository = "federation"
)

// Up starts a forge and returns when it accepts pushes.
func Up(ctx context.Context, config Config) (*Forge, error) {
	number, err := port.Pick()
	if err != nil {
		return nil, fmt.Errorf("start the forge: %w", err)
	}
	f := &Forge{
		URL:        fmt.Sprintf("http://127.0.0.1:%d", number),
		Owner:      owner,
		Password:   rand.Text(),
		Repository: repository,
	}
	f.CloneURL = fmt.Sprintf("%s/%s/%s.git", f.URL, owner, repository)
	if err := config.write(number); err != nil {
		return nil, fmt.Errorf("start the forge: %w", err)
	}
	if err := config.start(); err != nil {
		return nil, err
	}
	if err := f.awaitReady(ctx); err != nil {
		return nil, err
	}
	if f.Token, err = config.createOwner(ctx, f.Password); err != nil {
		return nil, err
	}
	err = f.post(ctx, "/user/repos", map[string]any{"name": repository, "default_branch": "main", "auto_init": false})
	if err != nil {
		return nil, fmt.Errorf("create the forge's repository: %w", err)
	}
	return f, nil
}

// AddWebhook makes the forge post every push, and every change of a pull request, to
// url. The header X-Gitea-Signature holds an HMAC-SHA256 of the body under secret.
func (f *Forge) AddWebhook(ctx context.Context, url, secret string) error {
	err := f.post(ctx, "/repos/"+f.Owner+"/"+f.Repository+"/hooks", map[string]any{
		"type":   "gitea",
		"active": true,
		"events": []string{"push", "pull_request", "pull_request_sync"},
		"config": map[string]string{"url": url, "secret": secret, "content_type": "json"},
	})
	if err != nil {
		return fmt.Errorf("register the webhook %s: %w", url, err)
	}
	return nil
}

//go:embed app.ini
var settings string

// write writes the settings.
func (c Config) write(port int) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	var ini bytes.Buffer
	err = template.Must(template.New("app.ini").Parse(settings)).Execute(&ini, map[string]any{
		"User":   me.Username,
		"Dir":    c.Dir,
		"Static": c.Paths.Static(),
		"Port":   port,
		"Secret": rand.Text(),
		"Token":  rand.Text(),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(c.settings(), ini.Bytes(), 0o600)
}

func (c Config) settings() string { return filepath.Join(c.Dir, "app.ini") }

// env returns the environment of Gitea: the path to git, and its own home directory.
func (c Config) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir, "TMPDIR=" + c.Dir, "GIT_CONFIG_NOSYSTEM=1"}
}

func (c Config) start() error {
	_, err := c.Group.Start(child.Program{
		Name:  "gitea",
		Path:  c.Paths[build.Gitea],
		Args:  []string{"web", "--config", c.settings()},
		Env:   c.env(),
		Dir:   c.Dir,
		Log:   c.Log,
		Ended: c.Ended,
	})
	return err
}

// tokenLine matches the line with the token, in the output of the command that creates
// a user.
var tokenLine = regexp.MustCompile(`(?m)^Access token was successfully created\.* ([0-9a-f]{40})$`)

// createOwner creates the owner and returns its token. Only the command line can create
// the first user.
func (c Config) createOwner(ctx context.Context, password string) (string, error) {
	cmd := exec.CommandContext(ctx, c.Paths[build.Gitea], "admin", "user", "create",
		"--config", c.settings(), "--admin", "--must-change-password=false",
		"--username", owner, "--email", owner+"@example.com", "--password", password,
		"--access-token", "--access-token-name", "sandbox", "--access-token-scopes", "all")
	cmd.Env = c.env()
	cmd.Dir = c.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("create the forge's user: %w: %s", err, strings.TrimSpace(string(out)))
	}
	token := tokenLine.FindSubmatch(out)
	if token == nil {
		return "", errors.New("create the forge's user: the command printed no token")
	}
	return string(token[1]), nil
}

// awaitReady waits until the API answers.
func (f *Forge) awaitReady(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		last = f.do(ctx, http.MethodGet, f.URL+"/api/healthz", nil)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the forge: %w", errors.Join(context.Cause(ctx), last))
	}
	return nil
}

func (f *Forge) post(ctx context.Context, path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return f.do(ctx, http.MethodPost, f.URL+"/api/v1"+path, b)
}

func (f *Forge) do(ctx context.Context, method, url string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if f.Token != "" {
		request.Header.Set("Authorization", "token "+f.Token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(answer)))
	}
	return nil
}
