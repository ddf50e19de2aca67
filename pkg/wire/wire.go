package wire

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/forges"
	"github.com/fedsync/fedsync/pkg/member"
	"github.com/fedsync/fedsync/pkg/render/worker"
	"github.com/fedsync/fedsync/pkg/schedule"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/gitnotes"
)

// NewSource returns the reader of the repository that the settings name. secrets
// collects its credentials.
func NewSource(cfg *config.Config, secrets *secret.Set, log *zap.Logger) (*source.Source, error) {
	dir, err := config.CacheDir()
	if err != nil {
		return nil, err
	}
	nonFastForward := source.Follow
	if cfg.NonFastForward == "refuse" {
		nonFastForward = source.Refuse
	}
	return source.Open(source.Options{
		URL:            cfg.Repository,
		Ref:            cfg.Revision,
		Path:           cfg.Path,
		TokenFile:      cfg.TokenFile,
		Username:       cfg.Username,
		CAFile:         cfg.CAFile,
		SSHKeyFile:     cfg.SSHKeyFile,
		KnownHostsFile: cfg.KnownHostsFile,
		Interval:       cfg.Interval,
		NonFastForward: nonFastForward,
		CacheDir:       dir,
		Secrets:        secrets,
		Limits: source.Limits{
			RepositoryBytes: cfg.MaxRepository,
			FileBytes:       cfg.MaxFile,
			Files:           int64(cfg.MaxFiles),
		},
	}, log)
}

// NewRenderer returns the renderer for the settings. Its Close ends its process.
func NewRenderer(cfg *config.Config, log *zap.Logger) *worker.Worker {
	return worker.New(worker.Options{
		Memory:  cfg.MaxRenderMemory,
		Time:    cfg.MaxRenderTime,
		Require: cfg.Sandbox == "require",
		Log:     log,
	})
}

// NewProvider returns the provider of commit statuses that the settings name;
// nil for none.
func NewProvider(cfg *config.Config, src *source.Source, secrets *secret.Set) (status.Provider, error) {
	switch cfg.CommitStatus {
	case "none":
		return nil, nil //nolint:nilnil // no provider is configured
	case "gitnotes":
		authorities, err := src.CABundle()
		if err != nil {
			return nil, err
		}
		return gitnotes.New(gitnotes.Config{URL: cfg.Repository, Auth: src.Auth, CABundle: authorities, Secrets: secrets})
	}
	settings := forges.Config{
		Repository: cfg.Repository,
		URL:        cfg.ForgeURL,
		Name:       cfg.ForgeRepository,
		Ref:        cfg.Revision,
		Token:      Credential(cmp.Or(cfg.ForgeTokenFile, cfg.TokenFile)),
		AppID:      cfg.GitHubAppID,
		AppKey:     keyFile(cfg.GitHubAppKeyFile),
		Secrets:    secrets,
	}
	forge, err := forges.Find(cfg.CommitStatus, settings)
	if err != nil {
		return nil, err
	}
	return forge.New(settings)
}

// keyFile returns a function that reads a private key from a file at each call.
func keyFile(file string) func() ([]byte, error) {
	text := Credential(file)
	return func() ([]byte, error) {
		key, err := text()
		return []byte(key), err
	}
}

// Credential returns a function that reads a credential from a file at each
// call, so that a new one takes effect without a restart.
func Credential(file string) func() (string, error) {
	return func() (string, error) {
		if file == "" {
			return "", nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read a credential: %w", err)
		}
		return strings.TrimSpace(string(data)), nil
	}
}

// Policy returns what a repository may change.
func Policy(c *config.Config) schedule.Policy {
	return schedule.Policy{Namespaces: c.AllowNamespaces, Kinds: c.AllowKinds}
}

// NewClient returns a client of the cluster of a context. It sends no request.
func NewClient(cfg *config.Config, kube *config.Kubeconfig, context, version string, log *zap.Logger) (*member.Client, error) {
	conn, err := kube.Connection(context)
	if err != nil {
		return nil, err
	}
	return member.NewClient(conn.REST, member.ClientOptions{Version: version, Timeout: cfg.RequestTimeout, Log: log})
}

// NewApplier returns an Applier of one cluster for use outside the loop, such as
// reading what adoption overwrote. It has no source and no instance, so it must
// not be used for Apply. It sends no request.
func NewApplier(cfg *config.Config, federation, context, version string, log *zap.Logger) (*apply.Applier, error) {
	kube, err := config.NewKubeconfig(cfg, log)
	if err != nil {
		return nil, err
	}
	conn, err := kube.Connection(context)
	if err != nil {
		return nil, err
	}
	client, err := member.NewClient(conn.REST, member.ClientOptions{Version: version, Timeout: cfg.RequestTimeout, Log: log})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", context, err)
	}
	return apply.New(apply.Options{
		Cluster:        context,
		Federation:     federation,
		Version:        version,
		Client:         client.Dynamic,
		Mapper:         client.Kinds,
		Concurrency:    cfg.Concurrency,
		RequestTimeout: cfg.RequestTimeout,
		Log:            log,
	}), nil
}
