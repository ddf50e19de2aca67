package federation

import (
	"slices"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
)

// Stands returns how many findings this one represents: 1, or the number that it
// counts.
func (f Finding) Stands() int { return max(1, f.Count) }

// CountFindings returns how many findings there are, including those that are only
// counted.
func CountFindings(all []Finding) int {
	n := 0
	for _, f := range all {
		n += f.Stands()
	}
	return n
}

// Gathering collects findings whose number depends on the repository. For each kind in
// each app it retains limit.Findings and counts the rest. After limit.Gathered in
// total, it retains only the first few of a kind. The zero Gathering is empty.
type Gathering struct {
	all  []Finding
	kept map[findingKind]int
	more map[Severity]int
}

// findingKind is what the findings that come from one mistake have in common.
type findingKind struct {
	id, app  string
	severity Severity
}

func (f Finding) kind() findingKind { return findingKind{f.ID, f.App, f.Severity} }

// Full reports whether a finding like this one would only be counted.
func (g *Gathering) Full(f Finding) bool {
	most := limit.Findings
	if len(g.all) >= limit.Gathered {
		most = fewOfKind
	}
	return g.kept[f.kind()] >= most
}

// fewOfKind is enough to show that something is wrong with an app.
const fewOfKind = 2

// Add adds findings.
func (g *Gathering) Add(all ...Finding) {
	for _, f := range all {
		switch {
		case f.ID == FindingMore:
			g.count(f)
		case g.Full(f):
			g.count(f)
		default:
			if g.kept == nil {
				g.kept = map[findingKind]int{}
			}
			g.kept[f.kind()]++
			g.all = append(g.all, f)
		}
	}
}

func (g *Gathering) count(f Finding) {
	if g.more == nil {
		g.more = map[Severity]int{}
	}
	g.more[f.Severity] += f.Stands()
}

// Findings returns the retained findings in the order of Add, followed by the counts of
// the others.
func (g *Gathering) Findings() []Finding {
	return append(slices.Clip(g.all), counted(g.more)...)
}

// counted returns a finding for each severity of which some findings are omitted.
func counted(more map[Severity]int) []Finding {
	var all []Finding
	for _, severity := range []Severity{SeverityError, SeverityWarning, SeverityNote} {
		if n := more[severity]; n > 0 {
			all = append(all, Finding{ID: FindingMore, Severity: severity, Count: n, Message: untrusted.New(limit.More(n) + severity.noun())})
		}
	}
	return all
}

func (s Severity) noun() string {
	switch s {
	case SeverityError:
		return " errors"
	case SeverityWarning:
		return " warnings"
	case SeverityNote:
	}
	return " notes"
}

// ShortFindings returns at most limit.Findings of the findings, and sorts them if there
// are more. It reserves room for some of each kind in each app, so that a flood of one
// kind does not hide another. The last findings count the omitted ones.
func ShortFindings(all []Finding) []Finding {
	const severities, ofKind = 3, limit.Findings / 10
	short := slices.Clone(all)
	if len(short) <= limit.Findings {
		return short
	}
	slices.SortStableFunc(short, Finding.Compare)
	shown, room := make([]bool, len(short)), limit.Findings-severities
	for _, most := range []int{ofKind, limit.Findings} {
		kept := map[findingKind]int{}
		for i, f := range short {
			if room == 0 || f.ID == FindingMore || kept[f.kind()] == most {
				continue
			}
			kept[f.kind()]++
			if !shown[i] {
				shown[i] = true
				room--
			}
		}
	}
	more := map[Severity]int{}
	kept := make([]Finding, 0, limit.Findings)
	for i, f := range short {
		if shown[i] {
			kept = append(kept, f)
			continue
		}
		more[f.Severity] += f.Stands()
	}
	return append(kept, counted(more)...)
}
