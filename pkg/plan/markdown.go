package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/markdown"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// CommentBytes is the length of the longest comment that every forge accepts: GitHub's limit
// is 65,536 characters, and the limits of the others are higher.
const CommentBytes = 60_000

// FromTo returns "2 → 3", "new: 3" or "2 → none".
func FromTo(before, after int64) string {
	switch {
	case before == after:
		return fmt.Sprint(after)
	case before == 0:
		return fmt.Sprintf("new: %d", after)
	case after == 0:
		return fmt.Sprintf("%d → none", before)
	}
	return fmt.Sprintf("%d → %d", before, after)
}

// Where returns "all 13 clusters" or the names of clusters.
func (p *Plan) Where(clusters []string) string {
	if n := len(p.Clusters); n > 1 && len(clusters) == n {
		return fmt.Sprintf("all %d clusters", n)
	}
	return untrusted.Some(clusters, 13)
}

// Shares describes how the shares of clusters change: "1 → 2 in all 13 clusters".
func (p *Plan) Shares(r ReplicasChange) string {
	clusters := map[string][]string{}
	var kinds []string
	for _, s := range r.Shares {
		kind := FromTo(s.Before, s.After)
		if clusters[kind] == nil {
			kinds = append(kinds, kind)
		}
		clusters[kind] = append(clusters[kind], s.Cluster)
	}
	for i, kind := range kinds {
		kinds[i] = kind + " in " + p.Where(clusters[kind])
	}
	return untrusted.Some(kinds, 10)
}

// Markdown returns the plan as a comment of at most so many bytes: the summary, the risks, and
// everything else folded. What exceeds the size is counted.
func (p *Plan) Markdown(most int) string {
	s := markdown.New(most)
	s.Headf("### %s fedsync plan: %s\n\n", p.Verdict.mark(), markdown.Inline(p.Summary.String()))
	s.Headf("`%s` into `%s` · federation %s\n", markdown.Code(p.Head.String()), markdown.Code(p.Base.String()), markdown.Inline(p.Federation))
	s.List("", markdown.Lines(p.Risks, func(r Risk) string {
		line := fmt.Sprintf("- %s **%s** %s", mark(r.Severity), r.Kind, markdown.Inline(r.String()))
		if len(r.Clusters) > 0 && r.Object != (federation.ObjectRef{}) {
			line += " (" + markdown.Inline(p.Where(r.Clusters)) + ")"
		}
		return line
	}))
	s.List("Could not be queried", markdown.Lines(slices.DeleteFunc(slices.Clone(p.Clusters), func(c Cluster) bool { return c.Unasked.IsZero() }), func(c Cluster) string {
		return fmt.Sprintf("- %s: %s", markdown.Inline(c.Name), markdown.Inline(c.Unasked.String()))
	}))
	s.List("Findings", markdown.Lines(p.Merged(p.Findings), func(f federation.Finding) string {
		line := fmt.Sprintf("- %s %s", f.ID, markdown.Inline(f.String()))
		if !f.Remedy.IsZero() {
			line += "<br>" + markdown.Inline(f.Remedy.String())
		}
		return line
	}))
	s.Fold(fmt.Sprintf("Objects: %s", p.counts()), len(p.Objects), func(i int) string { return p.object(p.Objects[i]) })
	s.Table("Node ports", []string{"Service", "port", "node port", "why"}, markdown.Lines(p.Ports, func(c PortChange) string {
		return markdown.Row(c.Service.String(), fmt.Sprintf("%d/%s", c.Port, c.Protocol), FromTo(int64(c.Before), int64(c.After)), c.Reason.String())
	}))
	s.Table("Replicas", []string{"workload", "total", "clusters"}, markdown.Lines(p.Replicas, func(r ReplicasChange) string {
		return markdown.Row(r.Object.String(), FromTo(r.Before, r.After), p.Shares(r))
	}))
	p.cloudMarkdown(s)
	s.List("Fixed by this change", markdown.Lines(p.Merged(p.Mended), func(f federation.Finding) string {
		return fmt.Sprintf("- %s %s", f.ID, markdown.Inline(f.String()))
	}))
	return s.String()
}

// object returns one object with its fields, as a diff.
func (p *Plan) object(o ObjectChange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** `%s`", o.Action, markdown.Code(o.Object.String()))
	if o.File != "" {
		fmt.Fprintf(&b, " `%s`", markdown.Code(o.File))
	}
	fmt.Fprintf(&b, " in %s", markdown.Inline(p.Where(o.Clusters)))
	if o.Both {
		b.WriteString("; the base also changed this file")
	}
	b.WriteString("\n")
	if len(o.Fields) == 0 {
		return b.String()
	}
	b.WriteString("```diff\n")
	for _, f := range o.Fields {
		if f.Before != "" {
			fmt.Fprintf(&b, "- %s: %s\n", markdown.Block(f.Path), markdown.Block(string(f.Before)))
		}
		if f.After != "" {
			fmt.Fprintf(&b, "+ %s: %s\n", markdown.Block(f.Path), markdown.Block(string(f.After)))
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// mark is the sign of a verdict.
func (v Verdict) mark() string {
	switch v {
	case Fails:
		return "❌"
	case Unsure:
		return "❔"
	case Changes:
		return "✏️"
	case Same:
	}
	return "✅"
}

func mark(s federation.Severity) string {
	switch s {
	case federation.SeverityError:
		return "❌"
	case federation.SeverityWarning:
		return "⚠️"
	case federation.SeverityNote:
	}
	return "ℹ️"
}
