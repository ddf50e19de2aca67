package fedfile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestStatusContextIsReadFromABrokenFile(t *testing.T) {
	all := func(string) bool { return true }
	cases := map[string]string{
		"metadata: {name: web}\nspec: {apps: 3}":                           "fedsync/web",
		"metadata: {name: web}\nspec: {commitStatus: {context: x}}":        "x",
		"metadata: {name: web}\nspec: {commitStatus: {context: \"x\\n\"}}": "fedsync/web",
		"metadata: {name: \"web\\e[31m\"}":                                 "fedsync",
		"spec: {cluster: []}":                                              "fedsync",
		"metadata: [":                                                      "fedsync",
		"metadata: {name: web}\nspec: {}\nspec: {}":                        "fedsync/web",
		"": "fedsync",
	}
	for file, want := range cases {
		if got := StatusContext("", []byte(file), all); got != want {
			t.Errorf("StatusContext(%q) = %q, want %q", file, got, want)
		}
	}
}

// The function must agree with the schema, which editors use.
func TestAStatusContextIsPrintableAndShort(t *testing.T) {
	long := strings.Repeat("x", 255)
	for context, want := range map[string]bool{
		"fedsync/web": true, "x": true, "ci / deploy (prod)": true, "~!": true, long: true,
		"": false, " x": false, "x ": false, "x\n": false, "\nx": false, "ci\x1b[31m": false, "a\tb": false, "a\x00b": false, "a\x7f": false,
		"a\u202eb": false, "a\u2028b": false, "a\u00a0b": false, "pr\u00fcfung": false, long + "x": false,
	} {
		if got := federation.ValidStatusContext(context); got != want {
			t.Errorf("ValidStatusContext(%q) = %t, want %t", context, got, want)
		}
		file := fmt.Sprintf("apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec:\n"+
			"  commitStatus: {context: %q}\n  clusters: [{name: a}]\n  apps: [{name: web, path: web}]\n", context)
		_, err := Parse("", []byte(file))
		if (err == nil) != want {
			t.Errorf("Parse with the context %q: %v, want an error: %t", context, err, !want)
		}
		if err != nil && !strings.Contains(err.Error(), "fedsync.yaml:5: spec.commitStatus.context: ") {
			t.Errorf("Parse with the context %q: %v, want line and field", context, err)
		}
	}
}
