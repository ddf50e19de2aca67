package render

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Error says which file is to blame for what could not be rendered.
type Error struct {
	File   string // within the repository
	Line   int    // 0 where no line can be named
	Field  string // "helmCharts"; empty for the file as a whole
	Reason string
	Remedy string // an edit; may be empty
	// Exceeds says that a limit is exceeded, so that what is built on it exceeds it, too.
	Exceeds bool
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

// joined joins errors: one is itself, and of many some are counted only.
func joined(all []error) error {
	all = flat(all)
	if len(all) == 1 {
		return all[0]
	}
	if more := len(all) - limit.Findings; more > 0 {
		all = append(slices.Clip(all[:limit.Findings]), errors.New(limit.More(more)+" mistakes"))
	}
	return errors.Join(all...)
}

// exceeds reports whether an error says that a limit is exceeded.
func exceeds(err error) bool {
	for _, one := range flat([]error{err}) {
		if e, ok := errors.AsType[*Error](one); ok && e.Exceeds {
			return true
		}
	}
	return false
}

// flat opens errors that were joined.
func flat(all []error) []error {
	var out []error
	for _, err := range all {
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			out = append(out, flat(several.Unwrap())...)
		} else if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// findings reports the bundles that could not be rendered, the apps that come to nothing,
// and what nobody reads.
func (p *pass) findings(f *federation.Federation, apps []*app, bundles []federation.Bundle) []federation.Finding {
	byApp := map[string][]federation.Bundle{}
	for _, b := range bundles {
		byApp[b.App] = append(byApp[b.App], b)
	}
	var all federation.Gathering
	for _, a := range apps {
		all.Add(a.strays(f)...)
		for _, dir := range a.folders() {
			all.Add(p.unread(a.Name, dir)...)
		}
		all.Add(p.remarks(a)...)
		bundleFindings(&all, byApp[a.Name])
		if empty(byApp[a.Name]) {
			all.Add(federation.Finding{
				ID: federation.FindingRender, Severity: federation.SeverityWarning, App: a.Name, File: a.Path,
				Message: untrusted.Const("nothing comes of it: the app has no object in any cluster"),
				Remedy:  untrusted.New("add its manifests, or take the app out of " + federation.FileName),
			})
		}
	}
	found := all.Findings()
	slices.SortStableFunc(found, federation.Finding.Compare)
	return found
}

// empty reports whether an app was rendered, and has no object anywhere.
func empty(bundles []federation.Bundle) bool {
	return len(bundles) > 0 && !slices.ContainsFunc(bundles, func(b federation.Bundle) bool { return b.Err != nil || len(b.Objects) > 0 })
}

// bundleFindings says once what is wrong with an app in all of its clusters.
func bundleFindings(all *federation.Gathering, bundles []federation.Bundle) {
	if !alike(bundles) {
		for _, b := range bundles {
			if b.Err != nil {
				all.Add(errorFindings(b)...)
			}
		}
		return
	}
	b := bundles[0]
	b.Cluster = ""
	all.Add(errorFindings(b)...)
}

// alike reports whether an app has more than one cluster, and the same error in each.
func alike(bundles []federation.Bundle) bool {
	if len(bundles) < 2 || bundles[0].Err == nil {
		return false
	}
	first := bundles[0].Err.Error()
	for _, b := range bundles[1:] {
		if b.Err == nil || b.Err != bundles[0].Err && b.Err.Error() != first { //nolint:errorlint // the same error has the same text
			return false
		}
	}
	return true
}

func errorFindings(b federation.Bundle) []federation.Finding {
	errs := flat([]error{b.Err})
	all := make([]federation.Finding, len(errs))
	for i, err := range errs {
		all[i] = federation.Finding{
			ID: federation.FindingRender, Severity: federation.SeverityError, Cluster: b.Cluster, App: b.App,
			Message: untrusted.New(err.Error()), Remedy: untrusted.Const("correct the files; until then what runs is kept as it is"),
		}
		if e, ok := errors.AsType[*Error](err); ok {
			all[i].File, all[i].Line, all[i].Message = e.File, e.Line, untrusted.New(e.Reason)
			if e.Field != "" {
				all[i].Message = untrusted.New(e.Field + ": " + e.Reason)
			}
			if e.Remedy != "" {
				all[i].Remedy = untrusted.New(e.Remedy)
			}
		}
	}
	return all
}
