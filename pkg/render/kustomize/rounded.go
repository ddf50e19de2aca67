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

// largeDigits matches what may be an integer of 16 digits or more. JSON patches convert
// every number to a float64, which is exact up to 2^53, a number of 16 digits.
var largeDigits = regexp.MustCompile(`[0-9]{16,}`)

// numbers matches what may be a large number in a file, in any notation of YAML.
var numbers = regexp.MustCompile(`0[xX][0-9a-fA-F_]{13,}|0[oO]?[0-7_]{17,}|0[bB][01_]{53,}|[0-9][0-9_]{15,}|[0-9][0-9_]*\.?[0-9_]*[eE]\+?[0-9]{1,3}`)

// largeInteger returns the decimal digits of a number, without its sign; empty if it is not
// a large integer.
func largeInteger(number string) string {
	digits := strings.ReplaceAll(number, "_", "")
	if n, err := strconv.ParseUint(digits, 0, 64); err == nil {
		return strconv.FormatUint(n, 10)
	}
	if f, err := strconv.ParseFloat(digits, 64); err == nil && f == math.Trunc(f) && f < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64) // as encoding/json writes it
	}
	return ""
}

// rounded returns an error for each object with a large integer that is not in any file:
// a JSON patch has rounded it.
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
				Reason: "a JSON patch rounds an integer of the object to " + number + ": it treats numbers as floating point, which is exact only up to 2^53",
				Remedy: "change the object with a merge patch, or in the base",
			})
		}
	}
	return errs
}

// unwritten returns a large integer in a value, outside its strings, whose digits
// are not in written; empty for none.
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

// digits returns the large integers, in decimal and without signs, in a tree's files
// of objects and patches.
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
			return // not a file, or the build reports the error
		}
		for _, digits := range largeDigits.FindAll(text, -1) {
			all[string(digits)] = true
		}
		for _, number := range numbers.FindAll(text, -1) {
			all[largeInteger(string(number))] = true
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
