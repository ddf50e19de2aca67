package render

import (
	"fmt"

	"github.com/fedsync/fedsync/pkg/federation"
)

// plain builds a folder without a kustomization: the objects of its YAML and JSON
// files, in lexical order of the files; folders in it are not read. A scalar
// means what it means to kustomize: an unquoted "on" is a string.
func (p *pass) plain(dir string) ([]*federation.Object, error) {
	names, err := p.files.manifests(dir)
	if err != nil {
		return nil, &Error{File: dir, Reason: cause(err)}
	}
	var (
		objects []*federation.Object
		errs    []error
		total   int64
	)
	for _, name := range names {
		if len(errs) > 0 && p.tally.blamed() {
			break // what is wrong is wrong
		}
		data, err := p.files.read(name)
		if e := misnamed(name); e != nil && err != nil {
			errs = append(errs, e)
			continue
		}
		if err != nil {
			errs = append(errs, &Error{File: name, Reason: cause(err)})
			continue
		}
		if total += int64(len(data)); total > p.limits.Bytes {
			return nil, &Error{File: name, Exceeds: true, Reason: fmt.Sprintf("with this file the app's folder has more than %d bytes", p.limits.Bytes)}
		}
		manifests, err := p.files.manifestsIn(name, data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, m := range manifests {
			if e := m.stray(); e != nil {
				errs = append(errs, e)
				continue
			}
			if found := check(m.content); len(found) > 0 {
				for _, one := range found {
					e := m.problem(one.field(), one.reason, one.path...)
					e.Remedy = one.remedy
					errs = append(errs, e)
				}
				continue
			}
			o, err := newObject(m.content, name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			objects = append(objects, o)
		}
		if len(objects) > p.limits.Objects {
			return nil, &Error{File: name, Exceeds: true, Reason: fmt.Sprintf("with this file the app has more than %d objects", p.limits.Objects)}
		}
	}
	if len(errs) > 0 {
		return nil, joined(errs)
	}
	return objects, nil
}
