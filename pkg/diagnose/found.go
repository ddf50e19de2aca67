package diagnose

import (
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// The identities of the findings. Numbers are those of the troubleshooting list;
// findings without one have a word. Each has an entry in docs/doctor.md.
const (
	idRegistered      = "D04"
	idPermission      = "D07"
	idQuota           = "D08"
	idNodePorts       = "D11"
	idServiceType     = "D11c"
	idController      = "D12"
	idUID             = "D13"
	idBuiltWithUID    = "D15"
	idEndpoints       = "D18"
	idCertificate     = "D19"
	idBackend         = "D20"
	idUnschedulable   = "D21"
	idNotReady        = "D22"
	idProbes          = "probes"
	idPortWaiting     = "port-waiting"
	idShortfall       = "replicas"
	idReplicasHeld    = "replicas-held"
	idReplicasWaiting = "replicas-waiting"
	idNoShare         = "no-share"
	idSelector        = "selector"
)

// found is a finding and what its weight depends on.
type found struct {
	federation.Finding
	patience patience
	// folds says that the fault is the repository's: where every cluster has it,
	// it is said once, for all.
	folds bool
}

// patience says how long a finding is a note, before it has the severity that it
// was given, and when it becomes an error.
type patience struct {
	grace    time.Duration // zero: it has its severity at once
	deadline time.Duration // zero: never
	// seasoned says that it had the grace before it was seen.
	seasoned bool
}

// standing is what is remembered of a finding.
type standing struct {
	since    time.Time
	severity federation.Severity
}

func (x *diagnosis) add(f federation.Finding) { x.found = append(x.found, found{Finding: f}) }

// await adds what may mend itself within the grace.
func (x *diagnosis) await(f federation.Finding, seasoned bool) {
	x.found = append(x.found, found{Finding: f, patience: patience{grace: x.Grace, seasoned: seasoned}})
}

// findings gives what was found: said once, with the time since when it stands and
// the weight of its age, sorted.
func (x *diagnosis) findings() []federation.Finding {
	x.fold()
	x.standing = make(map[string]standing, len(x.found))
	all := make([]federation.Finding, 0, len(x.found))
	for _, f := range x.found {
		f.Since = x.Now
		was, known := x.before.standing[f.Key()]
		if known {
			f.Since = was.since
		}
		if f.patience.grace > 0 {
			f.Severity = x.weight(f, was.severity)
		}
		x.standing[f.Key()] = standing{f.Since, f.Severity}
		all = append(all, f.Finding)
	}
	slices.SortStableFunc(all, federation.Finding.Compare)
	return all
}

// weight is the severity of a finding by its age; was is that of the report
// before, empty if it is new. It never grows lighter while it stands.
func (x *diagnosis) weight(f found, was federation.Severity) federation.Severity {
	age := x.Now.Sub(f.Since)
	switch {
	case was == federation.SeverityError, f.patience.deadline > 0 && age >= f.patience.deadline:
		return federation.SeverityError
	case age >= f.patience.grace, was == f.Severity, f.patience.seasoned:
		return f.Severity
	}
	return federation.SeverityNote
}

// fold says once what is true in every cluster that runs the object: a mistake in
// the repository is one mistake.
func (x *diagnosis) fold() {
	type fault struct {
		id, message string
		object      federation.ObjectRef
	}
	of := func(f found) fault { return fault{f.ID, f.Message, f.Object} }
	count := map[fault]int{}
	for _, f := range x.found {
		if f.folds {
			count[of(f)]++
		}
	}
	said := map[fault]bool{}
	kept := x.found[:0]
	for _, f := range x.found {
		key := of(f)
		if f.folds && count[key] > 1 && count[key] == x.runners(f.Object) {
			if said[key] {
				continue
			}
			said[key] = true
			f.Cluster = ""
		}
		kept = append(kept, f)
	}
	x.found = kept
}

// runners counts the clusters in sight that are to run the object.
func (x *diagnosis) runners(object federation.ObjectRef) int {
	n := 0
	for _, m := range x.members {
		if m.now && m.plans(object) {
			n++
		}
	}
	return n
}
