package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheOverviewMatchesTheCatalogue(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	got, err := rewrite(string(page))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(page), got); diff != "" {
		t.Errorf("docs/doctor.md is not what the catalogue says; run make generate (-want +got):\n%s", diff)
	}
}

func TestRewriteRefusesAPage(t *testing.T) {
	for page, want := range map[string]string{
		"":          "no line",
		begin:       "no line",
		begin + end: "no section names",
	} {
		if _, err := rewrite(page); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rewrite(%q) = %v, want %q", page, err, want)
		}
	}
}

func TestAnIDLeadsToItsSection(t *testing.T) {
	page := "## First, of two\n| `a`, `b` | E | of `c` |\n### `c` It's wrong\n## Second\n| `a` | W | |\n| `c` | W | |\n"
	want := map[string]string{"a": "first-of-two", "b": "first-of-two", "c": "c-its-wrong"}
	if diff := cmp.Diff(want, sectionsOf(page)); diff != "" {
		t.Error(diff)
	}
}
