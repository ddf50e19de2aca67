package kustomize

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// kustomize builds a folder with a kustomization, and returns its tree. The tree
// is checked first, so that kustomize runs only on permitted input.
func (r *Revision) kustomize(dir string) (made Product, t tree, err error) {
	// A panic in kustomize is a mistake of one app, and must not stop the others.
	defer func() {
		if cause := recover(); cause != nil {
			made, t, err = Product{}, nil, &manifest.Error{File: dir, Reason: plainText(fmt.Errorf("kustomize failed: %v", cause))}
		}
	}()
	t, err = r.grow(dir)
	if err != nil {
		return Product{}, nil, err
	}
	made, quick := Product{}, false
	if r.b.quick != nil {
		made, quick = r.b.quick.build(r, t)
	}
	if !quick {
		m, err := r.krusty(dir, r.made)
		if err != nil {
			return Product{}, nil, r.failed(t, err)
		}
		if made, err = r.productOf(m, t); err != nil {
			return made, t, err
		}
	}
	made.Losses = t.losses()
	return made, t, manifest.JoinOrNil(r.rounded(t, made.Objects))
}

// failed returns the error of a build, with its file.
func (r *Revision) failed(t tree, err error) error {
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if e, ok := errors.AsType[*manifest.Error](err); ok {
		e.File = t[0].file
		return e
	}
	return &manifest.Error{File: t[0].file, Reason: plainText(err)}
}

// krusty runs kustomize's own build.
func (r *Revision) krusty(dir string, made map[string][]byte) (resmap.ResMap, error) {
	fsys := newBuildFS(r.ctx, r.files, r.b.limits, made)
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, path.Join("/", dir))
	if stopped := fsys.stopped.Load(); stopped != nil {
		return nil, *stopped
	}
	return m, err
}

// productOf converts what kustomize built to Objects.
func (r *Revision) productOf(m resmap.ResMap, t tree) (Product, error) {
	made := Product{Taken: m.Size()}
	var errs []error
	for _, built := range m.Resources() {
		data, err := built.MarshalJSON()
		if err != nil {
			file := t.file(refOfID(built.CurId()))
			if e := r.unquotedKey(file); e != nil {
				return Product{}, e
			}
			return Product{}, &manifest.Error{
				File: file, Field: refOfID(built.CurId()).String(),
				Reason: "kustomize cannot encode the object: " + plainText(err),
				Remedy: "if a key is y, n, yes, no, on or off, use another: kustomize reads it as true or false",
			}
		}
		content, err := manifest.Content(data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		o, wrong := manifest.Object(content, t.file)
		if len(wrong) > 0 {
			errs = append(errs, wrong...)
			continue
		}
		made.add(o, manifest.MayHaveNull(data))
	}
	return made, manifest.JoinOrNil(errs)
}

func refOfID(id resid.ResId) federation.ObjectRef {
	return federation.ObjectRef{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
}

// madeIn returns the name of the generated kustomization file of a folder.
func madeIn(dir string) string { return path.Join(dir, "kustomization.yaml") }

// plainKustomization generates a kustomization for a base that has none: it
// names the folder's manifests, so that overlays can build on plain files.
func plainKustomization(names []string) []byte {
	var b strings.Builder
	b.WriteString("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n")
	for _, name := range names {
		fmt.Fprintf(&b, "- %q\n", path.Base(name))
	}
	return []byte(b.String())
}
