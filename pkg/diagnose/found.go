package diagnose

import (
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// found is a finding and what its severity depends on.
type found struct {
	federation.Finding
	patience patience
	// folds reports that the fault is in the repository. If every cluster has it, one
	// finding for all of them replaces the findings of each.
	folds bool
}

// patience is how long a finding is a note before it gets its own severity, and when it
// becomes an error.
type patience struct {
	grace    time.Duration // zero means that it gets its severity immediately
	deadline time.Duration // zero means never
	// seasoned reports that the grace had passed before the finding was observed.
	seasoned bool
}

// standing is what is remembered about a finding, before it is folded: while clusters
// come and go, it may be reported for each cluster or for all.
type standing struct {
	since    time.Time
	severity federation.Severity
	// of are the clusters that must be readable to know that the finding is gone.
	of []string
}

func (x *diagnosis) add(f federation.Finding) { x.found = append(x.found, found{Finding: f}) }

// await adds a finding that may resolve itself within the grace.
func (x *diagnosis) await(f federation.Finding, seasoned bool) {
	x.found = append(x.found, found{Finding: f, patience: patience{grace: x.Grace, seasoned: seasoned}})
}

// findings returns what was found, without duplicates and sorted. Each finding has the
// time since when it exists, and the severity for its age.
func (x *diagnosis) findings() []federation.Finding {
	x.age()
	x.retain()
	x.fold()
	all := make([]federation.Finding, 0, len(x.found))
	for _, f := range x.found {
		all = append(all, f.Finding)
	}
	slices.SortStableFunc(all, federation.Finding.Compare)
	return all
}

// age sets the time and the severity of each finding.
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
			f.Severity = x.severity(*f, was.severity)
		}
		s := standing{since: f.Since, severity: f.Severity, of: inSight}
		if f.Cluster != "" {
			s.of = []string{f.Cluster}
		}
		x.standing[f.Key()] = s
	}
}

// retain remembers what was found in clusters that cannot be read now: a failed probe
// must not make an old fault a new one. What is no longer found in a readable cluster is
// resolved.
func (x *diagnosis) retain() {
	for key, was := range x.before.standing {
		_, again := x.standing[key]
		if !again && slices.ContainsFunc(was.of, x.hidden) {
			x.standing[key] = was
		}
	}
}

// hidden reports whether a cluster counts and cannot be read now.
func (x *diagnosis) hidden(cluster string) bool {
	m := x.member(cluster)
	return m != nil && !m.now
}

// severity returns the severity of a finding by its age. was is its severity in the
// previous report, empty for a new finding. It never decreases while the finding exists.
func (x *diagnosis) severity(f found, was federation.Severity) federation.Severity {
	age := x.Now.Sub(f.Since)
	switch {
	case was == federation.SeverityError, f.patience.deadline > 0 && age >= f.patience.deadline:
		return federation.SeverityError
	case age >= f.patience.grace, was == f.Severity, f.patience.seasoned:
		return f.Severity
	}
	return federation.SeverityNote
}

// fold merges the findings of all clusters that run an object into one, if every one of
// them has it: a mistake in the repository is one mistake. It gets the earliest time and
// the highest severity.
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

// heavier returns the more severe of two severities.
func heavier(a, b federation.Severity) federation.Severity {
	for _, s := range []federation.Severity{federation.SeverityError, federation.SeverityWarning} {
		if a == s || b == s {
			return s
		}
	}
	return a
}

// runners counts the readable clusters that are to run the object.
func (x *diagnosis) runners(object federation.ObjectRef) int {
	n := 0
	for _, m := range x.members {
		if m.now && m.plans(object) {
			n++
		}
	}
	return n
}
