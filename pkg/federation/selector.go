package federation

import (
	"k8s.io/apimachinery/pkg/labels"
)

// Selector selects clusters by their labels. The zero Selector selects all.
type Selector struct {
	selector labels.Selector
}

// NewSelector wraps a parsed label selector.
func NewSelector(s labels.Selector) Selector { return Selector{selector: s} }

// Matches reports whether the cluster is selected.
func (s Selector) Matches(c Cluster) bool {
	return s.selector == nil || s.selector.Matches(labels.Set(c.Labels))
}

// String returns the selector in kubectl's syntax; empty for all clusters.
func (s Selector) String() string {
	if s.selector == nil {
		return ""
	}
	return s.selector.String()
}

// Size returns the number of requirements and values that a cluster's labels are compared with.
func (s Selector) Size() int {
	if s.selector == nil {
		return 0
	}
	n := 0
	requirements, _ := s.selector.Requirements()
	for _, r := range requirements {
		n += 1 + len(r.ValuesUnsorted())
	}
	return n
}
