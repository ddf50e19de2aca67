package printer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
	"github.com/fedsync/fedsync/pkg/preview"
)

// ErrNo is returned by a command whose answer is no, and which has printed the
// reason.
var ErrNo = errors.New("the answer is no")

// Error prints why there is no answer, or why the answer is no.
func Error(w io.Writer, err error) {
	text := err.Error()
	if mistakes := (fedfile.Errors{}); errors.As(err, &mistakes) && len(mistakes) > 0 {
		text = fmt.Sprintf("%s cannot be followed\n%s", mistakes[0].File, mistakes)
	}
	fmt.Fprintf(plain{w}, "fedsync: %s\n", Indented(text, "  "))
}

// Findings prints the findings, a line each with the remedy below it. It
// returns ErrNo if one of them is an error.
func Findings(w io.Writer, findings []federation.Finding) error {
	const margin = "       "
	var err error
	for _, f := range findings {
		fmt.Fprintf(w, "%s %-4s %s\n", f.Severity, f.ID, Indented(f.String(), margin))
		if !f.Remedy.IsZero() {
			fmt.Fprintf(w, margin+"%s\n", Indented(f.Remedy.String(), margin))
		}
		if f.Severity == federation.SeverityError {
			err = ErrNo
		}
	}
	return err
}

// Uncommitted prints the files whose uncommitted changes were ignored.
func Uncommitted(w io.Writer, u preview.Uncommitted, done string) {
	w = plain{w}
	if u.Unknown != "" {
		fmt.Fprintf(w, "fedsync: uncommitted changes are not %s, and could not be listed: %s\n", done, untrusted.Line(u.Unknown))
	}
	for _, path := range u.Files {
		fmt.Fprintf(w, "fedsync: %s has changes that are not committed: not %s\n", untrusted.Line(path), done)
	}
}

// JSON writes a value as indented JSON.
func JSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(OnTerminal(w))
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// YAML writes what JSON writes, as YAML.
func YAML(w io.Writer, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	_, err = OnTerminal(w).Write(data)
	return err
}

// CheckFormat checks the value of --output against the permitted words.
func CheckFormat(value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	return fmt.Errorf("--output is %q; want %s", value, strings.Join(words, " or "))
}

// maxPrinted limits one printed line of a message, in runes.
const maxPrinted = 2000

// Indented returns a text with all lines after the first indented, so that
// untrusted lines cannot imitate our own. The end of a long line is cut off.
func Indented(text, margin string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = untrusted.Shorten(line, maxPrinted)
	}
	return strings.Join(lines, "\n"+margin)
}

// OnTerminal returns a writer whose output is harmless on a terminal, and
// unchanged for programs.
func OnTerminal(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok {
		if stat, err := f.Stat(); err == nil && stat.Mode()&os.ModeCharDevice != 0 {
			return plain{w}
		}
	}
	return w
}

// Plain returns a writer that escapes the control characters in text from clusters and
// repositories, which a terminal would obey.
func Plain(w io.Writer) io.Writer { return plain{w} }

type plain struct{ w io.Writer }

// Write implements io.Writer.
func (p plain) Write(data []byte) (int, error) {
	if _, err := p.w.Write(untrusted.Visible(data)); err != nil {
		return 0, err
	}
	return len(data), nil
}
