package render

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Error says which file is to blame for what could not be rendered.
type Error struct {
	File   string // within the repository
	Line   int    // 0 where no line can be named
	Field  string // "helmCharts"; empty for the file as a whole
	Reason string
	Remedy string // an edit; may be empty
}

// Error gives "apps/echo/kustomization.yaml:3: helmCharts: …".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Reason)
	if e.Remedy != "" {
		b.WriteString(": " + e.Remedy)
	}
	return b.String()
}

// yamlErrors blames file for each problem that strictyaml found.
func yamlErrors(file string, err error) error {
	problems, ok := errors.AsType[strictyaml.Problems](err)
	if !ok {
		return &Error{File: file, Reason: err.Error()}
	}
	all := make([]error, len(problems))
	for i, p := range problems {
		all[i] = &Error{File: file, Line: p.Line, Reason: p.Message}
	}
	return joined(all)
}

// joined is errors.Join without a wrapper around a single error.
func joined(all []error) error {
	if len(all) == 1 {
		return all[0]
	}
	return errors.Join(all...)
}

// findings reports the bundles that could not be rendered and the overlays that
// nobody asks for.
func findings(f *federation.Federation, apps []*app, bundles []federation.Bundle) []federation.Finding {
	byApp := map[string][]federation.Bundle{}
	for _, b := range bundles {
		byApp[b.App] = append(byApp[b.App], b)
	}
	var all []federation.Finding
	for _, a := range apps {
		all = append(all, a.strays(f)...)
		all = append(all, bundleFindings(byApp[a.Name])...)
	}
	slices.SortStableFunc(all, federation.Finding.Compare)
	return all
}

// bundleFindings says once what is wrong with an app in all of its clusters.
func bundleFindings(bundles []federation.Bundle) []federation.Finding {
	var all []federation.Finding
	same, total := true, 0
	first := ""
	for _, b := range bundles {
		total++
		text := ""
		if b.Err != nil {
			text = b.Err.Error()
			all = append(all, errorFindings(b)...)
		}
		if total == 1 {
			first = text
		}
		same = same && text == first
	}
	if !same || total < 2 {
		return all
	}
	all = all[:len(all)/total]
	for i := range all {
		all[i].Cluster = ""
	}
	return all
}

func errorFindings(b federation.Bundle) []federation.Finding {
	finding := federation.Finding{
		ID: "render", Severity: federation.SeverityError, Cluster: b.Cluster, App: b.App,
		Message: b.Err.Error(), Remedy: "correct the files; until then what runs is kept as it is",
	}
	var several interface{ Unwrap() []error }
	errs := []error{b.Err}
	if errors.As(b.Err, &several) {
		errs = several.Unwrap()
	}
	all := make([]federation.Finding, len(errs))
	for i, err := range errs {
		all[i] = finding
		all[i].Message = err.Error()
		if e, ok := errors.AsType[*Error](err); ok {
			all[i].File, all[i].Line, all[i].Message = e.File, e.Line, e.Reason
			if e.Field != "" {
				all[i].Message = e.Field + ": " + e.Reason
			}
			if e.Remedy != "" {
				all[i].Remedy = e.Remedy
			}
		}
	}
	return all
}
