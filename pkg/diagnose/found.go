package diagnose

import (
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
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

// standing is what is remembered of a finding, before it is folded: as the clusters
// that have it come and go, it may be said for each or once for all.
type standing struct {
	since    time.Time
	severity federation.Severity
	// of are the clusters that must be in sight to tell that it is gone.
	of []string
}

func (x *diagnosis) add(f federation.Finding) { x.found = append(x.found, found{Finding: f}) }

// await adds what may mend itself within the grace.
func (x *diagnosis) await(f federation.Finding, seasoned bool) {
	x.found = append(x.found, found{Finding: f, patience: patience{grace: x.Grace, seasoned: seasoned}})
}

// findings gives what was found: said once, with the time since when it stands and
// the weight of its age, sorted.
func (x *diagnosis) findings() []federation.Finding {
	x.age()
	x.keep()
	x.fold()
	all := make([]federation.Finding, 0, len(x.found))
	for _, f := range x.found {
		all = append(all, f.Finding)
	}
	slices.SortStableFunc(all, federation.Finding.Compare)
	return all
}

// age gives each finding its time and its weight.
func (x *diagnosis) age() {
	var inSight []string
	for _, m := range x.seen() {
		inSight = append(inSight, m.name)
	}
	x.standing = make(map[string]standing, len(x.found))
	for i := range x.found {
		f := &x.found[i]
		f.Since = x.Now
		was, known := x.before.standing[f.Key()]
		if known {
			f.Since = was.since
		}
		if f.patience.grace > 0 {
			f.Severity = x.weight(*f, was.severity)
		}
		s := standing{since: f.Since, severity: f.Severity, of: inSight}
		if f.Cluster != "" {
			s.of = []string{f.Cluster}
		}
		x.standing[f.Key()] = s
	}
}

// keep remembers what was found in clusters that are out of sight: a lost probe
// makes no fault a new one. What is not found in a cluster that is seen is mended.
func (x *diagnosis) keep() {
	for key, was := range x.before.standing {
		_, stands := x.standing[key]
		if !stands && slices.ContainsFunc(was.of, x.hidden) {
			x.standing[key] = was
		}
	}
}

// hidden says whether a cluster counts and is out of sight.
func (x *diagnosis) hidden(cluster string) bool {
	m := x.member(cluster)
	return m != nil && !m.now
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
// the repository is one mistake, as old and as heavy as where it is oldest and
// heaviest.
func (x *diagnosis) fold() {
	type fault struct {
		id, message string
		object      federation.ObjectRef
	}
	of := func(f found) fault { return fault{f.ID, f.Message.String(), f.Object} }
	faults := map[fault][]found{}
	for _, f := range x.found {
		if f.folds {
			faults[of(f)] = append(faults[of(f)], f)
		}
	}
	kept := x.found[:0]
	for _, f := range x.found {
		same := faults[of(f)]
		if f.folds && len(same) > 1 && len(same) == x.runners(f.Object) {
			if f.Cluster != same[0].Cluster {
				continue
			}
			for _, other := range same {
				if other.Since.Before(f.Since) {
					f.Since = other.Since
				}
				f.Severity = heavier(f.Severity, other.Severity)
			}
			f.Cluster = ""
		}
		kept = append(kept, f)
	}
	x.found = kept
}

// heavier gives the more severe of two.
func heavier(a, b federation.Severity) federation.Severity {
	for _, s := range []federation.Severity{federation.SeverityError, federation.SeverityWarning} {
		if a == s || b == s {
			return s
		}
	}
	return a
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
