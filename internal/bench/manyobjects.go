package main

import (
	"fmt"
	"slices"
	"strings"
)

// kustomization returns a kustomization with files as resources.
func kustomization(names []string) string {
	slices.Sort(names)
	return "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- " + strings.Join(names, "\n- ") + "\n"
}

// manyName is the name of the app with many objects, of its federation and of its
// namespace.
const manyName = "many"

// manyObjects returns n objects of realistic sizes: of ten, six are ConfigMaps of about
// 1 KB, three are Services and one is a ReplicaSet without replicas.
func manyObjects(n, round int) map[string]string {
	objects := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("web-%03d", i)
		head := func(apiVersion, kind string) string {
			return fmt.Sprintf(`apiVersion: %s
kind: %s
metadata:
  name: %s
  namespace: %s
  labels:
    app.kubernetes.io/name: web
    app.kubernetes.io/part-of: shop
    app: %[3]s
  annotations:
    %[5]s: "%[6]d"
`, apiVersion, kind, name, manyName, roundAnnotation, round)
		}
		var content string
		switch i % 10 {
		case 0:
			content = head("apps/v1", "ReplicaSet") + manyReplicaSet(name)
		case 1, 2, 3:
			content = head("v1", "Service") + fmt.Sprintf(`spec:
  selector:
    app: %s
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: metrics, port: 9090, targetPort: 9090}
`, name)
		default:
			content = head("v1", "ConfigMap") + manyConfig(i)
		}
		objects[name+".yaml"] = content
	}
	return objects
}

func manyReplicaSet(name string) string {
	return fmt.Sprintf(`spec:
  replicas: 0
  selector:
    matchLabels:
      app: %[1]s
  template:
    metadata:
      labels:
        app: %[1]s
    spec:
      containers:
      - name: web
        image: registry.example/shop/web:1.42.0
        ports:
        - {name: http, containerPort: 8080}
        - {name: metrics, containerPort: 9090}
        env:
        - {name: MODE, value: production}
        resources:
          requests: {cpu: 100m, memory: 64Mi}
          limits: {memory: 128Mi}
        readinessProbe:
          httpGet: {path: /healthz, port: http}
`, name)
}

// manyConfig returns about 1 KB of data, different for each object.
func manyConfig(i int) string {
	var b strings.Builder
	b.WriteString("data:\n  mode: production\n  server.yaml: |\n")
	for line := range 16 {
		fmt.Fprintf(&b, "    upstream-%02d: {host: shop-%03d-%02d.internal.example, port: 80%02d}\n", line, i, line, line)
	}
	return b.String()
}

// manyFiles returns the files of a repository with n objects. The overlay of each cluster
// patches one annotation of them.
func manyFiles(clusters []string, n, round int) map[string]string {
	files := map[string]string{"fedsync.yaml": federationFile(manyName, clusters)}
	addBase(files, manyObjects(n, round))
	for _, c := range clusters {
		files[overlayFile(c)] = manyOverlay(c)
	}
	return files
}

func manyOverlay(value string) string {
	return overlay(patch("apps/v1", "ReplicaSet", manyName, "web-000", placeAnnotation, value))
}
