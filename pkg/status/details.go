package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/markdown"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// DetailsOf returns what a report shows beyond its one line: tables with the failed
// clusters first, and an annotation for each line that a finding names.
func DetailsOf(r Report) Details {
	s := markdown.New(SummaryBytes)
	s.Headf("**%s**\n", markdown.Inline(r.Description.String()))
	s.Table("Addresses", []string{"Address", "Ingress", "Clusters"}, markdown.Lines(r.Addresses, func(a Address) string {
		return markdown.Row(a.Address, a.Object.String(), untrusted.Some(a.Clusters, 13))
	}))
	s.List("Findings", markdown.Lines(r.Findings, findingLine))
	s.Table("Clusters", []string{"", "Cluster", "State", "Pods ready", "Reason"}, markdown.Lines(worstFirst(r.Clusters), clusterRow))
	s.Table("Node ports", []string{"Service", "Port", "Node port", "Reason"}, markdown.Lines(r.Ports, func(p federation.PortDecision) string {
		return markdown.Row(p.Service.String(), fmt.Sprintf("%d/%s", p.Port, p.Protocol), orDash(int64(p.NodePort)), p.Reason)
	}))
	s.Table("Replicas", []string{"Workload", "Total", "Clusters", "Not placed"}, markdown.Lines(r.Replicas, func(d federation.ReplicasDecision) string {
		return markdown.Row(d.Object.String(), fmt.Sprint(d.Total), parts(d.Shares), orDash(d.Shortfall))
	}))
	return Details{Summary: s.String(), Annotations: Annotations(r.Findings)}
}

func findingLine(f federation.Finding) string {
	line := fmt.Sprintf("- %s %s %s", sign(f.Severity), markdown.Inline(f.ID), markdown.Inline(f.String()))
	if !f.Remedy.IsZero() {
		line += "<br>" + markdown.Inline(f.Remedy.String())
	}
	return line
}

// worstFirst sorts clusters by their outcome, those that do not count last.
func worstFirst(clusters []Cluster) []Cluster {
	order := []State{Failure, Pending, Success}
	rank := func(c Cluster) int {
		if i := slices.Index(order, c.Outcome); i >= 0 {
			return i
		}
		return len(order)
	}
	sorted := slices.Clone(clusters)
	slices.SortStableFunc(sorted, func(a, b Cluster) int { return cmp.Compare(rank(a), rank(b)) })
	return sorted
}

func clusterRow(c Cluster) string {
	mark := map[State]string{Failure: "❌", Pending: "⏳", Success: "✅"}[c.Outcome]
	pods := "–"
	if c.Desired > 0 || c.Ready > 0 {
		pods = fmt.Sprintf("%d/%d", c.Ready, c.Desired)
	}
	return markdown.Row(mark, c.Name, string(c.State), pods, c.Reason.String())
}

// parts lists how many replicas each cluster runs, grouping clusters with equal shares.
func parts(all []federation.ReplicasShare) string {
	by := map[int64][]string{}
	for _, s := range all {
		by[s.Share] = append(by[s.Share], s.Cluster)
	}
	var words []string
	for _, share := range sortedDown(by) {
		words = append(words, fmt.Sprintf("%d each in %s", share, untrusted.Some(by[share], 5)))
	}
	const most = 10
	if more := len(words) - most; more > 0 {
		words = append(words[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(words, "; ")
}

func sortedDown(by map[int64][]string) []int64 {
	var keys []int64
	for k := range by {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b int64) int { return cmp.Compare(b, a) })
	return keys
}

// Annotations returns an annotation for each finding that names a line. A finding of
// several clusters is one annotation that names them.
func Annotations(findings []federation.Finding) []Annotation {
	var all []Annotation
	clusters := map[Annotation][]string{}
	for _, f := range findings {
		if f.File == "" || f.Line < 1 {
			continue
		}
		a := annotation(f)
		names, known := clusters[a]
		if !known {
			all = append(all, a)
		}
		if f.Cluster != "" {
			names = append(names, f.Cluster)
		}
		clusters[a] = names
	}
	for i, a := range all {
		if names := clusters[a]; len(names) > 0 {
			all[i].Message = untrusted.Some(names, 5) + ": " + a.Message
		}
	}
	slices.SortStableFunc(all, func(a, b Annotation) int { return cmp.Compare(a.Level.rank(), b.Level.rank()) })
	return all
}

// annotation returns the annotation of a finding, without its cluster.
func annotation(f federation.Finding) Annotation {
	a := Annotation{File: f.File, Line: f.Line, Level: levelOf(f.Severity), Title: f.ID, Message: f.Message.String()}
	if f.Object != (federation.ObjectRef{}) {
		a.Title += " " + f.Object.String()
	}
	if !f.Remedy.IsZero() {
		a.Message += "\n" + f.Remedy.String()
	}
	return a
}

func sign(s federation.Severity) string {
	return map[federation.Severity]string{federation.SeverityError: "❌", federation.SeverityWarning: "⚠️", federation.SeverityNote: "ℹ️"}[s]
}

func levelOf(s federation.Severity) Level {
	switch s {
	case federation.SeverityError:
		return LevelError
	case federation.SeverityWarning:
		return LevelWarning
	case federation.SeverityNote:
	}
	return LevelNote
}

func (l Level) rank() int {
	return strings.Index(string(LevelError+LevelWarning+LevelNote), string(l))
}

func orDash(n int64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprint(n)
}
