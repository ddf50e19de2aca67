package render

import (
	"bytes"
	"path"
	"regexp"

	"github.com/fedsync/fedsync/pkg/federation"
)

// largeInteger matches integers in JSON from 16 digits up. A float64, of which JSON patches
// make every number, holds those up to 2^53, which has as many.
var largeInteger = regexp.MustCompile(`[:,\[](-?[0-9]{16,})`)

// rounded gives an error for each object that has an integer which nobody wrote: a JSON
// patch has rounded one. What is not rounded stands in a file as it is.
func (p *pass) rounded(t tree, objects []*federation.Object) []error {
	if !t.patchedByJSON() {
		return nil
	}
	var (
		errs  []error
		texts [][]byte // of the files that numbers may come from
	)
	for _, o := range objects {
		for _, found := range largeInteger.FindAllSubmatch(o.JSON, -1) {
			if texts == nil {
				texts = p.texts(t)
			}
			if !containsAny(texts, found[1]) {
				errs = append(errs, &Error{
					File: o.File, Field: o.Ref.String(),
					Reason: "a JSON patch rounds an integer of the object to " + string(found[1]) + ": it takes numbers for floating point, which ends at 2^53",
					Remedy: "change the object by a merge patch, or in the base",
				})
				break
			}
		}
	}
	return errs
}

func (t tree) patchedByJSON() bool {
	for _, k := range t {
		if k.jsonPatches {
			return true
		}
	}
	return false
}

// texts are the files of a tree in which objects and patches stand.
func (p *pass) texts(t tree) [][]byte {
	var all [][]byte
	seen := map[string]bool{}
	read := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		if text, err := p.files.read(name); err == nil {
			all = append(all, text)
		}
	}
	for _, k := range t {
		read(k.file)
		for _, d := range k.declared {
			read(d.file)
		}
		merge, jsonPatches := k.olderPatches()
		for _, patch := range append(jsonPatches, k.Patches...) {
			read(path.Join(k.dir, patch.Path))
		}
		for _, patch := range merge {
			read(path.Join(k.dir, string(patch)))
		}
	}
	return all
}

func containsAny(texts [][]byte, word []byte) bool {
	for _, text := range texts {
		if bytes.Contains(text, word) {
			return true
		}
	}
	return false
}
