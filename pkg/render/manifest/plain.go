package manifest

import (
	"fmt"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Objects builds a folder without a kustomization: it returns the objects of its YAML and
// JSON files, in lexical order of the files. Subfolders are not read. A scalar means what
// it means to kustomize: an unquoted "on" is a string. After a mistake it reads no further
// file if enough reports that the revision has enough mistakes.
func (f *Files) Objects(dir string, bytes int64, most int, enough func() bool) ([]*federation.Object, error) {
	names, err := f.Plain(dir)
	if err != nil {
		return nil, &Error{File: dir, Reason: Cause(err)}
	}
	var (
		objects []*federation.Object
		errs    []error
		total   int64
	)
	for _, name := range names {
		if len(errs) > 0 && enough() {
			break // more mistakes need not be found
		}
		data, err := f.Read(name)
		if e := Misnamed(name); e != nil && err != nil {
			errs = append(errs, e)
			continue
		}
		if err != nil {
			errs = append(errs, &Error{File: name, Reason: Cause(err)})
			continue
		}
		if total += int64(len(data)); total > bytes {
			return nil, &Error{File: name, Exceeds: true, Reason: fmt.Sprintf("with this file, the app's folder has more than %d bytes", bytes)}
		}
		manifests, err := f.Parse(name, data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, m := range manifests {
			if e := m.Stray(); e != nil {
				errs = append(errs, e)
				continue
			}
			if found := check(m.Content); len(found) > 0 {
				for _, one := range found {
					e := m.problem(one.field(), one.reason, one.path...)
					e.Remedy = one.remedy
					errs = append(errs, e)
				}
				continue
			}
			o, err := newObject(m.Content, name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			objects = append(objects, o)
		}
		if len(objects) > most {
			return nil, &Error{File: name, Exceeds: true, Reason: fmt.Sprintf("with this file, the app has more than %d objects", most)}
		}
	}
	if len(errs) > 0 {
		return nil, Join(errs)
	}
	return objects, nil
}
