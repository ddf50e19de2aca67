// Package worktree compares a work tree with the commit that is checked out.
//
// Uncommitted returns the paths that differ. Changes returns the differences as git add
// --all would record them, with the files on disk as objects. Nothing is written, and
// nothing in the repository is executed, including filters.
package worktree
