package kustomize

import "sigs.k8s.io/kustomize/kyaml/openapi"

// loadSchema makes concurrent builds safe: it makes kustomize load its schema of
// Kubernetes' kinds before the first build.
//
// Kustomize holds the schema in variables of its package openapi. The first build that
// merges loads it under a lock, but builds read the scope of a kind from the same map
// without one, and Go ends a process that reads a map while it is written. After it is
// loaded nothing changes the schema: a build replaces it only for the openapi field of a
// kustomization, which refuseFields refuses.
func loadSchema() { openapi.Schema() }
