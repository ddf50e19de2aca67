package balancer

import (
	"slices"
	"testing"
)

func TestLongestPathIsFirst(t *testing.T) {
	h := hostRoutes{paths: []pathRoute{{"/a", true, ""}, {"/a/b/c", true, ""}, {"/a", false, ""}, {"/b", true, ""}, {"/a/b", false, ""}}}
	h.sort()
	want := []pathRoute{{"/a/b/c", true, ""}, {"/a/b", false, ""}, {"/a", false, ""}, {"/a", true, ""}, {"/b", true, ""}}
	if !slices.Equal(h.paths, want) {
		t.Errorf("paths %v, want %v", h.paths, want)
	}
}
