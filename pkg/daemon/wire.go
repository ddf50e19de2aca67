package daemon

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/forges"
	"github.com/fedsync/fedsync/pkg/render/worker"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/gitnotes"
)

// newSource makes the reader of the repository that the settings name. The set learns
// what it proves itself by.
func newSource(cfg *config.Config, secrets *secret.Set, log *zap.Logger) (*source.Source, error) {
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

// newRenderer makes the renderer that the settings ask for. Close ends its process.
func newRenderer(cfg *config.Config, log *zap.Logger) *worker.Worker {
	return worker.New(worker.Options{
		Memory:  cfg.MaxRenderMemory,
		Time:    cfg.MaxRenderTime,
		Require: cfg.Sandbox == "require",
		Log:     log,
	})
}

// newProvider makes the provider of commit statuses that the settings name; nil
// for none.
func newProvider(cfg *config.Config, src *source.Source, secrets *secret.Set) (status.Provider, error) {
	switch cfg.CommitStatus {
	case "none":
		return nil, nil //nolint:nilnil // No provider is what was asked for.
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
		Token:      fileText(cmp.Or(cfg.ForgeTokenFile, cfg.TokenFile)),
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

// keyFile reads a private key anew each time.
func keyFile(file string) func() ([]byte, error) {
	text := fileText(file)
	return func() ([]byte, error) {
		key, err := text()
		return []byte(key), err
	}
}

// fileText reads a credential anew each time, so that a new one takes effect
// without a restart.
func fileText(file string) func() (string, error) {
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

// sourceDigests returns what tells this source from any other that may want to
// write to the same clusters: it is part of the inventory, and names the files in
// the cache folder. Earlier versions took a local path as it was typed; what they
// would have computed for this source is in former. A folder of the repository is a
// source of its own; the root has the digest that it had before there were folders.
func sourceDigests(src *source.Source, ref, federation string) (current string, former []string) {
	digest := func(repository string) string {
		if src.Path() == "" {
			return shortDigest(repository, ref, federation)
		}
		return shortDigest(repository, ref, federation, src.Path())
	}
	current = digest(src.Identity())
	for _, repository := range formerSpellings(src) {
		if d := digest(repository); d != current && !slices.Contains(former, d) {
			former = append(former, d)
		}
	}
	return current, former
}

// formerSpellings returns how the path of a local repository may have been typed:
// as it is now, with a trailing slash, or relative to the working folder.
func formerSpellings(src *source.Source) []string {
	path, local := src.LocalPath()
	if !local {
		return nil
	}
	spellings := []string{src.String(), path + string(filepath.Separator)}
	folder, err := os.Getwd()
	if err != nil {
		return spellings
	}
	if relative, err := filepath.Rel(folder, path); err == nil && filepath.IsLocal(relative) {
		spellings = append(spellings, relative)
		if relative != "." {
			spellings = append(spellings, "./"+relative)
		}
	}
	return spellings
}

// shortDigest is short, since it is part of names.
func shortDigest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}
