// Package source reads the repository: it gives a federation.Snapshot, a
// revision and its files, whenever the followed ref moves.
//
// A repository is reached by https, by ssh, or as a local path. Its refs are
// listed at an interval, on Nudge, and, for a local path, whenever a file below
// its refs changes; only when the ref has moved is anything fetched. There is no
// work tree: nothing is checked out, no submodule is fetched, and nothing that
// the repository holds is ever executed, hooks and filters included.
//
// What is fetched is untrusted. Bytes received, bytes unpacked, objects, files
// and the size of a file are limited, and what cannot be read safely (a symbolic
// link that leaves the repository, a submodule, a Git LFS pointer) is refused by
// name when it is opened.
//
// Its neighbours have their own parts of that: objectdb reads Git's objects, tree the folders
// and files of one revision, gitdir and worktree what is on this disk, merge what a proposed
// change comes to, and filewatch tells when to look again.
//
// The package knows no manifest: render reads Snapshot.Files through fs.FS, and
// the daemon decides what an Event means.
package source
