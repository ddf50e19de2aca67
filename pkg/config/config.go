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
	PlanOwn   = "own"   // those from the repository itself
	PlanForks = "forks" // those from other repositories, too
)

// Config is the operator's word: where the repository is, which clusters may be
// reached with what, and whom to tell. A repository cannot change any of it.
//
// Flags is its one table of truth: each setting is a flag, the environment
// variable FEDSYNC_<NAME> and a key of the configuration file, in that order of
// precedence, and the reference in docs/ is generated from it.
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

	// Where to bring it.
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

	// What stands before the clusters.
	GCPEndpoint string
	GCPRate     float64

	// Whom to tell.
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

// Groups of settings, in the order in which a reader wants them. The CLI gives a
// command the groups that it needs.
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

// New gives the settings' defaults.
func New() *Config {
	c := &Config{}
	c.Flags(pflag.NewFlagSet("", pflag.ContinueOnError), Groups()...)
	return c
}

// Flags registers the settings of the groups, with their defaults.
func (c *Config) Flags(fs *pflag.FlagSet, groups ...string) {
	if slices.Contains(groups, GroupRepository) {
		fs.StringVar(&c.Repository, "repo", ".", "repository to read: a path, https://…, ssh://… or user@host:path")
		fs.StringVar(&c.Revision, "revision", "", "branch or tag to follow, or a commit for a single look (default: HEAD of the repository)")
		fs.StringVar(&c.Path, "path", "", "folder of the repository that the federation lives in: it has fedsync.yaml, paths there are relative to it, and nothing outside it is read (default: the root)")
		fs.DurationVar(&c.Interval, "interval", 15*time.Second, "how often to list the remote's refs; a webhook, or a change of a local repository, is seen at once")
		fs.StringVar(&c.Username, "username", "", "user name for https (default: git, which forges take beside a token)")
		fs.StringVar(&c.TokenFile, "token-file", "", "file with the token or password for https; re-read when it changes")
		fs.StringVar(&c.SSHKeyFile, "ssh-key-file", "", "file with the private key for ssh, without a passphrase; re-read when it changes")
		fs.StringVar(&c.KnownHostsFile, "known-hosts-file", "", "known_hosts with the host keys for ssh; mandatory for ssh, there is no insecure switch")
		fs.StringVar(&c.CAFile, "ca-file", "", "file with further certificate authorities for https, PEM")
		fs.StringVar(&c.NonFastForward, "non-fast-forward", "follow", "what to do with a push that does not descend from the revision before: follow or refuse")
		fs.Int64Var(&c.MaxRepository, "max-repository-bytes", 256<<20, "most bytes to receive in one fetch")
		fs.Int64Var(&c.MaxFile, "max-file-bytes", 4<<20, "most bytes of one file")
		fs.IntVar(&c.MaxFiles, "max-files", 100_000, "most files in the repository")
		fs.Int64Var(&c.MaxRenderMemory, "max-render-bytes", worker.DefaultMemory, "most bytes of memory to render with")
		fs.DurationVar(&c.MaxRenderTime, "max-render-time", worker.DefaultTime, "most processor time to build one folder with")
		fs.StringVar(&c.Sandbox, "sandbox", "try", "what to do where the system cannot confine the process that renders: try it all the same, or require it and render nothing")
	}
	if slices.Contains(groups, GroupPolicy) {
		fs.StringSliceVar(&c.AllowNamespaces, "allow-namespaces", nil, "the only namespaces the repository may touch (default: all)")
		fs.StringSliceVar(&c.AllowKinds, "allow-kinds", nil, "the only kinds the repository may touch, as KIND or KIND.GROUP (default: all)")
		fs.StringSliceVar(&c.Contexts, "contexts", nil, "the only contexts of the kubeconfig the repository may name, as patterns in which * stands for any text; set it where committers are not operators of all clusters in the kubeconfig (default: all)")
		fs.StringSliceVar(&c.StatusContexts, "status-contexts", []string{"fedsync", "fedsync/*"}, "the only contexts of commit statuses the repository may ask for, as patterns; another is posted as fedsync/FEDERATION or, where that is not allowed either, as fedsync")
	}
	if slices.Contains(groups, GroupClusters) {
		fs.StringVar(&c.Kubeconfig, "kubeconfig", "", "kubeconfig with a context for each member cluster (default: $KUBECONFIG, else ~/.kube/config); re-read when it changes")
		fs.StringVar(&c.Instance, "instance", "", "name of this instance for people, in claims and messages; it decides nothing (default: the host's name and a number that is free)")
		fs.StringSliceVar(&c.AdoptFrom, "adopt-from", nil, "further field managers whose fields adoption takes over, as it does those of kubectl, Helm and other tools of people; NAME, or NAME* for all that begin so")
		fs.IntVar(&c.Concurrency, "concurrency", 8, "most requests at a time to one cluster")
		fs.DurationVar(&c.RequestTimeout, "request-timeout", 10*time.Second, "how long one request to a cluster may take")
		fs.DurationVar(&c.ProbeInterval, "probe-interval", 2*time.Second, "how often a cluster's /readyz is asked")
		fs.DurationVar(&c.ProbeTimeout, "probe-timeout", 2*time.Second, "how long that may take; three failures in a row make a cluster Offline")
	}
	if slices.Contains(groups, GroupCloud) {
		fs.StringVar(&c.GCPEndpoint, "gcp-endpoint", "", "address of a stand-in for Compute Engine on the loopback interface, as http://127.0.0.1:PORT/compute/v1/; it is asked without credentials (default: Google's, with Application Default Credentials)")
		fs.Float64Var(&c.GCPRate, "gcp-rate", 10, "most calls a second to Compute Engine, whose quota the project shares")
	}
	if slices.Contains(groups, GroupStatus) {
		fs.StringVar(&c.CommitStatus, "commit-status", "none", commitStatusHelp())
		fs.BoolVar(&c.Deployments, "deployments", false, "show each revision as a deployment to the environment federation/NAME, with the federation's address, too; on github, where it needs deployments: write, and gitlab")
		fs.StringVar(&c.ForgeURL, "forge-url", "", "address of the forge (default: that of --repo)")
		fs.StringVar(&c.ForgeRepository, "forge-repository", "", "owner/name on the forge (default: from --repo)")
		fs.StringVar(&c.ForgeTokenFile, "forge-token-file", "", "file with the forge's token (default: --token-file); re-read when it changes; it needs, on "+forgeRights())
		fs.Int64Var(&c.GitHubAppID, "github-app-id", 0, "number of the GitHub App that posts check runs in place of commit statuses; it is installed for the repository, and needs checks: write")
		fs.StringVar(&c.GitHubAppKeyFile, "github-app-key-file", "", "file with the App's private key, PEM; re-read when it changes")
		fs.StringVar(&c.WebhookSecretFile, "webhook-secret-file", "", "file with the secret that webhooks are signed with; without it they are refused")
		fs.DurationVar(&c.StatusDeadline, "status-deadline", 15*time.Minute, "how long a commit status may stay pending before it is a failure")
		fs.StringVar(&c.PlanPullRequests, "plan-pull-requests", PlanNone, "say on each pull request into --revision what merging it would do, as a commit status and a comment: off, own (those from the repository itself) or forks (those from other repositories, too, which are anybody's)")
		fs.StringVar(&c.PlanUnknown, "plan-unknown", string(review.Wait), "what becomes of a plan that a cluster could not be asked about: pass, fail or wait, which is pending until --status-deadline and a failure then")
		fs.StringVar(&c.Listen, "listen", "127.0.0.1:8080", "address for the page, the API, webhooks and metrics; empty for none")
		fs.IntVar(&c.MaxConnections, "max-connections", gate.DefaultConnections, "most connections to --listen at a time; for one more, that which was quiet for the longest is closed")
		fs.IntVar(&c.MaxConnectionsPerAddress, "max-connections-per-address", gate.DefaultConnectionsPerAddress, "most of them from one IPv4 address or one /64 of IPv6; raise it where all come through one proxy")
		fs.StringVar(&c.PublicURL, "public-url", "", "address of the page as others reach it, for the links in commit statuses (default: from --listen)")
	}
	if slices.Contains(groups, GroupLog) {
		fs.StringVar(&c.LogFormat, "log-format", "console", "console or json")
		fs.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error")
	}
}

// EnvironmentName is the variable of a setting: FEDSYNC_TOKEN_FILE of token-file.
func EnvironmentName(flag string) string {
	return "FEDSYNC_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Complete fills in the settings that no flag gave, from the environment (as
// KEY=VALUE) and then from the configuration file, where there is one. What
// neither the flags nor the environment nor the table knows is an error, so that
// a slip of the pen is not taken for a default.
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

// settingText gives a value of the configuration file as a flag takes it.
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

// Check says what is wrong with the settings taken by themselves, all at once.
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
	check((c.GitHubAppID != 0) == (c.GitHubAppKeyFile != ""), "--github-app-id and --github-app-key-file are set together")
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
		check(strings.Trim(name, "* ") != "", "--adopt-from: %q is every field manager, controllers too; want names", name)
		check(!strings.ContainsAny(strings.TrimSuffix(name, "*"), "* "), "--adopt-from: %q is the name of no field manager; want NAME, or NAME* for all that begin so", name)
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

// commitStatusHelp describes where commit statuses can be written.
func commitStatusHelp() string {
	var all []string
	for _, f := range forges.All() {
		all = append(all, f.Name+" ("+f.Title+")")
	}
	return "where to write commit statuses: " + strings.Join(all, ", ") + ", " + forges.Auto + " (the forge whose public server --repo is on), gitnotes (refs/notes/fedsync in the repository) or none"
}

// forgeRights lists what each forge's token must be allowed.
func forgeRights() string {
	var rights []string
	for _, f := range forges.All() {
		rights = append(rights, f.Name+": "+f.Rights)
	}
	return strings.Join(rights, "; on ")
}

// takesURL reports whether a value of --commit-status goes with a --forge-url. One
// that is no forge does, as nothing is asked then.
func takesURL(commitStatus string) bool {
	f, err := forges.Find(commitStatus, forges.Config{})
	return err != nil || f.TakesURL
}

// leastRenderMemory is what kustomize needs for a few objects, in bytes.
const leastRenderMemory = 64 << 20

// CacheDir is where fedsync keeps what it can make again: below the user's cache.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir() // a container without a home
	}
	dir := filepath.Join(base, "fedsync")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	return dir, nil
}
