// Package kustomize builds a folder: with its kustomization, byte for byte as
// kustomize does, or the objects of its files if it has none.
//
// A Builder lives across revisions and caches what it read and built for the last two.
// Open starts a revision with its files. Build takes a Folder and returns a Product, or a
// manifest.Error that names the file with the mistake. Key reports beforehand which builds
// are equal. Internally,
//
//   - scan reads one kustomization and refuses what kustomize would fetch, run or follow
//     endlessly; grow reads the tree of kustomizations of a build, within the Limits;
//   - kustomize itself then builds, on a file system that has only the repository
//     and refuses every write; for an overlay that only patches its base, the
//     shortcut builds instead, which can be removed with one file and one line;
//   - the base of an overlay is built once, and an overlay that renames one of its objects is
//     refused.
//
// It does not know apps and clusters, which belong to render. Objects are validated
// by manifest.
package kustomize
