package render

import (
	"errors"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// findings reports the bundles that could not be rendered, the apps without objects, and
// files that are not read.
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
		for l := range p.losses[a.Name] {
			all.Add(l.Finding(a.Name))
		}
		all.Add(p.folders.Deprecations(a.Name, a.folders())...)
		bundleFindings(&all, byApp[a.Name])
		if empty(byApp[a.Name]) {
			all.Add(federation.Finding{
				ID: federation.FindingRender, Severity: federation.SeverityWarning, App: a.Name, File: a.Path,
				Message: untrusted.Const("the app has no object in any cluster"),
				Remedy:  untrusted.New("add its manifests, or take the app out of " + federation.FileName),
			})
		}
	}
	found := all.Findings()
	slices.SortStableFunc(found, federation.Finding.Compare)
	return found
}

// empty reports whether an app was rendered but has no object in any cluster.
func empty(bundles []federation.Bundle) bool {
	return len(bundles) > 0 && !slices.ContainsFunc(bundles, func(b federation.Bundle) bool { return b.Err != nil || len(b.Objects) > 0 })
}

// bundleFindings reports the errors of an app, and an error that is the same in
// all of its clusters only once.
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
	errs := manifest.Flat([]error{b.Err})
	all := make([]federation.Finding, len(errs))
	for i, err := range errs {
		all[i] = federation.Finding{
			ID: federation.FindingRender, Severity: federation.SeverityError, Cluster: b.Cluster, App: b.App,
			Message: untrusted.New(err.Error()), Remedy: untrusted.Const("correct the files; until then the running objects are left unchanged"),
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
