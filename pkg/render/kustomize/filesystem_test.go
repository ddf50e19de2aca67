package kustomize

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/pkg/render/manifest"
)

func TestKustomizeCannotWrite(t *testing.T) {
	b := newBuildFS(t.Context(), manifest.NewFiles(fstest.MapFS{"a/b.yaml": {Data: []byte("x")}}, 100), Limits{}.WithDefaults(), map[string][]byte{"a/made.yaml": []byte("y")})
	_, open := b.Open("/a/b.yaml")
	_, create := b.Create("/a/c")
	for name, err := range map[string]error{
		"Open": open, "Create": create, "Mkdir": b.Mkdir("/c"), "MkdirAll": b.MkdirAll("/c/d"),
		"RemoveAll": b.RemoveAll("/a"), "WriteFile": b.WriteFile("/a/b.yaml", nil),
	} {
		if !errors.Is(err, errReadOnly) {
			t.Errorf("%s = %v, want %v", name, err, errReadOnly)
		}
	}
	for name, want := range map[string]string{"/a/b.yaml": "x", "/a/made.yaml": "y", "/../../a/b.yaml": "x"} {
		if got, err := b.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("ReadFile(%s) = %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := b.ReadFile("/etc/passwd"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile of a file outside the repository = %v, want %v", err, fs.ErrNotExist)
	}
	if dir, file, err := b.CleanedAbs("/a/made.yaml"); err != nil || dir != "/a" || file != "made.yaml" {
		t.Errorf("CleanedAbs = %q, %q, %v", dir, file, err)
	}
}
