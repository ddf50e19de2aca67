package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/forges"
	"github.com/fedsync/fedsync/pkg/gcp/gce"
	"github.com/fedsync/fedsync/pkg/render/worker"
	"github.com/fedsync/fedsync/pkg/review"
	"github.com/fedsync/fedsync/pkg/web/gate"
)

// The values of --plan-pull-requests.
const (
	PlanNone  = "off"
	PlanOwn   = "own"   // from the repository itself
	PlanForks = "forks" // from other repositories too
)

// Config holds the operator's settings: where the repository is, which clusters
// may be reached with which credentials, and where to report. A repository
// cannot change any of them.
//
// Flags is the single source of truth: each setting is a flag, the environment
// variable FEDSYNC_<NAME> and a key of the configuration file, in that order of
// precedence. The reference in docs/ is generated from it.
type Config struct {
	// What to read.
	Repository      string
	Revision        string
	Path            string
	Interval        time.Duration
	Username        string
	TokenFile       string
	SSHKeyFile      string
	KnownHostsFile  string
	CAFile          string
	NonFastForward  string
	MaxRepository   int64
	MaxFile         int64
	MaxRenderMemory int64
	MaxRenderTime   time.Duration
	Sandbox         string
	MaxFiles        int

	// Where to apply it.
	Kubeconfig      string
	Instance        string
	AllowNamespaces []string
	AllowKinds      []string
	Contexts        []string
	StatusContexts  []string
	AdoptFrom       []string
	Concurrency     int
	RequestTimeout  time.Duration
	ProbeInterval   time.Duration
	ProbeTimeout    time.Duration

	// What is in front of the clusters.
	GCPEndpoint string
	GCPRate     float64

	// Where to report.
	CommitStatus             string
	Deployments              bool
	ForgeURL                 string
	ForgeRepository          string
	ForgeTokenFile           string
	GitHubAppID              int64
	GitHubAppKeyFile         string
	WebhookSecretFile        string
	StatusDeadline           time.Duration
	PlanPullRequests         string
	PlanUnknown              string
	Listen                   string
	PublicURL                string
	MaxConnections           int
	MaxConnectionsPerAddress int
	LogFormat                string
	LogLevel                 string
}

// Groups of settings, in the order for a reader. Each command of the CLI has the
// groups that it needs.
const (
	GroupRepository = "Repository"
	GroupPolicy     = "Policy"
	GroupClusters   = "Clusters"
	GroupCloud      = "Google Cloud"
	GroupStatus     = "Status"
	GroupLog        = "Log"
)

// Groups lists all groups.
func Groups() []string {
	return []string{GroupRepository, GroupPolicy, GroupClusters, GroupCloud, GroupStatus, GroupLog}
}

// New returns the default settings.
func New() *Config {
	c := &Config{}
	c.Flags(pflag.NewFlagSet("", pflag.ContinueOnError), Groups()...)
	return c
}

// Flags registers the settings of the groups, with their defaults.
func (c *Config) Flags(fs *pflag.FlagSet, groups ...string) {
	if slices.Contains(groups, GroupRepository) {
		fs.StringVar(&c.Repository, "repo", ".", "repository to read: a path, https://…, ssh://… or user@host:path")
		fs.StringVar(&c.Revision, "revision", "", "branch or tag to follow; a command that reads only once also accepts a commit (default: HEAD of the repository)")
		fs.StringVar(&c.Path, "path", "", "folder of the federation in the repository: it has fedsync.yaml, paths in it are relative to this folder, and nothing outside it is read (default: the root)")
		fs.DurationVar(&c.Interval, "interval", 15*time.Second, "how often to list the remote's refs; webhooks and changes of a local repository take effect immediately")
		fs.StringVar(&c.Username, "username", "", "user name for https (default: git, which forges accept with a token)")
		fs.StringVar(&c.TokenFile, "token-file", "", "file with the token or password for https; re-read when it changes")
		fs.StringVar(&c.SSHKeyFile, "ssh-key-file", "", "file with the private key for ssh, without a passphrase; re-read when it changes")
		fs.StringVar(&c.KnownHostsFile, "known-hosts-file", "", "known_hosts file with the host keys for ssh; required for ssh: host keys are always verified")
		fs.StringVar(&c.CAFile, "ca-file", "", "file with additional certificate authorities for https, PEM")
		fs.StringVar(&c.NonFastForward, "non-fast-forward", "follow", "how to handle a push that does not descend from the previous revision: follow or refuse")
		fs.Int64Var(&c.MaxRepository, "max-repository-bytes", 256<<20, "maximum bytes to receive in one fetch")
		fs.Int64Var(&c.MaxFile, "max-file-bytes", 4<<20, "maximum bytes of one file")
		fs.IntVar(&c.MaxFiles, "max-files", 100_000, "maximum number of files in the repository")
		fs.Int64Var(&c.MaxRenderMemory, "max-render-bytes", worker.DefaultMemory, "maximum bytes of memory for rendering")
		fs.DurationVar(&c.MaxRenderTime, "max-render-time", worker.DefaultTime, "maximum processor time for building one folder")
		fs.StringVar(&c.Sandbox, "sandbox", "try", "whether to render if the system cannot confine the rendering process: try (render anyway) or require (render nothing)")
	}
	if slices.Contains(groups, GroupPolicy) {
		fs.StringSliceVar(&c.AllowNamespaces, "allow-namespaces", nil, "the only namespaces the repository may touch (default: all)")
		fs.StringSliceVar(&c.AllowKinds, "allow-kinds", nil, "the only kinds the repository may touch, as KIND or KIND.GROUP (default: all)")
		fs.StringSliceVar(&c.Contexts, "contexts", nil, "the only contexts of the kubeconfig the repository may name, as patterns in which * matches any text; set it if committers do not operate all clusters in the kubeconfig (default: all)")
		fs.StringSliceVar(&c.StatusContexts, "status-contexts", []string{"fedsync", "fedsync/*"}, "the only contexts of commit statuses the repository may choose, as patterns; any other is posted as fedsync/FEDERATION or, if that is not allowed either, as fedsync")
	}
	if slices.Contains(groups, GroupClusters) {
		fs.StringVar(&c.Kubeconfig, "kubeconfig", "", "kubeconfig with a context for each member cluster (default: $KUBECONFIG or ~/.kube/config); re-read when it changes")
		fs.StringVar(&c.Instance, "instance", "", "name of this instance in claims and messages, for information only (default: the host's name and a free number)")
		fs.StringSliceVar(&c.AdoptFrom, "adopt-from", nil, "additional field managers whose fields adoption takes over, like those of kubectl, Helm and similar tools; NAME, or NAME* for a prefix")
		fs.IntVar(&c.Concurrency, "concurrency", 8, "maximum concurrent requests to one cluster")
		fs.DurationVar(&c.RequestTimeout, "request-timeout", 10*time.Second, "how long one request to a cluster may take")
		fs.DurationVar(&c.ProbeInterval, "probe-interval", 2*time.Second, "how often a cluster's /readyz is requested")
		fs.DurationVar(&c.ProbeTimeout, "probe-timeout", 2*time.Second, "how long such a request may take; three failures in a row make a cluster Offline")
	}
	if slices.Contains(groups, GroupCloud) {
		fs.StringVar(&c.GCPEndpoint, "gcp-endpoint", "", "address of a stand-in for Compute Engine on the loopback interface, such as http://127.0.0.1:PORT/compute/v1/; it is called without credentials (default: Google's, with Application Default Credentials)")
		fs.Float64Var(&c.GCPRate, "gcp-rate", 10, "maximum calls per second to Compute Engine, whose quota the project shares")
	}
	if slices.Contains(groups, GroupStatus) {
		fs.StringVar(&c.CommitStatus, "commit-status", "none", commitStatusHelp())
		fs.BoolVar(&c.Deployments, "deployments", false, "also show each revision as a deployment to the environment federation/NAME, with the federation's address; on github, where the token needs deployments: write, and on gitlab")
		fs.StringVar(&c.ForgeURL, "forge-url", "", "address of the forge (default: that of --repo)")
		fs.StringVar(&c.ForgeRepository, "forge-repository", "", "owner/name on the forge (default: from --repo)")
		fs.StringVar(&c.ForgeTokenFile, "forge-token-file", "", "file with the forge's token (default: --token-file); re-read when it changes; it needs these permissions: on "+forgeRights())
		fs.Int64Var(&c.GitHubAppID, "github-app-id", 0, "ID of the GitHub App that posts check runs in place of commit statuses; it must be installed for the repository, with checks: write")
		fs.StringVar(&c.GitHubAppKeyFile, "github-app-key-file", "", "file with the App's private key, PEM; re-read when it changes")
		fs.StringVar(&c.WebhookSecretFile, "webhook-secret-file", "", "file with the secret that webhooks are signed with; without it, webhooks are refused")
		fs.DurationVar(&c.StatusDeadline, "status-deadline", 15*time.Minute, "how long a commit status may stay pending before it becomes a failure")
		fs.StringVar(&c.PlanPullRequests, "plan-pull-requests", PlanNone, "report on each pull request into --revision what merging it would do, as a commit status and a comment: off, own (only those from the repository itself) or forks (also those from other repositories, which anyone can open)")
		fs.StringVar(&c.PlanUnknown, "plan-unknown", string(review.Wait), "result of a plan if a cluster could not be queried: pass, fail or wait (pending until --status-deadline, then a failure)")
		fs.StringVar(&c.Listen, "listen", "127.0.0.1:8080", "address for the page, the API, webhooks and metrics; empty for none")
		fs.IntVar(&c.MaxConnections, "max-connections", gate.DefaultConnections, "maximum connections to --listen; for one more, the connection that was idle for the longest is closed")
		fs.IntVar(&c.MaxConnectionsPerAddress, "max-connections-per-address", gate.DefaultConnectionsPerAddress, "maximum connections from one IPv4 address or one /64 of IPv6; raise it if all come through one proxy")
		fs.StringVar(&c.PublicURL, "public-url", "", "address at which users reach the page, for the links in commit statuses (default: from --listen)")
	}
	if slices.Contains(groups, GroupLog) {
		fs.StringVar(&c.LogFormat, "log-format", "console", "console or json")
		fs.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error")
	}
}

// EnvironmentName returns the variable of a setting: FEDSYNC_TOKEN_FILE for
// token-file.
func EnvironmentName(flag string) string {
	return "FEDSYNC_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Complete fills in the settings without a flag, from the environment (as
// KEY=VALUE) and then from the configuration file, if there is one. An unknown
// setting is an error, so that a misspelled setting is not mistaken for a
// default.
func Complete(fs *pflag.FlagSet, table *pflag.FlagSet, environment []string, file string) error {
	given := map[string]bool{}
	fs.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "FEDSYNC_") {
			continue
		}
		flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "FEDSYNC_"), "_", "-"))
		f := fs.Lookup(flag)
		if f == nil || given[flag] || table.Lookup(flag) == nil {
			continue // another command's setting, or another program's variable
		}
		if err := fs.Set(flag, value); err != nil {
			return fmt.Errorf("environment variable %s: %w", name, err)
		}
		given[flag] = true
	}
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var settings map[string]any
	if err := yaml.UnmarshalStrict(data, &settings); err != nil {
		return fmt.Errorf("read the configuration %s: %w", file, err)
	}
	for name, value := range settings {
		if table.Lookup(name) == nil {
			return fmt.Errorf("configuration %s: unknown setting %q", file, name)
		}
		if given[name] || fs.Lookup(name) == nil {
			continue
		}
		text, err := settingText(value)
		if err == nil {
			err = fs.Set(name, text)
		}
		if err != nil {
			return fmt.Errorf("configuration %s: %s: %w", file, name, err)
		}
	}
	return nil
}

// settingText returns a value of the configuration file in the form of a flag's
// value.
func settingText(value any) (string, error) {
	switch v := value.(type) {
	case []any:
		items := make([]string, len(v))
		for i := range v {
			var err error
			if items[i], err = settingText(v[i]); err != nil {
				return "", err
			}
		}
		return strings.Join(items, ","), nil
	case float64: // sigs.k8s.io/yaml reads numbers as JSON does
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case string, bool:
		return fmt.Sprint(v), nil
	}
	return "", errors.New("want a value, or a list of values")
}

// Check validates the settings by themselves. Its error lists all problems.
func (c *Config) Check() error {
	var wrong []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	oneOf := func(flag, value string, allowed ...string) {
		check(slices.Contains(allowed, value), "--%s is %q; want %s", flag, value, strings.Join(allowed, " or "))
	}
	atLeast := func(flag string, value, least time.Duration) {
		check(value >= least, "--%s is %s; want %s or more", flag, value, least)
	}
	oneOf("non-fast-forward", c.NonFastForward, "follow", "refuse")
	oneOf("sandbox", c.Sandbox, "require", "try")
	oneOf("commit-status", c.CommitStatus, append(forges.Names(), forges.Auto, "gitnotes", "none")...)
	check(c.ForgeURL == "" || takesURL(c.CommitStatus), "--forge-url: %s has one address", c.CommitStatus)
	check((c.GitHubAppID != 0) == (c.GitHubAppKeyFile != ""), "--github-app-id and --github-app-key-file must be set together")
	check(c.GitHubAppID == 0 || c.CommitStatus == "github" || c.CommitStatus == forges.Auto, "--github-app-id is for --commit-status github")
	oneOf("plan-pull-requests", c.PlanPullRequests, PlanNone, PlanOwn, PlanForks)
	oneOf("plan-unknown", c.PlanUnknown, string(review.Pass), string(review.Fail), string(review.Wait))
	oneOf("log-format", c.LogFormat, "console", "json")
	oneOf("log-level", c.LogLevel, "debug", "info", "warn", "error")
	atLeast("interval", c.Interval, time.Second)
	atLeast("max-render-time", c.MaxRenderTime, 100*time.Millisecond)
	atLeast("request-timeout", c.RequestTimeout, time.Second)
	atLeast("probe-interval", c.ProbeInterval, 100*time.Millisecond)
	atLeast("probe-timeout", c.ProbeTimeout, 100*time.Millisecond)
	atLeast("status-deadline", c.StatusDeadline, time.Second)
	check(c.GCPRate > 0, "--gcp-rate is %g; want more than 0", c.GCPRate)
	if c.GCPEndpoint != "" {
		err := gce.CheckEndpoint(c.GCPEndpoint)
		check(err == nil, "--gcp-endpoint: %v", err)
	}
	for _, name := range c.AdoptFrom {
		check(strings.Trim(name, "* ") != "", "--adopt-from: %q matches every field manager, including controllers; want names", name)
		check(!strings.ContainsAny(strings.TrimSuffix(name, "*"), "* "), "--adopt-from: %q is not the name of a field manager; want NAME, or NAME* for a prefix", name)
	}
	check(c.Concurrency >= 1, "--concurrency is %d; want 1 or more", c.Concurrency)
	check(c.MaxRenderMemory >= leastRenderMemory, "--max-render-bytes is %d; want %d or more", c.MaxRenderMemory, leastRenderMemory)
	for flag, value := range map[string]int64{
		"max-repository-bytes": c.MaxRepository, "max-file-bytes": c.MaxFile, "max-files": int64(c.MaxFiles),
		"max-connections": int64(c.MaxConnections), "max-connections-per-address": int64(c.MaxConnectionsPerAddress),
	} {
		check(value >= 1, "--%s is %d; want 1 or more", flag, value)
	}
	for flag, value := range map[string]string{"public-url": c.PublicURL, "forge-url": c.ForgeURL} {
		u, err := url.Parse(value)
		check(value == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil,
			"--%s: want http(s)://HOST without a user", flag)
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("settings: %s", strings.Join(wrong, "; "))
}

// commitStatusHelp returns the help for where commit statuses can be written.
func commitStatusHelp() string {
	var all []string
	for _, f := range forges.All() {
		all = append(all, f.Name+" ("+f.Title+")")
	}
	return "where to write commit statuses: " + strings.Join(all, ", ") + ", " + forges.Auto + " (the forge whose public server --repo is on), gitnotes (refs/notes/fedsync in the repository) or none"
}

// forgeRights lists the permissions that each forge's token needs.
func forgeRights() string {
	var rights []string
	for _, f := range forges.All() {
		rights = append(rights, f.Name+": "+f.Rights)
	}
	return strings.Join(rights, "; on ")
}

// takesURL reports whether a value of --commit-status may be combined with
// --forge-url. A value that is not a forge may, since the address is then unused.
func takesURL(commitStatus string) bool {
	f, err := forges.Find(commitStatus, forges.Config{})
	return err != nil || f.TakesURL
}

// leastRenderMemory is the memory that kustomize needs for a few objects, in
// bytes.
const leastRenderMemory = 64 << 20

// CacheDir returns the folder for data that fedsync can recreate: below the
// user's cache.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir() // a container without a home
	}
	dir := filepath.Join(base, "fedsync")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("create the cache folder: %w", err)
	}
	return dir, nil
}
