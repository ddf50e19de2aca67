package kustomize

import (
	"encoding/json"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// largeDigits matches what may be an integer from 16 digits up. A float64, of which JSON
// patches make every number, holds those up to 2^53, which has as many.
var largeDigits = regexp.MustCompile(`[0-9]{16,}`)

// numbers matches what may be a large number in a file, in any notation of YAML.
var numbers = regexp.MustCompile(`0[xX][0-9a-fA-F_]{13,}|0[oO]?[0-7_]{17,}|0[bB][01_]{53,}|[0-9][0-9_]{15,}|[0-9][0-9_]*\.?[0-9_]*[eE]\+?[0-9]{1,3}`)

// spelt returns the digits of a number, as JSON has them, without its sign; empty for
// one that is no large integer.
func spelt(number string) string {
	digits := strings.ReplaceAll(number, "_", "")
	if n, err := strconv.ParseUint(digits, 0, 64); err == nil {
		return strconv.FormatUint(n, 10)
	}
	if f, err := strconv.ParseFloat(digits, 64); err == nil && f == math.Trunc(f) && f < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64) // as encoding/json writes it
	}
	return ""
}

// rounded gives an error for each object that has an integer which nobody wrote: a JSON
// patch has rounded one. What is not rounded stands in a file as it is.
func (r *Revision) rounded(t tree, objects []*federation.Object) []error {
	if !t.patchedByJSON() {
		return nil
	}
	var (
		errs    []error
		written map[string]bool // nil until it is needed
	)
	for _, o := range objects {
		if !largeDigits.Match(o.JSON) {
			continue
		}
		if written == nil {
			written = r.digits(t)
		}
		content, err := manifest.Content(o.JSON)
		if err != nil {
			errs = append(errs, &manifest.Error{File: o.File, Field: o.Ref.String(), Reason: plainText(err)})
			continue
		}
		if number := unwritten(content, written); number != "" {
			errs = append(errs, &manifest.Error{
				File: o.File, Field: o.Ref.String(),
				Reason: "a JSON patch rounds an integer of the object to " + number + ": it takes numbers for floating point, which ends at 2^53",
				Remedy: "change the object by a merge patch, or in the base",
			})
		}
	}
	return errs
}

// unwritten returns a large integer of a value, not of its strings, whose digits are
// written nowhere; empty for none.
func unwritten(value any, written map[string]bool) string {
	switch value := value.(type) {
	case json.Number:
		if digits := strings.TrimPrefix(value.String(), "-"); largeDigits.FindString(digits) == digits && !written[digits] {
			return value.String()
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if number := unwritten(value[name], written); number != "" {
				return number
			}
		}
	case []any:
		for _, one := range value {
			if number := unwritten(one, written); number != "" {
				return number
			}
		}
	}
	return ""
}

func (t tree) patchedByJSON() bool {
	for _, k := range t {
		if k.jsonPatches {
			return true
		}
	}
	return false
}

// digits are the large integers, in decimal and without their signs, of the files of a
// tree in which objects and patches stand.
func (r *Revision) digits(t tree) map[string]bool {
	all := map[string]bool{}
	seen := map[string]bool{}
	read := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		text, err := r.files.Read(name)
		if err != nil {
			return // it is no file, or the build says so
		}
		for _, digits := range largeDigits.FindAll(text, -1) {
			all[string(digits)] = true
		}
		for _, number := range numbers.FindAll(text, -1) {
			all[spelt(string(number))] = true
		}
	}
	for _, k := range t {
		read(k.file)
		for _, d := range k.declared {
			read(d.file)
		}
		merge, jsonPatches := k.olderPatches()
		for _, patch := range slices.Concat(jsonPatches, k.Patches) {
			read(path.Join(k.dir, patch.Path))
		}
		for _, patch := range merge {
			read(path.Join(k.dir, string(patch)))
		}
	}
	return all
}
