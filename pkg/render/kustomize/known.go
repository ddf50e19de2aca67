package kustomize

import "maps"

// known caches what was read and built for the last two revisions. Objects are held as
// JSON, never as kustomize's own trees, which are many times as large.
type known struct {
	generation uint64 // counts revisions
	bases      map[string]*base
	folders    map[scanKey]*scanned
}

// scanned is the cached scan of a kustomization's folder.
type scanned struct {
	digest string
	scan   *kustomization // without mistakes and line numbers
	used   uint64
}

func newKnown() known {
	return known{bases: map[string]*base{}, folders: map[scanKey]*scanned{}}
}

// forget drops what neither this revision nor the previous one used.
func (k *known) forget() {
	maps.DeleteFunc(k.bases, func(_ string, b *base) bool { return b.used+1 < k.generation })
	maps.DeleteFunc(k.folders, func(_ scanKey, f *scanned) bool { return f.used+1 < k.generation })
}
