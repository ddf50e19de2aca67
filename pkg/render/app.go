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
)

// An app is one app's folder as it is laid out in a revision. There are two
// layouts: a flat folder, which every cluster runs alike, and base/ beside
// clusters/<cluster>/, where a cluster without an overlay runs base.
type app struct {
	federation.App
	flat     bool
	base     string              // the folder of the base; empty without one
	overlays map[string]struct{} // the clusters that have an overlay
	stray    []string            // files beside base/ and clusters/, which nobody reads
	err      error               // why nothing can be rendered
}

// The folders of the overlay layout.
const (
	baseFolder     = "base"
	overlaysFolder = "clusters"
)

// open looks at an app's folder.
func (p *pass) open(a federation.App) *app {
	out := &app{App: a, overlays: map[string]struct{}{}}
	entries, err := p.files.readDir(a.Path)
	if err != nil {
		out.err = &Error{File: a.Path, Reason: "the folder of app " + a.Name + " cannot be read: " + cause(err), Remedy: "add it, or correct spec.apps[].path in " + federation.FileName}
		return out
	}
	var hasBase, hasOverlays, hasKustomization bool
	for _, e := range entries {
		name := e.Name()
		folder := p.files.isFolder(a.Path, e)
		switch {
		case folder && name == baseFolder:
			hasBase = true
		case folder && name == overlaysFolder:
			hasOverlays = true
		case !folder && isKustomization(name):
			hasKustomization = true
		case !folder && isManifest(name):
			out.stray = append(out.stray, path.Join(a.Path, name))
		}
	}
	out.flat = hasKustomization || !hasBase && !hasOverlays
	if out.flat {
		out.stray = nil
		return out
	}
	if hasBase {
		out.base = path.Join(a.Path, baseFolder)
		if names, err := p.files.manifests(out.base); err == nil && len(names) > 0 && len(p.files.kustomizations(out.base)) == 0 {
			p.made[path.Join(out.base, madeFile)] = plainKustomization(names)
		}
	}
	if hasOverlays {
		overlays, err := p.files.readDir(path.Join(a.Path, overlaysFolder))
		if err != nil {
			out.err = &Error{File: path.Join(a.Path, overlaysFolder), Reason: "cannot be read: " + cause(err)}
		}
		for _, e := range overlays {
			if p.files.isFolder(path.Join(a.Path, overlaysFolder), e) {
				out.overlays[e.Name()] = struct{}{}
			}
		}
	}
	return out
}

// folder gives the folder that a cluster's objects are built from.
func (a *app) folder(cluster string) (string, error) {
	if a.err != nil {
		return "", a.err
	}
	if a.flat {
		return a.Path, nil
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

// strays reports what stands in the app's folder and reaches no cluster.
func (a *app) strays(f *federation.Federation) []federation.Finding {
	chosen := map[string]bool{} // by cluster: whether the app goes there
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
				ID: "D04", Severity: federation.SeverityError, App: a.Name, File: folder,
				Message: untrusted.Textf("overlay for cluster %q, which %s does not name", overlay, federation.FileName),
				Remedy:  untrusted.New("rename the folder, add the cluster, or delete the folder; the clusters are: " + limit.List(names, ", ")),
			})
		case !goes:
			all = append(all, federation.Finding{
				ID: "D04", Severity: federation.SeverityWarning, App: a.Name, File: folder,
				Message: untrusted.Textf("overlay for cluster %q, which the app's clusterSelector (%s) does not choose", overlay, a.Selector),
				Remedy:  untrusted.Const("change the selector or the cluster's labels, or delete the folder"),
			})
		}
	}
	for _, file := range a.stray {
		all = append(all, federation.Finding{
			ID: "render", Severity: federation.SeverityWarning, App: a.Name, File: file,
			Message: untrusted.Textf("not read: beside %s/ and %s/ only what is in them counts", baseFolder, overlaysFolder),
			Remedy:  untrusted.New("move it to " + path.Join(a.Path, baseFolder)),
		})
	}
	return all
}

func isKustomization(name string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), name)
}

// isManifest says whether a folder without a kustomization has objects in a file
// of this name.
func isManifest(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
		return !strings.HasPrefix(name, ".")
	}
	return false
}

// cause is an error without the path, which is said already.
func cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
