package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

// fault is something that really goes wrong, and what must be reported until it is fixed.
type fault struct {
	name  string
	files map[string]string // pushed, and fixed by pushing the previous files
	// cause and mend make and undo a change by hand in a cluster or a kubeconfig.
	cause, mend func(*patient)
	// refused means that a cluster refuses something. That is retried within a minute, or
	// at the next push, which the test makes.
	refused bool
	want    []symptom
}

// symptom is a finding that a fault must cause.
type symptom struct {
	id       string
	severity federation.Severity
	cluster  string // empty if it is about more than one
	object   federation.ObjectRef
	words    []string // of its message or remedy
}

func (s symptom) String() string {
	return fmt.Sprintf("%s %s of cluster %q, object %q, with %q", s.severity, s.id, s.cluster, s.object, s.words)
}

// about reports whether a finding is that of the symptom, whatever its words.
func (s symptom) about(f federation.Finding) bool {
	return f.ID == s.id && f.Cluster == s.cluster && f.Object == s.object
}

func (s symptom) shown(r *status.Report) bool {
	return slices.ContainsFunc(r.Findings, func(f federation.Finding) bool {
		lacks := func(word string) bool { return !strings.Contains(f.Message.String()+"\n"+f.Remedy.String(), word) }
		return s.about(f) && f.Severity == s.severity && !slices.ContainsFunc(s.words, lacks)
	})
}

func warning(id, cluster string, object federation.ObjectRef, words ...string) symptom {
	return symptom{id, federation.SeverityWarning, cluster, object, words}
}

func failing(id, cluster string, object federation.ObjectRef, words ...string) symptom {
	return symptom{id, federation.SeverityError, cluster, object, words}
}

func note(id, cluster string, object federation.ObjectRef, words ...string) symptom {
	return symptom{id, federation.SeverityNote, cluster, object, words}
}

// none is the object of a finding without an object.
var none federation.ObjectRef

// ref returns the name of an object in the test's namespace.
func (w *world) ref(kind, name string) federation.ObjectRef {
	return federation.ObjectRef{Group: kinds[kind].Group, Kind: kind, Namespace: w.namespace, Name: name}
}

// patient is a healthy federation with one daemon. Faults are tried on it one after the
// other.
type patient struct {
	*world
	*ran
	files map[string]string // in Git while it is healthy
	usual []string          // the identities of findings that it always has
}

// newPatient makes a patient with an Ingress, a Service and a ReplicaSet in all clusters, as
// in the guide, and waits until they are live.
func newPatient(t *testing.T, s *lab.Sandbox, settings func(*patient)) *patient {
	t.Helper()
	w := newWorld(t, s)
	w.grace = time.Second
	// A changed address is reported for a day.
	p := &patient{world: w, usual: []string{"address-changed"}, files: map[string]string{
		"fedsync.yaml":                     w.file("web"),
		"apps/web/base/kustomization.yaml": "resources: [ingress.yaml, service.yaml, replicaset.yaml, more.yaml]\n",
		"apps/web/base/ingress.yaml":       w.ingress(),
		"apps/web/base/service.yaml":       w.service(),
		"apps/web/base/replicaset.yaml":    w.shared(6, true),
		"apps/web/base/more.yaml":          w.settings("more", "1"),
	}}
	settings(p)
	w.repo.Push("healthy", p.files)
	p.ran = w.start()
	p.healthy()
	return p
}

// under returns the patient for use in a subtest.
func (p *patient) under(t *testing.T) *patient {
	own, w, r := *p, *p.world, *p.ran
	w.t, r.t = t, t
	own.world, own.ran = &w, &r
	return &own
}

// before returns the files of the healthy patient.
func (p *patient) before(files map[string]string) map[string]string {
	was := map[string]string{}
	for name := range files {
		was[name] = sourcetest.Removed
		if content, ok := p.files[name]; ok {
			was[name] = content
		}
	}
	return was
}

// healthy waits until the newest revision is a success without unusual findings.
func (p *patient) healthy() {
	p.world.t.Helper()
	sha := p.repo.Head()
	p.await("the federation is healthy", func(r *status.Report) string {
		if r.Revision.SHA != sha || r.State != status.Success {
			return "it is not a success"
		}
		for _, f := range r.Findings {
			if !slices.Contains(p.usual, f.ID) {
				return "there is a finding: " + f.String()
			}
		}
		return ""
	})
}

// show waits until symptoms are reported, and checks that the state follows from their
// severity.
func (p *patient) show(symptoms ...symptom) {
	t := p.world.t
	t.Helper()
	fails := slices.ContainsFunc(symptoms, func(s symptom) bool { return s.severity == federation.SeverityError })
	sha := p.repo.Head()
	p.await("it is found", func(r *status.Report) string {
		for _, s := range symptoms {
			if !s.shown(r) {
				return "there is no " + s.String()
			}
		}
		if r.Revision.SHA != sha {
			return "it is the revision before"
		}
		if (r.State == status.Failure) != fails {
			return fmt.Sprintf("it is a failure: %t, want %t", !fails, fails)
		}
		for _, f := range r.Findings {
			if f.Severity != federation.SeverityNote && f.Remedy.IsZero() {
				return "there is no remedy for: " + f.String()
			}
		}
		return ""
	})
}

// recover waits until symptoms are no longer reported.
func (p *patient) recover(symptoms ...symptom) {
	p.world.t.Helper()
	p.await("it is said no more", func(r *status.Report) string {
		for _, s := range symptoms {
			if slices.ContainsFunc(r.Findings, s.about) {
				return "there is still " + s.String()
			}
		}
		return ""
	})
}

// try makes the patient suffer a fault and recover.
func (p *patient) try(t *testing.T, f fault) {
	t.Helper()
	ok := t.Run(f.name, func(t *testing.T) {
		p := p.under(t)
		if f.cause != nil {
			f.cause(p)
		}
		if f.files != nil {
			p.repo.Push(f.name, f.files)
		}
		p.show(f.want...)
		if f.mend != nil {
			f.mend(p)
		}
		if f.mend != nil && !f.refused {
			p.recover(f.want...)
		}
		p.repo.Push("mended", p.before(f.files))
		p.healthy()
	})
	if !ok {
		t.FailNow() // the next fault would start from a patient that is not healthy
	}
}
