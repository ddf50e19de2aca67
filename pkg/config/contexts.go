package config

import (
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/glob"
)

// Contexts returns the names of a kubeconfig's contexts, sorted: those that match one of
// the patterns, or all if there are no patterns. The empty file means the one that
// kubectl would read.
func Contexts(file string, patterns []string) ([]string, error) {
	k, err := NewKubeconfig(&Config{Kubeconfig: file}, zap.NewNop())
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(k.config.Contexts))
	return slices.DeleteFunc(names, func(name string) bool { return len(patterns) > 0 && !glob.MatchAny(patterns, name) }), nil
}
