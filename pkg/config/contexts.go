package config

import (
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/glob"
)

// Contexts names the contexts that a kubeconfig has, sorted: those that match one of the
// patterns, or all where there are none. The empty file stands for the one that kubectl
// would read.
func Contexts(file string, patterns []string) ([]string, error) {
	k, err := NewKubeconfig(&Config{Kubeconfig: file}, zap.NewNop())
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(k.config.Contexts))
	return slices.DeleteFunc(names, func(name string) bool { return len(patterns) > 0 && !glob.MatchAny(patterns, name) }), nil
}
