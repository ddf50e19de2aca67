package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// CommentBytes is the longest comment that every forge takes: GitHub's limit is 65,536
// characters, the others' are higher.
const CommentBytes = 60_000

// FromTo gives "2 → 3", "new: 3" or "2 → none".
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

// Where names clusters: "all 13 clusters" or their names.
func (p *Plan) Where(clusters []string) string {
	if n := len(p.Clusters); n > 1 && len(clusters) == n {
		return fmt.Sprintf("all %d clusters", n)
	}
	return untrusted.Some(clusters, 13)
}

// Shares says how the parts of clusters change: "1 → 2 in all 13 clusters".
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

// Markdown gives the plan as a comment of at most so many bytes: the one line that
// matters, what is dangerous, and all else folded. What has no room is counted.
func (p *Plan) Markdown(most int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s fedsync plan: %s\n\n", p.Verdict.mark(), inline(p.Summary.String()))
	fmt.Fprintf(&b, "`%s` into `%s` · federation %s\n", code(p.Head.String()), code(p.Base.String()), inline(p.Federation))
	s := sheet{b: &b, most: most}
	s.list("", rows(p.Risks, func(r Risk) string {
		line := fmt.Sprintf("- %s **%s** %s", mark(r.Severity), r.Kind, inline(r.String()))
		if len(r.Clusters) > 0 && r.Object != (federation.ObjectRef{}) {
			line += " (" + inline(p.Where(r.Clusters)) + ")"
		}
		return line
	}))
	s.list("Could not be asked", rows(slices.DeleteFunc(slices.Clone(p.Clusters), func(c Cluster) bool { return c.Unasked.IsZero() }), func(c Cluster) string {
		return fmt.Sprintf("- %s: %s", inline(c.Name), inline(c.Unasked.String()))
	}))
	s.list("Found", rows(p.Findings, func(f federation.Finding) string {
		line := fmt.Sprintf("- %s %s", f.ID, inline(f.String()))
		if !f.Remedy.IsZero() {
			line += "<br>" + inline(f.Remedy.String())
		}
		return line
	}))
	s.fold(fmt.Sprintf("Objects: %s", p.counts()), len(p.Objects), func(i int) string { return p.object(p.Objects[i]) })
	s.table("Node ports", []string{"Service", "port", "node port", "why"}, rows(p.Ports, func(c PortChange) string {
		return row(c.Service.String(), fmt.Sprintf("%d/%s", c.Port, c.Protocol), FromTo(int64(c.Before), int64(c.After)), c.Reason.String())
	}))
	s.table("Replicas", []string{"workload", "in all", "clusters"}, rows(p.Replicas, func(r ReplicasChange) string {
		return row(r.Object.String(), FromTo(r.Before, r.After), p.Shares(r))
	}))
	s.list("Mended by this change", rows(p.Mended, func(f federation.Finding) string {
		return fmt.Sprintf("- %s %s", f.ID, inline(f.String()))
	}))
	return b.String()
}

// object gives one object with its fields, as a diff.
func (p *Plan) object(o ObjectChange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** `%s`", o.Action, code(o.Object.String()))
	if o.File != "" {
		fmt.Fprintf(&b, " `%s`", code(o.File))
	}
	fmt.Fprintf(&b, " in %s", inline(p.Where(o.Clusters)))
	if o.Both {
		b.WriteString("; the base changed this file too")
	}
	b.WriteString("\n")
	if len(o.Fields) == 0 {
		return b.String()
	}
	b.WriteString("```diff\n")
	for _, f := range o.Fields {
		if f.Before != "" {
			fmt.Fprintf(&b, "- %s: %s\n", block(f.Path), block(string(f.Before)))
		}
		if f.After != "" {
			fmt.Fprintf(&b, "+ %s: %s\n", block(f.Path), block(string(f.After)))
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

// sheet writes parts as long as there is room.
type sheet struct {
	b    *strings.Builder
	most int
}

// tail is what is left for the words that say what was left out.
const tail = 200

func (s *sheet) fits(text string) bool { return s.b.Len()+len(text)+tail <= s.most }

func (s *sheet) list(title string, lines []string) {
	s.write(title, "", "", len(lines), func(i int) string { return lines[i] + "\n" })
}

func (s *sheet) table(title string, head []string, lines []string) {
	rule := strings.Repeat("|---", len(head)) + "|\n"
	s.write(title, row(head...)+"\n"+rule, "", len(lines), func(i int) string { return lines[i] + "\n" })
}

func (s *sheet) fold(title string, n int, line func(int) string) {
	s.write("", "<details><summary>"+inline(title)+"</summary>\n\n", "\n</details>\n", n, func(i int) string { return line(i) + "\n" })
}

// write writes a part with as many of its n lines as there is room for.
func (s *sheet) write(title, head, foot string, n int, line func(int) string) {
	if n == 0 || !s.fits(title+head+foot) {
		return
	}
	s.b.WriteString("\n")
	if title != "" {
		fmt.Fprintf(s.b, "**%s**\n\n", title)
	}
	s.b.WriteString(head)
	for i := range n {
		text := line(i)
		if !s.fits(text + foot) {
			fmt.Fprintf(s.b, "\n_and %d more_\n", n-i)
			break
		}
		s.b.WriteString(text)
	}
	s.b.WriteString(foot)
}

func rows[T any](all []T, line func(T) string) []string {
	lines := make([]string, len(all))
	for i, one := range all {
		lines[i] = line(one)
	}
	return lines
}

func row(cells ...string) string {
	for i := range cells {
		cells[i] = inline(cells[i])
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// marks are what Markdown, HTML and the forges read in a line: mentions and references to
// issues among them, which would send mail to whom an attacker likes.
var marks = strings.NewReplacer(
	"\\", `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;",
	"|", `\|`, "~", `\~`, "#", "&#35;", "@", "&#64;", "!", `\!`, "$", "&#36;", "://", "&#58;//", "www.", "www&#46;",
)

// inline makes a text of others harmless within a line of Markdown.
func inline(text string) string { return marks.Replace(untrusted.Line(text)) }

// code makes it harmless between backticks.
func code(text string) string { return strings.ReplaceAll(untrusted.Line(text), "`", "'") }

// block makes it harmless within a block of code.
func block(text string) string { return strings.ReplaceAll(untrusted.Line(text), "```", "'''") }

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
