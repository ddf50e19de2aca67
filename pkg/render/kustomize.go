package render

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A product is what a kustomization comes to.
type product struct {
	objects []*federation.Object
	nulls   []bool // by object: something in it was null, before it was settled
	taken   int    // how many of them kustomize built or patched
	losses  []loss
}

func (p *product) add(o *federation.Object, null bool) {
	p.objects, p.nulls = append(p.objects, o), append(p.nulls, null)
}

// kustomize builds a folder with a kustomization, and gives its tree. The tree is
// judged first, so kustomize only sees what it may do.
func (p *pass) kustomize(dir string) (made product, t tree, err error) {
	// A panic in kustomize is a mistake of one app, and must not stop the others.
	defer func() {
		if r := recover(); r != nil {
			made, t, err = product{}, nil, &Error{File: dir, Reason: plainText(fmt.Errorf("kustomize failed: %v", r))}
		}
	}()
	t, err = p.grow(dir)
	if err != nil {
		return product{}, nil, err
	}
	if made, ok := p.patched(t); ok {
		made.losses = t.losses()
		return made, t, joinedOrNil(p.rounded(t, made.objects))
	}
	m, err := p.krusty(dir, p.made)
	if err != nil {
		if p.ctx.Err() != nil {
			return product{}, nil, p.ctx.Err()
		}
		if e, ok := errors.AsType[*Error](err); ok {
			e.File = t[0].file
			return product{}, nil, e
		}
		return product{}, nil, &Error{File: t[0].file, Reason: plainText(err)}
	}
	if made, err = p.productOf(m, t); err == nil {
		made.losses = t.losses()
		err = joinedOrNil(p.rounded(t, made.objects))
	}
	return made, t, err
}

// krusty runs kustomize's own build.
func (p *pass) krusty(dir string, made map[string][]byte) (resmap.ResMap, error) {
	fsys := newBuildFS(p.ctx, p.files, p.limits, made)
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, path.Join("/", dir))
	if stopped := fsys.stopped.Load(); stopped != nil {
		return nil, *stopped
	}
	return m, err
}

// productOf makes Objects of what kustomize built.
func (p *pass) productOf(m resmap.ResMap, t tree) (product, error) {
	made := product{taken: m.Size()}
	var errs []error
	for _, r := range m.Resources() {
		data, err := r.MarshalJSON()
		if err != nil {
			file := t.file(refOfID(r.CurId()))
			if e := p.unquotedKey(file); e != nil {
				return product{}, e
			}
			return product{}, &Error{
				File: file, Field: refOfID(r.CurId()).String(),
				Reason: "kustomize cannot encode the object: " + plainText(err),
				Remedy: "where a key is y, n, yes, no, on or off, kustomize takes it for true or false: use another",
			}
		}
		o, wrong := objectOf(data, t.file)
		if len(wrong) > 0 {
			errs = append(errs, wrong...)
			continue
		}
		made.add(o, bytes.Contains(data, null))
	}
	return made, joinedOrNil(errs)
}

// null stands in the JSON of every object in which something is null, and in that of a
// few others.
var null = []byte("null")

func refOfID(id resid.ResId) federation.ObjectRef {
	return federation.ObjectRef{Group: id.Group, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name}
}

// madeFile is the name of a kustomization file that is made up.
const madeFile = "kustomization.yaml"

// plainKustomization is the kustomization of a base that has none: it names the
// folder's manifests, so that overlays can build on plain files.
func plainKustomization(names []string) []byte {
	var b strings.Builder
	b.WriteString("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n")
	for _, name := range names {
		fmt.Fprintf(&b, "- %q\n", path.Base(name))
	}
	return []byte(b.String())
}
