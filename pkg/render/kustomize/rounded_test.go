package kustomize

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestAnIntegerThatAJSONPatchRoundsIsAMistake(t *testing.T) {
	const object = "apiVersion: example.com/v1\nkind: Number\nmetadata: {name: n, annotations: {a: \"1234567890123456789\"}}\nspec: {n: NUMBER, list: [1, 2]}\n"
	const merge = "patches:\n- patch: |\n    apiVersion: example.com/v1\n    kind: Number\n    metadata: {name: n}\n    spec: {m: 1}\n"
	const byJSON = "patches:\n- target: {kind: Number}\n  patch: |\n    - {op: add, path: /spec/m, value: VALUE}\n"
	for name, c := range map[string]struct {
		number, patch string
		rounds        bool
	}{
		"a merge patch":                                {"9123456789012345678", merge, false},
		"the largest that floats hold":                 {"9007199254740991", strings.Replace(byJSON, "VALUE", "1", 1), false},
		"one that is round":                            {"9123456789012346000", strings.Replace(byJSON, "VALUE", "1", 1), false},
		"hexadecimal":                                  {"0x1FFFFFFFFFFFFFF0", strings.Replace(byJSON, "VALUE", "1", 1), true},
		"hexadecimal, and round":                       {"0xDE0B6B3A7640000", strings.Replace(byJSON, "VALUE", "1", 1), false},
		"hexadecimal that JSON would round":            {"0x4000000000000000", strings.Replace(byJSON, "VALUE", "1", 1), true},
		"hexadecimal of an object that is not patched": {"0x1FFFFFFFFFFFFFFF", strings.Replace(strings.Replace(byJSON, "VALUE", "1", 1), "kind: Number", "kind: Other", 1), false},
		"octal, and round":                             {"0o67405553164731000000", strings.Replace(byJSON, "VALUE", "1", 1), false},
		"octal of YAML 1.1":                            {"067405553164731000000", strings.Replace(byJSON, "VALUE", "1", 1), false},
		"binary, and round":                            {"0b110111100000101101101011001110100111011001000000000000000000", strings.Replace(byJSON, "VALUE", "1", 1), false},
		"with underscores":                             {"1_000_000_000_000_000_000", strings.Replace(byJSON, "VALUE", "1", 1), false},
		"with underscores, and too large":              {"9_007_199_254_740_993", strings.Replace(byJSON, "VALUE", "1", 1), true},
		"with a sign":                                  {"-0xde0b6b3a7640000", strings.Replace(byJSON, "VALUE", "1", 1), false},
		"a float":                                      {"1.5e18", strings.Replace(byJSON, "VALUE", "1", 1), false},
		"a float without a point":                      {"9e+18", strings.Replace(byJSON, "VALUE", "1", 1), false},
		"one of the object":                            {"9007199254740993", strings.Replace(byJSON, "VALUE", "1", 1), true},
		"a negative one":                               {"-9223372036854775807", strings.Replace(byJSON, "VALUE", "1", 1), true},
		"one of the patch":                             {"1", strings.Replace(byJSON, "VALUE", "9223372036854775807", 1), true},
		"one in a string is none":                      {"1", strings.Replace(byJSON, "VALUE", `"9223372036854775807"`, 1), false},
		"several, of which one would do":               {"9123456789012345678", strings.Replace(byJSON, "VALUE", "9123456789012345679", 1), true},
		"a patch of another kind's objects":            {"9123456789012345678", strings.Replace(strings.Replace(byJSON, "VALUE", "1", 1), "kind: Number", "kind: Other", 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			// Digits in a string are not a number, wherever the string comes
			// from.
			files := fstest.MapFS{
				"overlay/dashboard.json":     {Data: []byte(`{"id": 1,"from":1876543210987654321}`)},
				"base/kustomization.yaml":    {Data: []byte("resources: [n.yaml]\n")},
				"base/n.yaml":                {Data: []byte(strings.Replace(object, "NUMBER", c.number, 1))},
				"overlay/kustomization.yaml": {Data: []byte("resources: [../base]\nconfigMapGenerator: [{name: d, files: [dashboard.json]}]\n" + c.patch)},
			}
			_, _, err := built1(t.Context(), files, "overlay")
			if c.rounds != (err != nil && strings.Contains(err.Error(), "a JSON patch rounds")) || !c.rounds && err != nil {
				t.Errorf("rounds: %t, got %v", c.rounds, err)
			}
		})
	}
}
