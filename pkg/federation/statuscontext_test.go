package federation

import "testing"

func TestStatusContextIsReadFromABrokenFile(t *testing.T) {
	cases := map[string]string{
		"metadata: {name: web}\nspec: {apps: 3}":                    "fedsync/web",
		"metadata: {name: web}\nspec: {commitStatus: {context: x}}": "x",
		"spec: {cluster: []}":                                       "fedsync",
		"metadata: [":                                               "fedsync",
		"metadata: {name: web}\nspec: {}\nspec: {}":                 "fedsync/web",
		"": "fedsync",
	}
	for file, want := range cases {
		if got := StatusContext([]byte(file)); got != want {
			t.Errorf("StatusContext(%q) = %q, want %q", file, got, want)
		}
	}
}
