package render_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"testing"
	"testing/fstest"
	"time"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

// digested adds digests to files, as a Git tree has them: a folder's digest is
// known without reading it, and changes with anything below it.
type digested struct {
	fstest.MapFS
	digests map[string]string
}

func (d digested) Digest(name string) (string, error) {
	if s, ok := d.digests[name]; ok {
		return s, nil
	}
	return "", &fs.PathError{Op: "digest", Path: name, Err: fs.ErrNotExist}
}

func withDigests(files fstest.MapFS, changed map[string]string) digested {
	d := digested{MapFS: files, digests: map[string]string{".": "root"}}
	for name, f := range files {
		d.digests[name] = fmt.Sprintf("%x", sha256.Sum256(f.Data))
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			d.digests[dir] = dir
		}
	}
	maps.Copy(d.digests, changed)
	return d
}

// repository has one app, whose base has n objects. The overlay of each cluster
// patches one annotation.
func repository(clusters, n int) (fstest.MapFS, *federation.Federation) {
	files := fstest.MapFS{}
	f := &federation.Federation{Apps: []federation.App{{Name: "web", Path: "apps/web"}}}
	kustomization := "resources:\n"
	for i := range n {
		name := fmt.Sprintf("o%03d.yaml", i)
		kustomization += "- " + name + "\n"
		files["apps/web/base/"+name] = &fstest.MapFile{Data: []byte(object(i))}
	}
	files["apps/web/base/kustomization.yaml"] = &fstest.MapFile{Data: []byte(kustomization)}
	for i := range clusters {
		name := fmt.Sprintf("c%04d", i)
		f.Clusters = append(f.Clusters, federation.Cluster{Name: name, Context: name})
		files["apps/web/clusters/"+name+"/kustomization.yaml"] = &fstest.MapFile{Data: []byte(overlay(name))}
	}
	return files, f
}

func overlay(value string) string {
	return fmt.Sprintf(`resources:
- ../../base
patches:
- patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web-0
      namespace: web
      annotations:
        example.com/cluster: %s
`, value)
}

// object returns, in turn, a Deployment, a Service and a ConfigMap.
func object(i int) string {
	switch n := i / 3; i % 3 {
	case 0:
		return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-%[1]d
  namespace: web
  labels: {app: web-%[1]d}
spec:
  replicas: 3
  selector:
    matchLabels: {app: web-%[1]d}
  template:
    metadata:
      labels: {app: web-%[1]d}
    spec:
      containers:
      - name: nginx
        image: nginx:1.29
        ports:
        - {name: http, containerPort: 80}
        env:
        - {name: MODE, value: production}
        envFrom:
        - configMapRef: {name: config-%[1]d}
        resources:
          requests: {cpu: 100m, memory: 64Mi}
        readinessProbe:
          httpGet: {path: /healthz, port: http}
`, n)
	case 1:
		return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata:
  name: web-%[1]d
  namespace: web
spec:
  type: NodePort
  selector: {app: web-%[1]d}
  ports:
  - {name: http, port: 80, targetPort: http, nodePort: %[2]d}
`, n, 30000+n)
	default:
		return fmt.Sprintf(`apiVersion: v1
kind: ConfigMap
metadata:
  name: config-%[1]d
  namespace: web
data:
  mode: production
  config.yaml: |
    listen: :8080
    upstreams: [a, b, c]
`, n)
	}
}

// serially builds all overlays with kustomize, one after another.
func serially(tb testing.TB, files fstest.MapFS, f *federation.Federation) time.Duration {
	tb.Helper()
	fsys := filesys.MakeFsInMemory()
	for name, file := range files {
		if err := fsys.WriteFile("/"+name, file.Data); err != nil {
			tb.Fatal(err)
		}
	}
	kustomizer := krusty.MakeKustomizer(krusty.MakeDefaultOptions())
	started := time.Now()
	for _, c := range f.Clusters {
		m, err := kustomizer.Run(fsys, "/apps/web/clusters/"+c.Name)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := m.AsYaml(); err != nil {
			tb.Fatal(err)
		}
	}
	return time.Since(started)
}

func mustRender(tb testing.TB, r *render.Renderer, files fs.FS, f *federation.Federation) []federation.Bundle {
	tb.Helper()
	bundles, findings := r.Render(tb.Context(), federation.Snapshot{Files: files}, f, nil)
	if len(findings) > 0 {
		tb.Fatal(findings[0])
	}
	if got, want := len(bundles), len(f.Clusters)*len(f.Apps); got != want {
		tb.Fatalf("%d bundles, want %d", got, want)
	}
	return bundles
}

func BenchmarkRender13Clusters(b *testing.B) {
	for _, n := range []int{3, 30, 300} {
		b.Run(fmt.Sprintf("objects=%d", n), func(b *testing.B) {
			files, f := repository(13, n)
			snapshot := withDigests(files, nil)
			for b.Loop() {
				mustRender(b, render.New(render.Options{}), snapshot, f)
			}
		})
	}
}

// BenchmarkRender1000Overlays reports the time of a first rendering as a fraction
// of the time that kustomize takes for the same overlays, one after another, in
// this run.
func BenchmarkRender1000Overlays(b *testing.B) {
	files, f := repository(1000, 30)
	snapshot := withDigests(files, nil)
	mustRender(b, render.New(render.Options{}), snapshot, f) // both start with kustomize's schema parsed
	plain := serially(b, files, f)
	var total time.Duration
	runs := 0
	for b.Loop() {
		started := time.Now()
		mustRender(b, render.New(render.Options{}), snapshot, f)
		total += time.Since(started)
		runs++
	}
	b.ReportMetric(plain.Seconds()*1000, "krusty-ms")
	b.ReportMetric(total.Seconds()*1000/float64(runs), "render-ms")
	b.ReportMetric(total.Seconds()/float64(runs)/plain.Seconds(), "of-krusty")
}

// BenchmarkChangeOfOneOverlay changes one overlay of 1,000 and renders again.
func BenchmarkChangeOfOneOverlay(b *testing.B) {
	files, f := repository(1000, 30)
	r := render.New(render.Options{})
	mustRender(b, r, withDigests(files, nil), f)
	const changed = "apps/web/clusters/c0500"
	var snapshots []digested
	for i := range 2 {
		other := maps.Clone(files)
		other[changed+"/kustomization.yaml"] = &fstest.MapFile{Data: []byte(overlay(fmt.Sprintf("changed-%d", i)))}
		snapshots = append(snapshots, withDigests(other, nil))
	}
	i := 0
	for b.Loop() {
		i++
		s := snapshots[i%2]
		s.digests[changed] = fmt.Sprintf("revision %d", i)
		mustRender(b, r, s, f)
	}
}

// BenchmarkNothingChanged renders 1,000 overlays that were all rendered before.
func BenchmarkNothingChanged(b *testing.B) {
	files, f := repository(1000, 30)
	r := render.New(render.Options{})
	snapshot := withDigests(files, nil)
	mustRender(b, r, snapshot, f)
	for b.Loop() {
		mustRender(b, r, snapshot, f)
	}
}

// BenchmarkEveryObjectChanged renders overlays that annotate every object of a base,
// so that no cluster shares one with another.
func BenchmarkEveryObjectChanged(b *testing.B) {
	const clusters, objects = 50, 300
	files, f := repository(clusters, objects)
	for i, c := range f.Clusters {
		files["apps/web/clusters/"+c.Name+"/kustomization.yaml"] = &fstest.MapFile{
			Data: fmt.Appendf(nil, "resources: [../../base]\ncommonAnnotations: {example.com/cluster: c%d}\n", i),
		}
	}
	snapshot := withDigests(files, nil)
	for b.Loop() {
		mustRender(b, render.New(render.Options{Workers: 1}), snapshot, f)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/(clusters*objects), "µs/object")
}

// BenchmarkAnnotatedOverlays renders a new node port for 13 clusters whose overlays
// only add annotations.
func BenchmarkAnnotatedOverlays(b *testing.B) {
	files := fstest.MapFS{
		"web/base/kustomization.yaml": {Data: []byte("resources: [i.yaml, s.yaml, r.yaml]\n")},
		"web/base/i.yaml":             {Data: []byte("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}}")},
		"web/base/r.yaml":             {Data: []byte("{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b}]}}}}")},
		"web/base/s.yaml":             {},
	}
	f := &federation.Federation{Apps: []federation.App{{Name: "web", Path: "web"}}}
	for i := range 13 {
		name := fmt.Sprintf("c%02d", i)
		f.Clusters = append(f.Clusters, federation.Cluster{Name: name})
		files["web/clusters/"+name+"/kustomization.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, "resources: [../../base]\ncommonAnnotations: {cluster: %s}\n", name)}
	}
	r := render.New(render.Options{Workers: 1})
	for i := 0; b.Loop(); i++ {
		files["web/base/s.yaml"].Data = fmt.Appendf(nil, "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: NodePort, ports: [{port: 80, nodePort: %d}]}}", 30000+i)
		if bundles, _ := r.Render(b.Context(), federation.Snapshot{Files: files}, f, nil); bundles[0].Err != nil {
			b.Fatal(bundles[0].Err)
		}
	}
}
