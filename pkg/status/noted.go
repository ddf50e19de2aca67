package status

import (
	"github.com/fedsync/fedsync/pkg/federation"
)

// noted is what a summary found. The rules ask for each object whether an error
// speaks of it, so errors are found by what they are about.
type noted struct {
	findings []federation.Finding
	keys     map[string]int // the first finding with a key, of the first keyed ones
	keyed    int
	errors   map[about]bool
}

// about is what an error speaks of. A part that is empty stands for none, and in
// errors an errorAnywhere in place of the cluster for any.
type about struct {
	cluster string
	object  federation.ObjectRef
}

// errorAnywhere is no name of a cluster.
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

// add adds a finding unless a stage said the same already. An error takes the
// place of a warning.
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

// find returns where the first finding with a key is.
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

// says reports whether a finding with the key of this one was noted.
func (s *summary) says(f federation.Finding) bool {
	_, known := s.noted.find(f.Key())
	return known
}

// explained says whether an error finding speaks of the object, or of its
// namespace, already.
func (s *summary) explained(cluster string, object federation.ObjectRef) bool {
	namespace := federation.ObjectRef{Kind: "Namespace", Name: object.Namespace}
	return s.noted.errors[about{cluster, object}] || s.noted.errors[about{cluster, namespace}]
}

// explainedAnywhere reports whether an error speaks of the object in some cluster or
// in all.
func (s *summary) explainedAnywhere(object federation.ObjectRef) bool {
	return s.noted.errors[about{errorAnywhere, object}]
}

// broken says whether an error keeps the cluster from being equal to the plan.
func (s *summary) broken(cluster string) bool {
	return s.noted.errors[about{cluster: cluster}] || s.noted.errors[about{}]
}
