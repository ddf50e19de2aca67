package main

import (
	"fmt"
	"path"
	"strings"
)

// Annotations that change in every push: roundAnnotation by the base,
// placeAnnotation by each cluster's overlay.
const (
	roundAnnotation = "bench.fedsync.dev/round"
	placeAnnotation = "bench.fedsync.dev/place"
)

// guideReplicas is how many replicas of the guide's ReplicaSet each cluster runs while
// all clusters are up.
const guideReplicas = 2

// guideObjects returns the three objects of the Federated Ingress guide, by file. For
// fedsync, the replicas are the total of all clusters, which it divides. The floor applies
// the same objects under another name and port, with each cluster's share of the replicas.
func guideObjects(name string, nodePort, replicas, round int) map[string]string {
	return map[string]string{
		"ingress.yaml": fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: %[1]s
  namespace: default
  labels:
    app: %[1]s
    tier: web
  annotations:
    kubernetes.io/ingress.class: gce
    kubernetes.io/ingress.global-static-ip-name: %[1]s
    %[2]s: "%[3]d"
spec:
  defaultBackend:
    service:
      name: %[1]s
      port:
        number: 80
`, name, roundAnnotation, round),
		"service.yaml": fmt.Sprintf(`apiVersion: v1
kind: Service
metadata:
  name: %[1]s
  namespace: default
  labels:
    app: %[1]s
    tier: web
  annotations:
    %[3]s: "%[4]d"
spec:
  type: NodePort
  sessionAffinity: None
  selector:
    app: %[1]s
  ports:
  - name: http
    port: 80
    targetPort: 80
    nodePort: %[2]d
`, name, nodePort, roundAnnotation, round),
		"replicaset.yaml": fmt.Sprintf(`apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: %[1]s
  namespace: default
  labels:
    app: %[1]s
    tier: web
  annotations:
    %[2]s: "%[3]d"
spec:
  replicas: %[4]d
  selector:
    matchLabels:
      app: %[1]s
  template:
    metadata:
      labels:
        app: %[1]s
    spec:
      containers:
      - name: nginx
        image: nginx:1.29
        ports:
        - containerPort: 80
        resources:
          requests:
            cpu: 50m
            memory: 32Mi
`, name, roundAnnotation, round, replicas),
	}
}

// guideFiles returns the files of a repository with the guide's app: a base, and an
// overlay for every cluster that patches all three objects.
func guideFiles(clusters []string, round int) map[string]string {
	files := map[string]string{"fedsync.yaml": federationFile(guideName, clusters)}
	addBase(files, guideObjects(guideName, guidePort, guideReplicas*len(clusters), round))
	for _, c := range clusters {
		var patches strings.Builder
		for _, object := range [][2]string{{"networking.k8s.io/v1", "Ingress"}, {"v1", "Service"}, {"apps/v1", "ReplicaSet"}} {
			patches.WriteString(patch(object[0], object[1], namespace, guideName, placeAnnotation, fmt.Sprintf("%s-%d", c, round)))
		}
		files[overlayFile(c)] = overlay(patches.String())
	}
	return files
}

// annotatedFiles is like guideFiles, but the overlays annotate all objects instead of
// patching each.
func annotatedFiles(clusters []string, round int) map[string]string {
	files := guideFiles(clusters, round)
	for _, c := range clusters {
		files[overlayFile(c)] = fmt.Sprintf("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- ../../base\n"+
			"commonAnnotations:\n  %s: \"%s-%d\"\n", placeAnnotation, c, round)
	}
	return files
}

const (
	guideName = "nginx"
	guidePort = 30036
	appPath   = "apps/web"
)

// federationFile returns a fedsync.yaml with one app.
func federationFile(name string, clusters []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata:\n  name: %s\nspec:\n  createNamespaces: true\n  clusters:\n", name)
	for _, c := range clusters {
		fmt.Fprintf(&b, "  - name: %s\n", c)
	}
	fmt.Fprintf(&b, "  apps:\n  - name: %s\n    path: %s\n", name, appPath)
	return b.String()
}

// addBase adds the app's base to a repository's files.
func addBase(files, objects map[string]string) {
	names := make([]string, 0, len(objects))
	for name, content := range objects {
		names = append(names, name)
		files[path.Join(appPath, "base", name)] = content
	}
	files[path.Join(appPath, "base", "kustomization.yaml")] = kustomization(names)
}

func overlayFile(cluster string) string {
	return path.Join(appPath, "clusters", cluster, "kustomization.yaml")
}

// overlay returns an overlay that patches the base.
func overlay(patches string) string {
	return "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- ../../base\npatches:\n" + patches
}

// patch returns a patch that annotates an object.
func patch(apiVersion, kind, namespace, name, annotation, value string) string {
	return fmt.Sprintf(`- patch: |
    apiVersion: %s
    kind: %s
    metadata:
      name: %s
      namespace: %s
      annotations:
        %s: "%s"
`, apiVersion, kind, name, namespace, annotation, value)
}
