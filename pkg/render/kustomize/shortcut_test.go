package kustomize

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The shortcut can be removed by deleting a file and a line.
func TestWithoutTheShortcutThePackageBuilds(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("builder.go")
	if err != nil {
		t.Fatal(err)
	}
	var kept [][]byte
	for line := range bytes.Lines(source) {
		if !bytes.Contains(line, []byte("newQuick()")) {
			kept = append(kept, line)
		}
	}
	if deleted := bytes.Count(source, []byte("\n")) - len(kept); deleted != 1 {
		t.Fatalf("%d lines name the shortcut, want 1", deleted)
	}
	changed := filepath.Join(t.TempDir(), "builder.go")
	if err := os.WriteFile(changed, bytes.Join(kept, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(dir, "builder.go"): changed, filepath.Join(dir, "shortcut.go"): "",
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", file, ".").CombinedOutput(); err != nil {
		t.Errorf("go build: %v\n%s", err, out)
	}
}
