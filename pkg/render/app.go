package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// An app is the layout of one app's folder in a revision. There are two
// layouts: a flat folder, which is equal for every cluster, and base/ with
// clusters/<cluster>/, where a cluster without an overlay runs base.
type app struct {
	federation.App
	flat     bool
	base     string              // the folder of the base; empty without one
	overlays map[string]struct{} // the clusters that have an overlay
	broken   map[string]error    // by cluster: why an existing overlay cannot be read
	stray    []string            // files next to base/ and clusters/, which are not read
	err      error               // why nothing can be rendered
}

// The folders of the overlay layout.
const (
	baseFolder     = "base"
	overlaysFolder = "clusters"
)

// open reads the layout of an app's folder. Something other than a folder where the
// layout has one is a mistake: a cluster whose overlay cannot be read must not run base
// instead.
func (p *pass) open(a federation.App) *app {
	out := &app{App: a, overlays: map[string]struct{}{}, broken: map[string]error{}}
	entries, err := p.files.ReadDir(a.Path)
	if err != nil {
		out.err = p.unreadable(a, err)
		return out
	}
	var base, overlays fs.DirEntry
	hasKustomization := false
	for _, e := range entries {
		name := e.Name()
		folder := p.files.IsFolder(a.Path, e)
		switch {
		case name == baseFolder:
			base = e
		case name == overlaysFolder:
			overlays = e
		case !folder && isKustomization(name):
			hasKustomization = true
		case !folder && manifest.IsManifest(name):
			out.stray = append(out.stray, path.Join(a.Path, name))
		}
	}
	out.flat = hasKustomization || base == nil && overlays == nil
	if out.flat {
		out.stray = nil
		return out
	}
	if base != nil {
		out.err = p.openBase(out, base)
	}
	if overlays != nil && out.err == nil {
		out.err = p.openOverlays(out, overlays)
	}
	return out
}

func (p *pass) openBase(a *app, e fs.DirEntry) error {
	if err := p.files.FolderError(a.Path, e); err != nil {
		return err
	}
	a.base = path.Join(a.Path, baseFolder)
	if names, err := p.files.Plain(a.base); err == nil && len(names) > 0 && len(p.files.Kustomizations(a.base)) == 0 {
		for _, name := range names {
			if e := manifest.Misnamed(name); e != nil && !p.files.IsFile(name) {
				return e
			}
		}
		p.folders.GenerateKustomization(a.base, names)
	}
	return nil
}

func (p *pass) openOverlays(a *app, e fs.DirEntry) error {
	if err := p.files.FolderError(a.Path, e); err != nil {
		return err
	}
	folder := path.Join(a.Path, overlaysFolder)
	overlays, err := p.files.ReadDir(folder)
	if err != nil {
		return &Error{File: folder, Reason: "cannot be read: " + manifest.Cause(err)}
	}
	for _, e := range overlays {
		if err := p.files.FolderError(folder, e); err != nil {
			a.broken[e.Name()] = err
			if manifest.IsManifest(e.Name()) {
				a.stray = append(a.stray, path.Join(folder, e.Name()))
			}
			continue
		}
		a.overlays[e.Name()] = struct{}{}
	}
	return nil
}

// unreadable returns an error that explains why an app's folder cannot be read. It names
// what the folder is instead, or which parent is not a folder.
func (p *pass) unreadable(a federation.App, err error) error {
	wrong := &Error{File: a.Path, Reason: "the folder of app " + a.Name + " cannot be read: " + manifest.Cause(err), Remedy: "add it, or correct spec.apps[].path in " + federation.FileName}
	at := "."
	for step := range strings.SplitSeq(a.Path, "/") {
		entries, err := p.files.ReadDir(at)
		if err != nil {
			break
		}
		i := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return e.Name() == step })
		if i < 0 {
			break
		}
		if e, ok := errors.AsType[*Error](p.files.FolderError(at, entries[i])); ok {
			wrong.Reason, wrong.Remedy = fmt.Sprintf("the folder of app %s cannot be read: %s %s", a.Name, e.File, e.Reason), e.Remedy
			break
		}
		at = path.Join(at, step)
	}
	return wrong
}

// folder returns the folder that a cluster's objects are built from.
func (a *app) folder(cluster string) (string, error) {
	if a.err != nil {
		return "", a.err
	}
	if a.flat {
		return a.Path, nil
	}
	if err := a.broken[cluster]; err != nil {
		return "", err
	}
	if _, own := a.overlays[cluster]; own {
		return path.Join(a.Path, overlaysFolder, cluster), nil
	}
	if a.base == "" {
		return "", &Error{
			File:   path.Join(a.Path, overlaysFolder),
			Reason: fmt.Sprintf("cluster %s has no overlay, and there is no %s", cluster, path.Join(a.Path, baseFolder)),
			Remedy: fmt.Sprintf("add %s, or exclude the cluster with the app's clusterSelector", path.Join(a.Path, overlaysFolder, cluster)),
		}
	}
	return a.base, nil
}

// folders returns the folders that the app's objects are built from.
func (a *app) folders() []string {
	switch {
	case a.err != nil:
		return nil
	case a.flat:
		return []string{a.Path}
	}
	var all []string
	if a.base != "" {
		all = append(all, a.base)
	}
	for overlay := range a.overlays {
		all = append(all, path.Join(a.Path, overlaysFolder, overlay))
	}
	return all
}

// strays reports what is in the app's folder but used by no cluster.
func (a *app) strays(f *federation.Federation) []federation.Finding {
	chosen := map[string]bool{} // by cluster: whether the app runs there
	var names []string
	for _, c := range f.Clusters {
		chosen[c.Name] = a.Selector.Matches(c)
		names = append(names, c.Name)
	}
	var all []federation.Finding
	for overlay := range a.overlays {
		goes, known := chosen[overlay]
		folder := path.Join(a.Path, overlaysFolder, overlay)
		switch {
		case !known:
			all = append(all, federation.Finding{
				ID: federation.FindingClusterTwice, Severity: federation.SeverityError, App: a.Name, File: folder,
				Message: untrusted.Textf("overlay for cluster %q, which %s does not name", overlay, federation.FileName),
				Remedy:  untrusted.New("rename the folder, add the cluster, or delete the folder; the clusters are: " + limit.List(names, ", ")),
			})
		case !goes:
			all = append(all, federation.Finding{
				ID: federation.FindingClusterTwice, Severity: federation.SeverityWarning, App: a.Name, File: folder,
				Message: untrusted.Textf("overlay for cluster %q, which the app's clusterSelector (%s) does not select", overlay, a.Selector),
				Remedy:  untrusted.Const("change the selector or the cluster's labels, or delete the folder"),
			})
		}
	}
	for _, file := range a.stray {
		all = append(all, federation.Finding{
			ID: federation.FindingRender, Severity: federation.SeverityWarning, App: a.Name, File: file,
			Message: untrusted.Textf("not read: only %s/ and %s/<cluster>/ of the app's folder are read", baseFolder, overlaysFolder),
			Remedy:  untrusted.New("move it to " + path.Join(a.Path, baseFolder)),
		})
	}
	return all
}

// unread reports what in a folder of plain manifests looks like manifests but is not read:
// files with another extension, and folders.
func (p *pass) unread(app, dir string) []federation.Finding {
	if len(p.files.Kustomizations(dir)) > 0 {
		return nil
	}
	entries, err := p.files.ReadDir(dir)
	if err != nil {
		return nil // the build reports it
	}
	var names []string
	visited := 0 // the number of folders is up to committers
	for _, e := range entries {
		name := e.Name()
		folder := p.files.IsFolder(dir, e)
		switch {
		case folder && visited == maxSearched:
		case folder:
			visited++
			if p.hasManifests(path.Join(dir, name)) {
				names = append(names, name+"/")
			}
		case !folder && !manifest.IsManifest(name) && manifest.IsManifest(strings.ToLower(name)):
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []federation.Finding{{
		ID: federation.FindingRender, Severity: federation.SeverityWarning, App: app, File: dir,
		Message: untrusted.New("not read: " + limit.List(names, ", ") + "; without a kustomization, only files directly in the folder that end in .yaml, .yml or .json are read"),
		Remedy:  untrusted.Const("move or rename them, or add a kustomization.yaml that lists the manifests"),
	}}
}

// maxSearched is how many subfolders of a folder are searched for manifests that
// are not read.
const maxSearched = 100

func (p *pass) hasManifests(dir string) bool {
	entries, err := p.files.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return manifest.IsManifest(strings.ToLower(e.Name())) })
}

func isKustomization(name string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), name)
}
