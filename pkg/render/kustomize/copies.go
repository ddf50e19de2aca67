package kustomize

import (
	"fmt"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

const (
	// maxCopied is how much the copy operations of one JSON patch may add to
	// one object, in bytes. An API server accepts an object of 1.5 MiB.
	maxCopied = 1 << 20
	// maxOperations limits one JSON patch.
	maxOperations = 1000
	// maxGrowth limits the size of all objects of one build after copy
	// operations, in bytes.
	maxGrowth = 256 << 20
)

// limitCopies bounds the JSON patches of kustomize, and so of this package. Each
// copy may double the object, so without a limit forty lines fill any memory.
var limitCopies = sync.OnceFunc(func() { jsonpatch.AccumulatedCopySizeLimit = maxCopied })

// jsonPatch counts the operations of a JSON patch.
func (s *scanner) jsonPatch(operations []any, field string, line int) {
	if len(operations) > maxOperations {
		s.refuse(field, line, fmt.Sprintf("the JSON patch has %d operations, more than the limit of %d", len(operations), maxOperations),
			"use a merge patch, or edit the objects themselves")
	}
	copies := 0
	for _, o := range operations {
		if operation, _ := o.(map[string]any); operation["op"] == "copy" {
			copies++
		}
	}
	s.k.copies += copies
	if copies > 0 {
		s.k.copying++
	}
}

// growth returns an upper bound of the size of a tree's objects after its copy
// operations, in bytes. Each operation at most doubles an object, and each
// patch adds at most maxCopied to each object.
func (t tree) growth() int64 {
	var read, objects, copies, copying int64
	for _, k := range t {
		read += k.bytes
		objects += int64(len(k.declared) + len(k.ConfigMapGenerator) + len(k.SecretGenerator))
		copies += int64(k.copies)
		copying += int64(k.copying)
	}
	if copies == 0 {
		return 0
	}
	return min(read<<min(copies, 32), objects*copying*maxCopied)
}

// copier returns the first file with a JSON patch that copies.
func (t tree) copier() string {
	for _, k := range t {
		if k.copying > 0 {
			return k.file
		}
	}
	return t[0].file
}
