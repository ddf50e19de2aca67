package source_test

import (
	"fmt"
	"slices"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

func TestAncestorsAreTheNearestCommitsBehindOne(t *testing.T) {
	repo := sourcetest.New(t)
	var pushed []string
	for i := range 6 {
		pushed = append(pushed, repo.Push("change", map[string]string{"a": fmt.Sprint(i)}))
	}
	tip := pushed[5]
	slices.Reverse(pushed)
	for name, opts := range transports(t, repo) {
		s, err := source.Open(opts, zaptest.NewLogger(t))
		if err != nil {
			t.Fatal(err)
		}
		for n, want := range map[int][]string{3: pushed[1:4], 100: pushed[1:]} {
			got, err := s.Ancestors(t.Context(), tip, n)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %d ancestors = %v, %v, want %v", name, n, got, err, want)
			}
		}
	}
}
