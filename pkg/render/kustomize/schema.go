package kustomize

import "sigs.k8s.io/kustomize/kyaml/openapi"

// loadSchema makes builds safe beside one another: it has kustomize read its schema of
// Kubernetes' kinds before the first of them.
//
// Kustomize keeps the schema in variables of its package openapi. The first build that
// merges reads it in under a lock, but builds look up the scope of a kind in the same map
// without one, and Go ends a process that reads a map while it is written. Once the schema
// is there, nothing changes it: a build replaces it only for the openapi field of a
// kustomization, which refuseFields refuses.
func loadSchema() { openapi.Schema() }
