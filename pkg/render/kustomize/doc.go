// Package kustomize builds a folder: what its kustomization makes, byte for byte as
// kustomize makes it, or the objects of its files where it has none.
//
// A Builder is kept from revision to revision and remembers what it read and built for the
// last two. Open gives it the files of one, and Build is the door: a Folder goes in, and a
// Product comes out, or a manifest.Error with the file that is to blame. Key says
// beforehand which builds are equal. Behind the door
//
//   - scan reads one kustomization and refuses what kustomize would fetch, run or follow
//     without end; grow reads the tree of them that a build consists of, within the Limits;
//   - kustomize itself then builds, on a file system that shows it the repository alone
//     and refuses every write; or, for an overlay that only patches its base, the
//     shortcut does, which is one file and one line;
//   - the base of an overlay is built once, and an overlay that renames an object of it is
//     refused.
//
// It knows neither apps nor clusters: those are render's. What an object has to be is
// manifest's.
package kustomize
