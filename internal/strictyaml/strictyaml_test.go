package strictyaml_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/strictyaml"
)

func TestDecodeReadsValuesAsKubernetesDoes(t *testing.T) {
	docs, err := strictyaml.Decode([]byte(`
# the first document is empty
---
a: 1
b: 0644
c: 1.5
d: "1"
e: on
f: true
g: 2001-01-01
h: ~
i: [x, {y: z}]
j: &anchor {k: v, l: w}
m: {<<: *anchor, k: own}
1: one
---
{"json": ["too", 2]}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []any{
		map[string]any{
			"a": int64(1), "b": int64(420), "c": 1.5, "d": "1", "e": "on", "f": true, "g": "2001-01-01", "h": nil,
			"i": []any{"x", map[string]any{"y": "z"}},
			"j": map[string]any{"k": "v", "l": "w"},
			"m": map[string]any{"k": "own", "l": "w"},
			"1": "one",
		},
		map[string]any{"json": []any{"too", int64(2)}},
	}
	var got []any
	for _, d := range docs {
		got = append(got, d.Value)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
	if got, want := docs[0].Line("i", "1", "y"), 12; got != want {
		t.Errorf("Line(i, 1, y) = %d, want %d", got, want)
	}
}

func TestDecodeNamesTheLineOfEachProblem(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		prev := string(rune('0' + i - 1))
		bomb += "a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.TrimSuffix(strings.Repeat("*a"+prev+", ", 10), ", ") + "]\n"
	}
	cases := []struct{ name, data, want string }{
		{"twice", "a: 1\nb: 2\na: 3\n", `line 3: key "a" appears twice, first on line 1`},
		{"all at once", "a: 1\na: 2\nb: .inf\n", "line 2: key \"a\" appears twice, first on line 1\nline 3: the value is not a number in JSON: quote it if it is a string"},
		{"syntax", "a: 1\nb: [\n", "not YAML"},
		{"key", "? [a]\n: b\n", "line 1: a key must be a string"},
		{"tag", "a: !secret b\n", "line 1: the value's tag is not supported: quote it if it is a string"},
		{"bomb", bomb, "unfolds to more than"},
		{"itself", "a: &a [*a]\n", "an alias contains itself"},
		{"two merges", "x: &x {one: 1}\ny: &y {two: 2}\nz:\n  <<: *x\n  a: b\n  <<: *y\n", `line 6: "<<" appears twice in a map: list everything to merge in one`},
		{"an anchor of another document", "a: &x 1\n---\na: &y 2\nb: [*y, *x]\n", "line 4: *x refers to an anchor in another document of the file: write the value in this one"},
		{"a merge of another document", "a: &x {b: c}\n---\nd:\n  <<: *x\n", "line 4: *x refers to an anchor in another document of the file: write the value in this one\nline 4: \"<<\" must name a map"},
		{"an anchor that two documents have", "--- &x {a: b}\n--- &x\nd: &y {e: f}\ng: *y\n", ""},
		{"too big", "a: 18446744073709551616000\n", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := strictyaml.Decode([]byte(c.data))
			if c.want == "" {
				if err != nil {
					t.Errorf("Decode = %v, want no error", err)
				}
				return
			}
			var found strictyaml.Problems
			if !errors.As(err, &found) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Decode = %v, want Problems with %q", err, c.want)
			}
		})
	}
}

func FuzzDecodeNeverPanics(f *testing.F) {
	f.Add([]byte("a: &a {b: *a}"))
	f.Add([]byte("a: &a [*a]\n---\n<<: 1"))
	f.Add([]byte("? {a: b}\n: !!binary x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, _ := strictyaml.Decode(data)
		for _, d := range docs {
			if d.Value == nil {
				t.Error("an empty document was returned")
			}
			d.Line("a", "0", "b")
		}
	})
}
