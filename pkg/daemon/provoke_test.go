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

// fault is something that goes wrong for real, and what is to be said of it until
// it is mended.
type fault struct {
	name  string
	files map[string]string // pushed, and mended by pushing what was there before
	// cause and mend are somebody's hand in a cluster or a kubeconfig.
	cause, mend func(*patient)
	// refused says that a cluster refused something. That is tried again within a
	// minute, or at the next push, for which it waits here.
	refused bool
	want    []symptom
}

// symptom is a finding that a fault is to cause.
type symptom struct {
	id       string
	severity federation.Severity
	cluster  string // empty where it is about more than one
	object   federation.ObjectRef
	words    []string // of its message or remedy
}

func (s symptom) String() string {
	return fmt.Sprintf("%s %s of cluster %q, object %q, with %q", s.severity, s.id, s.cluster, s.object, s.words)
}

// about says whether a finding is the one that is meant, whatever it says of it.
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

// none is the object of a finding that is about no object.
var none federation.ObjectRef

// ref names an object of the test's namespace.
func (w *world) ref(kind, name string) federation.ObjectRef {
	return federation.ObjectRef{Group: kinds[kind].Group, Kind: kind, Namespace: w.namespace, Name: name}
}

// patient is a healthy federation that one daemon looks after, and that faults are
// tried on, one after the other.
type patient struct {
	*world
	*ran
	files map[string]string // what is in Git while it is healthy
	usual []string          // the identities of findings that it has all the time
}

// newPatient has an Ingress, a Service and a ReplicaSet in all clusters, as in the
// guide, and waits until they are live.
func newPatient(t *testing.T, s *lab.Sandbox, settings func(*patient)) *patient {
	t.Helper()
	w := newWorld(t, s)
	w.grace = time.Second
	// An address that was another one before is spoken of for a day.
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

// under is the patient in the hands of a subtest.
func (p *patient) under(t *testing.T) *patient {
	own, w, r := *p, *p.world, *p.ran
	w.t, r.t = t, t
	own.world, own.ran = &w, &r
	return &own
}

// before gives the files as they are while the patient is healthy.
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

// healthy waits until the newest revision is a success of which there is nothing
// unusual to say.
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

// show waits until symptoms are seen, and says whether the state is what their
// severity makes of it.
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

// recover waits until symptoms are gone.
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

// try lets the patient suffer a fault, and recover.
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
		t.FailNow() // the next would begin with what is left of this one
	}
}
