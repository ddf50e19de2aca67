package status

import (
	"github.com/fedsync/fedsync/pkg/federation"
)

// noted holds the findings of a summary. The rules check for each object whether an error
// names it, so errors are indexed by what they are about.
type noted struct {
	findings []federation.Finding
	keys     map[string]int // the first finding with a key, among the first keyed findings
	keyed    int
	errors   map[about]bool
}

// about is what an error is about. An empty part means none; in errors, errorAnywhere
// instead of the cluster means any cluster.
type about struct {
	cluster string
	object  federation.ObjectRef
}

// errorAnywhere cannot be the name of a cluster.
const errorAnywhere = "*"

func newNoted() noted { return noted{keys: map[string]int{}, errors: map[about]bool{}} }

// note adds findings.
func (s *summary) note(all ...federation.Finding) {
	s.noted.findings = append(s.noted.findings, all...)
	for _, f := range all {
		s.noted.indexError(f)
	}
}

func (n *noted) indexError(f federation.Finding) {
	if f.Severity == federation.SeverityError {
		n.errors[about{f.Cluster, f.Object}] = true
		n.errors[about{errorAnywhere, f.Object}] = true
		n.errors[about{cluster: f.Cluster}] = true
	}
}

// add adds a finding unless a stage added one with its key. An error replaces a warning.
func (s *summary) add(f federation.Finding) {
	i, known := s.noted.find(f.Key())
	switch {
	case !known:
		s.note(f)
	case f.Severity == federation.SeverityError && s.noted.findings[i].Severity != federation.SeverityError:
		s.noted.findings[i] = f
		s.noted.indexError(f)
	}
}

// find returns the index of the first finding with a key.
func (n *noted) find(key string) (int, bool) {
	for ; n.keyed < len(n.findings); n.keyed++ {
		if k := n.findings[n.keyed].Key(); !n.has(k) {
			n.keys[k] = n.keyed
		}
	}
	i, known := n.keys[key]
	return i, known
}

func (n *noted) has(key string) bool {
	_, known := n.keys[key]
	return known
}

// contains reports whether a finding with the key of this one was noted.
func (n *noted) contains(f federation.Finding) bool {
	_, known := n.find(f.Key())
	return known
}

// explained reports whether an error finding is about the object or its namespace.
func (s *summary) explained(cluster string, object federation.ObjectRef) bool {
	namespace := federation.ObjectRef{Kind: "Namespace", Name: object.Namespace}
	return s.noted.errors[about{cluster, object}] || s.noted.errors[about{cluster, namespace}]
}

// explainedAnywhere reports whether an error is about the object in one cluster or in
// all.
func (s *summary) explainedAnywhere(object federation.ObjectRef) bool {
	return s.noted.errors[about{errorAnywhere, object}]
}

// broken reports whether an error prevents the cluster from being in sync with the plan.
func (s *summary) broken(cluster string) bool {
	return s.noted.errors[about{cluster: cluster}] || s.noted.errors[about{}]
}
