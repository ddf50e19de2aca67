package forges_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/forges"
)

// The recipe in CONTRIBUTING.md has these steps; what the compiler and the linters do
// not hold of them is held here.
func TestEveryForgeFollowsTheRecipe(t *testing.T) {
	readme, webhooks := read(t, "../../README.md"), read(t, "../../docs/how-to/webhooks.md")
	for _, f := range forges.All() {
		if !runsSuite(t, f.Name) {
			t.Errorf("no test of pkg/status/%s calls statustest.Run", f.Name)
		}
		product, _, _ := strings.Cut(f.Title, ",")
		if rights, _, _ := strings.Cut(product, " "); !strings.Contains(readme, rights+": ") && !strings.Contains(readme, product+": ") {
			t.Errorf("the table of rights in README.md does not name %s", product)
		}
		if !strings.Contains(webhooks, "`"+f.Webhook+"`") {
			t.Errorf("docs/how-to/webhooks.md does not name %s of %s", f.Webhook, f.Name)
		}
	}
}

func TestEveryProviderIsAForge(t *testing.T) {
	folders, err := os.ReadDir("../status")
	if err != nil {
		t.Fatal(err)
	}
	providers := 0
	for _, folder := range folders {
		name := folder.Name()
		if name == "gitnotes" || !runsSuite(t, name) { // Git notes are on no forge
			continue
		}
		providers++
		if !slices.Contains(forges.Names(), name) {
			t.Errorf("pkg/status/%s is tested as a provider and has no row here", name)
		}
	}
	if providers != len(forges.All()) {
		t.Errorf("%d providers for %d forges", providers, len(forges.All()))
	}
}

// runsSuite reports whether a package below pkg/status runs the tests of all providers.
func runsSuite(t *testing.T, name string) bool {
	t.Helper()
	files, err := filepath.Glob("../status/" + name + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool { return strings.Contains(read(t, file), "statustest.Run(") })
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
