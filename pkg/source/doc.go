// Package source reads the repository. Whenever the followed ref moves, it
// emits a federation.Snapshot: a revision and its files.
//
// A repository is reached by https, by ssh, or as a local path. Its refs are
// listed at an interval, on Nudge, and, for a local path, whenever a file below
// its refs changes. Nothing is fetched unless the ref has moved. There is no
// work tree: nothing is checked out, no submodule is fetched, and nothing in
// the repository is ever executed, including hooks and filters.
//
// What is fetched is untrusted. Bytes received, bytes unpacked, objects, files
// and the size of a file are limited. Opening what cannot be read safely (a
// symbolic link that leaves the repository, a submodule, a Git LFS pointer)
// fails with an error that names it.
//
// Its subpackages: objectdb reads Git's objects, tree reads the folders and files of one
// revision, gitdir and worktree read local repositories, merge computes the result of a
// proposed change, and filewatch reports when files change.
//
// The package knows no manifest: render reads Snapshot.Files through fs.FS, and
// the daemon decides what an Event means.
package source
