package kustomize

import "testing"

func TestRemoteEntriesAreRecognizedByTheirBeginning(t *testing.T) {
	for entry, want := range map[string]bool{
		"https://example.com/a":         true,
		"HTTP://example.com/a":          true,
		"http:example.com":              true,
		"git::https://example.com":      true,
		"GIT::github.com/a/b":           true,
		"github.com/a/b":                true,
		"GitHub.com:a/b":                true,
		"git@example.com:a/b":           true,
		"user-1@host/path":              true,
		"ssh://host/a":                  true,
		"file:///etc":                   true,
		"sub/https://x":                 true,
		"../base":                       false,
		"example.com/a":                 false,
		"deploy.yaml":                   false,
		"apps/a@b.yaml":                 false,
		"gitlab/deploy.yaml":            false,
		"kind: A\nurl: https://a.b/c@d": true, // as a path, but not as text
	} {
		if got := isRemote(entry); got != want {
			t.Errorf("isRemote(%q) = %t, want %t", entry, got, want)
		}
	}
	if isFetched("kind: A\nurl: https://a.b/c@d") {
		t.Error("text that contains a URL is treated as a URL")
	}
}
