package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// root is the root folder of the module.
const root = "../.."

func TestReferenceIsWhatTheCodeSays(t *testing.T) {
	file := filepath.Join(root, "docs", "reference", "fedsync.md")
	var got bytes.Buffer
	writeReference(&got, newRoot(nil))
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s does not match the code; run make generate (-want +got):\n%s", file, diff)
	}
}

// TestDocumentationNamesOnlyFlagsThatExist reads every `fedsync COMMAND … --flag`
// in the documentation, so that an example does not outlive its flag.
func TestDocumentationNamesOnlyFlagsThatExist(t *testing.T) {
	commands := map[string]*cobra.Command{}
	for _, cmd := range newRoot(nil).Commands() {
		cmd.InitDefaultHelpFlag()
		commands[cmd.Name()] = cmd
	}
	use := regexp.MustCompile("fedsync ([a-z]+)((?: |\\\\\n)[^`\n|]*(?:\\\\\n[^`\n|]*)*)")
	flag := regexp.MustCompile(`[ ]--([a-z][a-z-]*)`)
	seen := 0
	for _, file := range documents(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range use.FindAllStringSubmatch(string(data), -1) {
			cmd := commands[m[1]]
			if cmd == nil {
				continue // prose: "fedsync keeps …"
			}
			for _, f := range flag.FindAllStringSubmatch(m[2], -1) {
				seen++
				if cmd.Flags().Lookup(f[1]) == nil {
					t.Errorf("%s: `fedsync %s` has no flag --%s, but has it in %q", file, m[1], f[1], strings.TrimSpace(m[0]))
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no flag was found in the documentation: the expression that looks for them is wrong")
	}
}

// documents returns all Markdown files of the module.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
