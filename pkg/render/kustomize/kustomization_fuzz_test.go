package kustomize

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
)

// FuzzKustomizationsReachNothing builds an app with an arbitrary kustomization and
// an arbitrary file next to it. The build never panics, opens no connection, runs
// no git, and reads nothing outside the repository.
func FuzzKustomizationsReachNothing(f *testing.F) {
	for _, seed := range [][2]string{
		{"resources: [a.yaml, base]\nnamePrefix: x-\n", "[]"},
		{"resources: [http://127.0.0.1:1/x]\nbases: [\"git@127.0.0.1:a/b\"]\n", ""},
		{"resources: [a.yaml]\npatches: [{path: other.yaml, target: {kind: ConfigMap}}]\n", "- {op: add, path: /data/x, value: y}\n"},
		{"generators: [base, other.yaml]\n", "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: x}\nfiles: [\"k=http://127.0.0.1:1/\"]\n"},
		{"generators: [plugins]\n", "- {op: replace, path: /files/0, value: \"k=http://127.0.0.1:1/\"}\n"},
		{"transformers: [plugins]\nresources: [a.yaml]\n", "- {op: add, path: /metadata/annotations, value: {config.kubernetes.io/function: \"exec: {path: ./x}\"}}\n"},
		{"resources: [a.yaml]\nreplacements: [{path: other.yaml}]\n", "source: {kind: ConfigMap, fieldPath: data}\ntargets: [{select: {kind: ConfigMap}, fieldPaths: [data.k], options: {create: true}}]\n"},
		{"configMapGenerator: [{name: x, files: [../../../etc/passwd], envs: [other.yaml], literals: [a=b]}]\n", "a=b\n"},
		{"helmCharts: [{name: x}]\nopenapi: {path: other.yaml}\ncrds: [other.yaml]\nconfigurations: [other.yaml]\n", "{}"},
		{"components: [base]\nlabels: [{pairs: {a: b}, includeSelectors: true}]\nimages: [{name: x, newTag: y}]\nvars: [{name: V, objref: {kind: ConfigMap, name: a, apiVersion: v1}}]\n", ""},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	dialed, ran := forbid(f)
	f.Fuzz(func(t *testing.T, kustomization, other []byte) {
		if len(kustomization)+len(other) > 1500 {
			return // long input may take resources that only a separate process can limit
		}
		files := &watchedFS{FS: fuzzedApp(kustomization, other)}
		made, err := buildAlone(t.Context(), files, "apps/a")
		if err != nil && len(made.Objects) > 0 {
			t.Errorf("%d objects and the error %v", len(made.Objects), err)
		}
		if address := dialed.Swap(nil); address != nil {
			t.Errorf("%s was called", *address)
		}
		if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal("git was run")
		}
		if name := files.outside.Load(); name != nil {
			t.Errorf("%q was requested", *name)
		}
	})
}

// fuzzedApp returns an app with a kustomization, files that it can name, and a
// folder whose plugins the other file patches.
func fuzzedApp(kustomization, other []byte) fstest.MapFS {
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n"
	file := func(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }
	return fstest.MapFS{
		"apps/a/kustomization.yaml":         {Data: kustomization},
		"apps/a/other.yaml":                 {Data: other},
		"apps/a/a.yaml":                     file(object),
		"apps/a/base/kustomization.yaml":    file("resources: [b.yaml]\n"),
		"apps/a/base/b.yaml":                file(strings.Replace(object, "name: a", "name: b", 1)),
		"apps/a/plugins/kustomization.yaml": file("resources: [plugin.yaml]\npatches: [{path: other.yaml, target: {kind: ConfigMapGenerator}}]\n"),
		"apps/a/plugins/plugin.yaml":        file("apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: p}\nfiles: [other.yaml]\n"),
		"apps/a/plugins/other.yaml":         {Data: other},
		"secret.yaml":                       file("outside of the app\n"),
	}
}

// forbid refuses and records each HTTP request of this process. The only
// program in its PATH is a git that creates the file ran.
func forbid(f *testing.F) (dialed *atomic.Pointer[string], ran string) {
	dialed = &atomic.Pointer[string]{}
	before := http.DefaultTransport
	http.DefaultTransport = refusing(func(r *http.Request) {
		address := r.URL.String()
		dialed.Store(&address)
	})
	f.Cleanup(func() { http.DefaultTransport = before })
	dir := f.TempDir()
	ran = filepath.Join(dir, "ran")
	if err := os.WriteFile(filepath.Join(dir, "git"), []byte("#!/bin/sh\n: > "+ran+"\n"), 0o755); err != nil { //nolint:gosec // A program.
		f.Fatal(err)
	}
	f.Setenv("PATH", dir)
	return dialed, ran
}

// refusing is a transport that refuses each request.
type refusing func(*http.Request)

func (r refusing) RoundTrip(request *http.Request) (*http.Response, error) {
	r(request)
	return nil, errors.New("refused")
}

// watchedFS records names that lead out of the repository.
type watchedFS struct {
	fs.FS

	outside atomic.Pointer[string]
}

func (w *watchedFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) || !strings.HasPrefix(name, "apps/a") && name != "." && name != "apps" {
		if _, err := fs.Stat(w.FS, name); err == nil || !fs.ValidPath(name) {
			w.outside.Store(&name)
		}
	}
	return w.FS.Open(name)
}
