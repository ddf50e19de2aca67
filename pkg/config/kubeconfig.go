package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/glob"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/execplugin"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/member"
)

// Kubeconfig provides the connection to each member cluster, and reports when
// one has changed. It is safe for concurrent use.
type Kubeconfig struct {
	rules *clientcmd.ClientConfigLoadingRules
	only  []string // patterns of the permitted contexts; empty for all
	log   *zap.Logger

	mu     sync.Mutex // protects what follows
	config *clientcmdapi.Config
	err    error // of the last load; config is then the previous one
	// content is a digest of everything that was read, including the files that
	// config names.
	content string
	plugins map[string]*execplugin.Plugin // by digest of their arguments
	logged  map[string]string             // by context: the last logged reason why it cannot be used
}

// NewKubeconfig loads the file that the settings name, or what kubectl would load
// if they name none.
func NewKubeconfig(cfg *Config, log *zap.Logger) (*Kubeconfig, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = cfg.Kubeconfig
	k := &Kubeconfig{rules: rules, only: cfg.Contexts, log: log, plugins: map[string]*execplugin.Plugin{}, logged: map[string]string{}}
	k.load()
	return k, k.err
}

// load reads the files, and reports whether their content has changed.
func (k *Kubeconfig) load() (news bool) {
	config, err := k.read()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		err = errors.New("read the kubeconfig: " + untrusted.Line(err.Error()))
		news = k.err == nil || k.err.Error() != err.Error()
		k.err = err
	} else {
		k.config, k.err = config, nil
	}
	content := contentOf(k.config, k.rules.GetLoadingPrecedence())
	news = news || content != k.content
	k.content = content
	return news
}

// readTries bounds how often kubeconfigs are read again because they change
// during the read.
const readTries = 3

// read reads the kubeconfigs themselves. A file that is being written must not be
// mistaken for one without clusters.
func (k *Kubeconfig) read() (*clientcmdapi.Config, error) {
	files := k.rules.GetLoadingPrecedence()
	for range readTries {
		before := statsOf(files)
		for _, file := range files {
			// The loader would read any file, even an endless pipe.
			if err := checkFile(file, maxKubeconfig); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if i := before[file]; i != nil && i.Size() == 0 {
				return nil, fmt.Errorf("%s is empty: write the kubeconfig into it, or delete it", file)
			}
		}
		config, err := k.rules.Load()
		if statsOf(files).equal(before) {
			return config, err
		}
	}
	return nil, fmt.Errorf("%s: changes while it is read", strings.Join(files, ", "))
}

// Err returns the reason why the newest file could not be read; nil if it was
// read.
func (k *Kubeconfig) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// Connection returns the connection to the cluster of a context.
func (k *Kubeconfig) Connection(name string) (member.Connection, error) {
	if !k.allows(name) {
		err := fmt.Errorf("context %q is not allowed here: it matches no pattern of the operator's setting --contexts", name)
		return member.Connection{}, &contextError{words: err.Error(), err: err}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	context, ok := k.config.Contexts[name]
	if !ok {
		have := slices.Sorted(maps.Keys(k.config.Contexts))
		return member.Connection{}, &contextError{
			words: fmt.Sprintf("context %q is not in fedsync's kubeconfig; fedsync's log names those that are", name),
			err:   fmt.Errorf("context %q not in kubeconfig %s; have: %s", name, k.files(), strings.Join(have, ", ")),
		}
	}
	config, err := inlined(k.config, name, context)
	if err != nil {
		return member.Connection{}, err
	}
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*config, name, &clientcmd.ConfigOverrides{}, k.rules).ClientConfig()
	if err != nil {
		// It quotes the file, including the password of a proxy.
		return member.Connection{}, fmt.Errorf("context %q of kubeconfig %s: %s", name, k.files(), untrusted.Line(err.Error()))
	}
	// It includes the content of the files.
	digest, err := digestOf(config.Clusters[context.Cluster], config.AuthInfos[context.AuthInfo])
	if err != nil {
		return member.Connection{}, fmt.Errorf("context %q: %w", name, err)
	}
	if err := k.plugIn(cfg, context); err != nil {
		return member.Connection{}, fmt.Errorf("context %q of kubeconfig %s: %w", name, k.files(), err)
	}
	return member.Connection{REST: cfg, Digest: digest}, nil
}

// plugIn makes cfg get its credentials from our own runner of plugins, if a
// plugin provides them. k.mu must be held. Connections with the same plugin
// share its runs.
func (k *Kubeconfig) plugIn(cfg *rest.Config, context *clientcmdapi.Context) error {
	if cfg.ExecProvider == nil {
		return nil
	}
	key, err := digestOf(k.config.Clusters[context.Cluster], k.config.AuthInfos[context.AuthInfo])
	if err != nil {
		return err
	}
	p := k.plugins[key]
	if p == nil {
		if p, err = execplugin.New(cfg, k.log); err != nil {
			return err
		}
		k.plugins[key] = p
	}
	p.Attach(cfg)
	return nil
}

// Close ends the running plugins.
func (k *Kubeconfig) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.plugins {
		p.Close()
	}
}

// Servers returns where the context of each cluster leads, to detect two contexts
// of one API server: its URL, and the proxy and the name by which it is reached.
// A cluster without a usable context is left out.
func (k *Kubeconfig) Servers(clusters []federation.Cluster) map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	servers := make(map[string]string, len(clusters))
	for _, c := range clusters {
		context := k.config.Contexts[c.Context]
		if context == nil || !k.allows(c.Context) {
			continue
		}
		if server := k.config.Clusters[context.Cluster]; server != nil && server.Server != "" {
			servers[c.Name] = strings.TrimSpace(strings.Join([]string{
				untrusted.Line(server.Server), untrusted.Line(server.ProxyURL), server.TLSServerName,
			}, " "))
		}
	}
	return servers
}

// allows reports whether a repository may name a context. It must be checked
// before the context is looked up: a refusal must not reveal whether the context
// exists.
func (k *Kubeconfig) allows(context string) bool {
	return len(k.only) == 0 || glob.MatchAny(k.only, context)
}

func (k *Kubeconfig) files() string {
	return strings.Join(k.rules.GetLoadingPrecedence(), ", ")
}

func digestOf(parts ...any) (string, error) {
	hash := sha256.New()
	for _, p := range parts {
		if err := json.NewEncoder(hash).Encode(p); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)[:16]), nil
}
