package render

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/fedsync/fedsync/pkg/federation"
)

// kustomize builds a folder with a kustomization, and gives its tree. The tree is
// judged first, so kustomize only sees what it may do.
// It returns how many objects kustomize built or patched.
func (p *pass) kustomize(dir string) (objects []*federation.Object, t tree, taken int, err error) {
	// A panic in kustomize is a mistake of one app, and must not stop the others.
	defer func() {
		if r := recover(); r != nil {
			objects, t, taken, err = nil, nil, 0, &Error{File: dir, Reason: plainText(fmt.Errorf("kustomize failed: %v", r))}
		}
	}()
	t, err = p.grow(dir)
	if err != nil {
		return nil, nil, 0, err
	}
	if objects, taken, ok := p.patched(t); ok {
		return objects, t, taken, nil
	}
	m, err := p.krusty(dir, p.made)
	if err != nil {
		if p.ctx.Err() != nil {
			return nil, nil, 0, p.ctx.Err()
		}
		if e, ok := errors.AsType[*Error](err); ok {
			e.File = t[0].file
			return nil, nil, 0, e
		}
		return nil, nil, 0, &Error{File: t[0].file, Reason: plainText(err)}
	}
	objects, err = objectsOf(m, t)
	return objects, t, m.Size(), err
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

// objectsOf makes Objects of what kustomize built.
func objectsOf(m resmap.ResMap, t tree) ([]*federation.Object, error) {
	objects := make([]*federation.Object, 0, m.Size())
	var errs []error
	for _, r := range m.Resources() {
		data, err := r.MarshalJSON()
		if err != nil {
			return nil, &Error{
				File: t.file(refOfID(r.CurId())), Field: refOfID(r.CurId()).String(),
				Reason: "kustomize cannot encode the object: " + plainText(err),
				Remedy: "where a key is y, n, yes, no, on or off, kustomize takes it for true or false: use another",
			}
		}
		o, wrong := objectOf(data, t.file)
		if len(wrong) > 0 {
			errs = append(errs, wrong...)
			continue
		}
		objects = append(objects, o)
	}
	return objects, joinedOrNil(errs)
}

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
