package kustomize

import "maps"

// known holds what was read and built for the last two revisions: objects as JSON, never
// kustomize's own trees, which are many times as large.
type known struct {
	generation uint64 // counts revisions
	bases      map[string]*base
	folders    map[scanKey]*scanned
}

// scanned is what is known of a kustomization's folder.
type scanned struct {
	digest string
	scan   *kustomization // without mistakes, and without its lines
	used   uint64
}

func newKnown() known {
	return known{bases: map[string]*base{}, folders: map[scanKey]*scanned{}}
}

// forget drops what neither this revision nor the one before used.
func (k *known) forget() {
	maps.DeleteFunc(k.bases, func(_ string, b *base) bool { return b.used+1 < k.generation })
	maps.DeleteFunc(k.folders, func(_ scanKey, f *scanned) bool { return f.used+1 < k.generation })
}
