package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/health"
	"github.com/fedsync/fedsync/pkg/member"
)

// kubeconfig gives each member cluster its connection, and says when one has
// changed. Safe for concurrent use.
type kubeconfig struct {
	rules *clientcmd.ClientConfigLoadingRules
	log   *zap.Logger

	mu     sync.Mutex // protects what follows
	config *clientcmdapi.Config
	err    error // of the last load; config is then the one before
}

// newKubeconfig loads the file at path, or what kubectl would load when path is
// empty.
func newKubeconfig(path string, log *zap.Logger) (*kubeconfig, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	k := &kubeconfig{rules: rules, log: log}
	k.load()
	return k, k.err
}

func (k *kubeconfig) load() {
	config, err := k.rules.Load()
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.err = errors.New("read the kubeconfig: " + health.Redact(err.Error()))
		return
	}
	k.config, k.err = config, nil
}

// Err is the reason why the newest file could not be read; nil if it was.
func (k *kubeconfig) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// Connection gives the way to the cluster of a context.
func (k *kubeconfig) Connection(name string) (member.Connection, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	context, ok := k.config.Contexts[name]
	if !ok {
		have := slices.Sorted(maps.Keys(k.config.Contexts))
		return member.Connection{}, fmt.Errorf("context %q not in kubeconfig %s; have: %s", name, k.files(), strings.Join(have, ", "))
	}
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*k.config, name, &clientcmd.ConfigOverrides{}, k.rules).ClientConfig()
	if err != nil {
		// It quotes the file, the password of a proxy included.
		return member.Connection{}, fmt.Errorf("context %q of kubeconfig %s: %s", name, k.files(), health.Redact(err.Error()))
	}
	digest, err := digestOf(k.config.Clusters[context.Cluster], k.config.AuthInfos[context.AuthInfo])
	if err != nil {
		return member.Connection{}, fmt.Errorf("context %q: %w", name, err)
	}
	return member.Connection{REST: cfg, Digest: digest}, nil
}

// Servers says where the context of each cluster leads, so that two which lead to
// one API server are seen: its URL, and the proxy and the name by which it is
// reached. A cluster without a usable context has none.
func (k *kubeconfig) Servers(clusters []federation.Cluster) map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	servers := make(map[string]string, len(clusters))
	for _, c := range clusters {
		context := k.config.Contexts[c.Context]
		if context == nil {
			continue
		}
		if server := k.config.Clusters[context.Cluster]; server != nil && server.Server != "" {
			servers[c.Name] = strings.TrimSpace(strings.Join([]string{
				health.Redact(server.Server), health.Redact(server.ProxyURL), server.TLSServerName,
			}, " "))
		}
	}
	return servers
}

func (k *kubeconfig) files() string {
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

// Watch re-reads the files as they change, and calls changed after each time,
// until ctx ends. It watches the folders: Kubernetes swaps a mounted Secret by
// renaming a link beside it.
func (k *kubeconfig) Watch(ctx context.Context, changed func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the kubeconfig: %w", err)
	}
	defer func() { _ = watcher.Close() }()
	var watched int
	for _, file := range k.rules.GetLoadingPrecedence() {
		err = errors.Join(err, watcher.Add(filepath.Dir(file)))
		watched++
	}
	if len(watcher.WatchList()) == 0 && watched > 0 {
		return fmt.Errorf("watch the kubeconfig: %w", err)
	}
	// Several events make one change; half-written files come and go.
	const settle = 50 * time.Millisecond
	timer := time.NewTimer(settle)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			timer.Reset(settle)
		case err := <-watcher.Errors:
			k.log.Warn("watching the kubeconfig failed", zap.Error(err))
		case <-timer.C:
			k.load()
			if err := k.Err(); err != nil {
				k.log.Warn("kubeconfig not read, the one before stays", zap.Error(err))
			}
			changed()
		}
	}
}
