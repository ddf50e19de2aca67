package strictyaml

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
)

// Problem is one mistake and its line, which is 0 if unknown.
type Problem struct {
	Line    int
	Message string
}

// Error returns "line 12: key "name" appears twice".
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.Message
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Message)
}

// Problems are the mistakes of a file, in its order: at most limit.Mistakes, and
// one more with the number of the rest.
type Problems []Problem

// Error returns one problem per line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// full reports whether further problems are only counted.
func (r *reader) full() bool { return len(r.found) >= limit.Mistakes }

func (r *reader) add(p Problem) { r.found = append(r.found, p) }

// problems returns the problems found as an error; nil for none.
func (r *reader) problems() error {
	if len(r.found) == 0 {
		return nil
	}
	if r.more > 0 {
		r.add(Problem{Message: limit.More(r.more)})
	}
	return r.found
}

var syntaxLine = regexp.MustCompile(`^line (\d+): `)

var syntaxAnchor = regexp.MustCompile(`unknown anchor '.*' referenced`)

// syntaxProblem extracts the line from the parser's message, and removes the
// word that it may quote from the file: "*word" may be an unquoted password.
func syntaxProblem(err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = syntaxAnchor.ReplaceAllString(text, "unknown anchor referenced")
	p := Problem{Message: "not YAML: " + text}
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Message = "not YAML: " + strings.TrimPrefix(text, m[0])
	}
	p.Message = limit.Message(p.Message)
	return p
}
