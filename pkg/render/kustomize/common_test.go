package kustomize

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// workloads has an object of each kind that kustomize's defaults name, in more than
// one group and version, and of other kinds.
func workloads() string {
	pod := "containers: [{name: a, image: nginx:1}], initContainers: [{name: b, image: 'nginx@sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3'}], volumes: [{name: v, image: {reference: nginx}}]"
	var b strings.Builder
	add := func(apiVersion, kind, spec string) {
		for _, metadata := range []string{"", ", annotations: {a: b, cluster: old}", ", labels: {a: b}, annotations: {}"} {
			fmt.Fprintf(&b, "---\n{apiVersion: %s, kind: %s, metadata: {name: %s%d%s}, spec: {%s}}\n", apiVersion, kind, strings.ToLower(kind), b.Len(), metadata, spec)
		}
	}
	for _, kind := range []string{"Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"} {
		add("apps/v1", kind, "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {"+pod+"}}")
		add("example.com/v1", kind, "replicas: 3, template: {spec: {"+pod+"}}")
	}
	for _, group := range []string{"batch", "example.com"} {
		add(group+"/v1", "Job", "template: {spec: {"+pod+"}}")
		add(group+"/v1", "CronJob", "jobTemplate: {spec: {template: {metadata: {annotations: {x: y}}, spec: {"+pod+"}}}}")
	}
	add("v1", "ReplicationController", "template: {spec: {"+pod+"}}")
	add("v2", "ReplicationController", "template: {spec: {"+pod+"}}")
	add("v1", "Pod", pod)
	add("v1", "Service", "ports: [{port: 80}]")
	add("networking.k8s.io/v1", "Ingress", "defaultBackend: {service: {name: a, port: {number: 80}}}")
	add("example.com/v1", "Thing", "image: nginx, containers: [{image: nginx}], deep: {containers: [{image: nginx}]}")
	b.WriteString("---\n{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web}, spec: {template: {spec: {" + pod + "}}}}\n")
	b.WriteString("---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {image: nginx}}\n")
	return b.String()
}

// What an overlay adds to all objects is the same as with kustomize, but without
// its full build.
func TestAdditionsToAllObjectsEqualKustomize(t *testing.T) {
	parts := []string{
		"commonAnnotations: {cluster: c1, \"yes\": \"on\", number: \"7\"}\n",
		"labels: [{pairs: {cluster: c1}}, {pairs: {a: c, tier: \"1\"}}]\n",
		"replicas: [{name: web, count: 9}]\n",
		"images: [{name: nginx, newName: mirror.example.com/nginx, newTag: v2}, {name: mirror.example.com/nginx, digest: 'sha256:34a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3'}]\n",
		"patches: [{patch: '{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web, annotations: {cluster: patched}}, spec: {replicas: 2}}'}, {target: {kind: Service}, patch: '[{\"op\": \"add\", \"path\": \"/spec/type\", \"value\": \"NodePort\"}]'}]\n",
	}
	for chosen := range 1 << len(parts) {
		overlay := "resources: [../base]\n"
		for i, part := range parts {
			if chosen&(1<<i) != 0 {
				overlay += part
			}
		}
		files := fstest.MapFS{
			"base/all.yaml":              {Data: []byte(workloads())},
			"base/kustomization.yaml":    {Data: []byte("resources: [all.yaml]\n")},
			"overlay/kustomization.yaml": {Data: []byte(overlay)},
		}
		want, err := kustomizeItself(files, "overlay")
		if err != nil {
			t.Fatalf("kustomize cannot build %s: %v", overlay, err)
		}
		got, quick, err := built1(t.Context(), files, "overlay")
		if err != nil || !quick {
			t.Errorf("%s: %v, built without a full build: %t", overlay, err, quick)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-kustomize +render):\n%s", overlay, diff)
		}
	}
}

// Changes of selectors or pods take a full build, and so do mistakes.
func TestOtherChangesTakeAFullBuild(t *testing.T) {
	for _, overlay := range []string{
		"labels: [{pairs: {a: b}, includeSelectors: true}]\n",
		"labels: [{pairs: {a: b}, includeTemplates: true}]\n",
		"labels: [{pairs: {a: b}, fields: [{path: spec/labels, create: true}]}]\n",
		"commonLabels: {a: b}\n",
		"replicas: [{name: missing, count: 9}]\n",
	} {
		files := fstest.MapFS{
			"base/all.yaml":              {Data: []byte(workloads())},
			"base/kustomization.yaml":    {Data: []byte("resources: [all.yaml]\n")},
			"overlay/kustomization.yaml": {Data: []byte("resources: [../base]\n" + overlay)},
		}
		want, wantErr := kustomizeItself(files, "overlay")
		got, quick, err := built1(t.Context(), files, "overlay")
		if quick || (err == nil) != (wantErr == nil) || err == nil && want != got {
			t.Errorf("%s: quick %t, error %v, kustomize's %v", overlay, quick, err, wantErr)
		}
	}
}
