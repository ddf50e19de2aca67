package config

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/fedsync/fedsync/pkg/forges"
	"github.com/fedsync/fedsync/pkg/web"
)

// flagsOf returns the flags of a command, set from its command line, and the table
// of all flags.
func flagsOf(t *testing.T, arguments []string, groups ...string) (c *Config, fs, table *pflag.FlagSet) {
	t.Helper()
	c = &Config{}
	fs = pflag.NewFlagSet("", pflag.ContinueOnError)
	c.Flags(fs, groups...)
	if err := fs.Parse(arguments); err != nil {
		t.Fatal(err)
	}
	table = pflag.NewFlagSet("", pflag.ContinueOnError)
	(&Config{}).Flags(table, Groups()...)
	return c, fs, table
}

func TestFlagsOverrideTheEnvironmentWhichOverridesTheFile(t *testing.T) {
	c, fs, table := flagsOf(t, []string{"--repo=of-flag"}, Groups()...)
	file := fileWith(t, "fedsync.yaml", `
repo: of-file
revision: of-file
instance: of-file
interval: 30s
concurrency: 4
max-repository-bytes: 1073741824
allow-namespaces: [shop, web]
`)
	environment := []string{
		"FEDSYNC_REPO=of-environment", "FEDSYNC_REVISION=of-environment", "REVISION=of-nobody",
		"FEDSYNC_TEST_SANDBOX=of-another-program",
	}
	if err := Complete(fs, table, environment, file); err != nil {
		t.Fatal(err)
	}
	got := []any{c.Repository, c.Revision, c.Instance, c.Interval, c.Concurrency, c.MaxRepository, c.AllowNamespaces, c.Listen}
	want := []any{"of-flag", "of-environment", "of-file", 30 * time.Second, 4, int64(1 << 30), []string{"shop", "web"}, "127.0.0.1:8080"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestACommandTakesItsSettingsFromASharedFile(t *testing.T) {
	c, fs, table := flagsOf(t, nil, GroupRepository)
	file := fileWith(t, "fedsync.yaml", "repo: here\nlisten: 127.0.0.1:9\n")
	if err := Complete(fs, table, []string{"FEDSYNC_LISTEN=127.0.0.1:8"}, file); err != nil {
		t.Fatal(err)
	}
	if c.Repository != "here" || c.Listen != "" {
		t.Errorf("repo %q, listen %q; want here, and nothing that the command does not have", c.Repository, c.Listen)
	}
}

func TestAMisspelledSettingIsAnError(t *testing.T) {
	cases := []struct{ name, file, environment, want string }{
		{"an unknown setting", "repos: x\n", "", `unknown setting "repos"`},
		{"a setting twice", "repo: x\nrepo: y\n", "", "already set"},
		{"no YAML", "repo: {", "", "read the configuration"},
		{"a duration without a unit", "interval: 15\n", "", "interval"},
		{"half a number", "concurrency: 1.5\n", "", "concurrency"},
		{"no value", "repo:\n", "", "repo: want a value"},
		{"a map", "repo: {url: x}\n", "", "repo: want a value"},
		{"the environment", "", "FEDSYNC_CONCURRENCY=many", "environment variable FEDSYNC_CONCURRENCY"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, fs, table := flagsOf(t, nil, Groups()...)
			err := Complete(fs, table, []string{c.environment}, fileWith(t, "fedsync.yaml", c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want one with %q", err, c.want)
			}
		})
	}
	_, fs, table := flagsOf(t, nil, Groups()...)
	if err := Complete(fs, table, nil, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file is not an error, want one")
	}
}

func TestCheckNamesAllMistakesAtOnce(t *testing.T) {
	if err := New().Check(); err != nil {
		t.Errorf("the defaults are wrong: %v", err)
	}
	c := New()
	c.NonFastForward, c.CommitStatus, c.LogFormat, c.LogLevel = "merge", "pigeon", "xml", "loud"
	c.Interval, c.RequestTimeout, c.ProbeInterval, c.ProbeTimeout, c.StatusDeadline = 1, 0, 1, 1, 0
	c.Concurrency, c.MaxFile, c.AdoptFrom = 0, 0, []string{"ops", "*"}
	c.PublicURL, c.ForgeURL = "fedsync.example.com", "https://user:secret-4711@forge.example.com"
	err := c.Check()
	if err == nil {
		t.Fatal("no error")
	}
	for _, flag := range []string{
		"non-fast-forward", "commit-status", "log-format", "log-level", "interval", "request-timeout", "probe-interval",
		"probe-timeout", "status-deadline", "concurrency", "max-file-bytes", "adopt-from", "public-url", "forge-url",
	} {
		if !strings.Contains(err.Error(), "--"+flag) {
			t.Errorf("the error does not name --%s: %v", flag, err)
		}
	}
	if strings.Contains(err.Error(), "secret-4711") {
		t.Errorf("the error has a password in it: %v", err)
	}
}

func TestTheWebhooksOfAllForgesAreAccepted(t *testing.T) {
	h := web.New(web.Options{WebhookSecret: func() ([]byte, error) { return nil, nil }})
	for _, f := range forges.All() {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, f.Webhook, strings.NewReader("{}"))
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusNotImplemented {
			t.Errorf("%s of %s is answered with %d, want 501 without a secret", f.Webhook, f.Name, w.Code)
		}
	}
}

// fileWith creates a file for the duration of the test.
func fileWith(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFurtherFieldManagersAreNames(t *testing.T) {
	for value, taken := range map[string]bool{
		"deployer": true, "deployer,ci-*": true, "*": false, "**": false, "deployer,": false, "dep*er": false, "ci-**": false, "deployer, ci": false,
	} {
		c := New()
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		c.Flags(fs, Groups()...)
		if err := fs.Parse([]string{"--adopt-from=" + value}); err != nil {
			t.Fatal(err)
		}
		if err := c.Check(); (err == nil) != taken {
			t.Errorf("--adopt-from=%s: %v, want it accepted: %v", value, err, taken)
		}
	}
}
