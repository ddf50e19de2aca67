// Package markdown writes plans and reports for forges, as Markdown in which untrusted
// text is harmless and whose length never exceeds the forge's limit.
package markdown

import (
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Sheet writes parts as long as there is room. It counts lines without room.
type Sheet struct {
	b    strings.Builder
	most int
}

// tail is the room reserved for the number of omitted lines, in bytes.
const tail = 200

// New returns an empty sheet of no more than most bytes.
func New(most int) *Sheet { return &Sheet{most: most} }

// String returns what was written.
func (s *Sheet) String() string { return s.b.String() }

// Headf writes the beginning of a sheet, which must be short. Its arguments are
// Markdown.
func (s *Sheet) Headf(format string, args ...any) { fmt.Fprintf(&s.b, format, args...) }

// List writes lines below a title, which may be empty. They are Markdown.
func (s *Sheet) List(title string, lines []string) {
	s.write(title, "", "", len(lines), func(i int) string { return lines[i] + "\n" })
}

// Table writes rows made by Row below a title.
func (s *Sheet) Table(title string, head, rows []string) {
	rule := strings.Repeat("|---", len(head)) + "|\n"
	s.write(title, Row(head...)+"\n"+rule, "", len(rows), func(i int) string { return rows[i] + "\n" })
}

// Fold writes n lines of Markdown that are collapsed below a title.
func (s *Sheet) Fold(title string, n int, line func(int) string) {
	s.write("", "<details><summary>"+Inline(title)+"</summary>\n\n", "\n</details>\n", n, func(i int) string { return line(i) + "\n" })
}

// write writes a part with as many of its n lines as fit.
func (s *Sheet) write(title, head, foot string, n int, line func(int) string) {
	if n == 0 || !s.fits(title+head+foot) {
		return
	}
	s.b.WriteString("\n")
	if title != "" {
		fmt.Fprintf(&s.b, "**%s**\n\n", title)
	}
	s.b.WriteString(head)
	for i := range n {
		text := line(i)
		if !s.fits(text + foot) {
			fmt.Fprintf(&s.b, "\n_and %d more_\n", n-i)
			break
		}
		s.b.WriteString(text)
	}
	s.b.WriteString(foot)
}

func (s *Sheet) fits(text string) bool { return s.b.Len()+len(text)+tail <= s.most }

// Lines returns a line for each element.
func Lines[T any](all []T, line func(T) string) []string {
	lines := make([]string, len(all))
	for i, one := range all {
		lines[i] = line(one)
	}
	return lines
}

// Row returns a row of a table with untrusted texts.
func Row(cells ...string) string {
	row := make([]string, len(cells))
	for i := range cells {
		row[i] = Inline(cells[i])
	}
	return "| " + strings.Join(row, " | ") + " |"
}

// apart follows a sign that forges interpret in the HTML, where an escaped sign is a plain
// one again. It is a zero-width space.
const apart = "&#8203;"

// marks escapes what Markdown, HTML and forges interpret in a line, including mentions
// and references to issues, with which an attacker could send mail to anyone.
var marks = strings.NewReplacer(
	"\\", `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;",
	"|", `\|`, "~", `\~`, "!", `\!`+apart, "$", "&#36;", "%", "&#37;"+apart,
	"#", "&#35;"+apart, "@", "&#64;"+apart, "GH-", "GH"+apart+"-", "gh-", "gh"+apart+"-", "Gh-", "Gh"+apart+"-", "gH-", "gH"+apart+"-",
	"://", "&#58;"+apart+"//", "www.", "www"+apart+"&#46;",
)

// Inline makes an untrusted text harmless within a line.
func Inline(text string) string { return marks.Replace(untrusted.Line(text)) }

// Code makes an untrusted text harmless between backticks.
func Code(text string) string { return strings.ReplaceAll(untrusted.Line(text), "`", "'") }

// Block makes an untrusted text harmless within a block of code.
func Block(text string) string { return strings.ReplaceAll(untrusted.Line(text), "```", "'''") }
