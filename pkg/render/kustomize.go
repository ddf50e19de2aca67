package render

import (
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"

	"github.com/fedsync/fedsync/pkg/federation"
)

// kustomize builds a folder with a kustomization, and gives its tree. The tree is
// judged first, so kustomize only sees what it may do.
func (p *pass) kustomize(dir string) ([]*federation.Object, tree, error) {
	t, err := p.grow(dir)
	if err != nil {
		return nil, nil, err
	}
	if objects, ok := p.patched(t); ok {
		return objects, t, nil
	}
	m, err := p.krusty(dir, p.made)
	if err != nil {
		return nil, nil, &Error{File: t[0].file, Reason: plainText(err)}
	}
	objects, err := objectsOf(m, t)
	return objects, t, err
}

// krusty runs kustomize's own build.
func (p *pass) krusty(dir string, made map[string][]byte) (m resmap.ResMap, err error) {
	// A panic in kustomize is a mistake of one app, and must not stop the others.
	defer func() {
		if r := recover(); r != nil {
			m, err = nil, fmt.Errorf("kustomize failed: %v", r)
		}
	}()
	fsys := newBuildFS(p.ctx, p.files, p.limits, made)
	return krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, path.Join("/", dir))
}

// objectsOf makes Objects of what kustomize built.
func objectsOf(m resmap.ResMap, t tree) ([]*federation.Object, error) {
	objects := make([]*federation.Object, 0, m.Size())
	var errs []error
	for _, r := range m.Resources() {
		data, err := r.MarshalJSON()
		if err != nil {
			return nil, &Error{File: t[0].file, Reason: fmt.Sprintf("encode %s: %s", r.CurId(), plainText(err))}
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
