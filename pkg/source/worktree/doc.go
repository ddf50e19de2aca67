// Package worktree compares a work tree with the commit it is at.
//
// Uncommitted names what differs, and Changes returns it as git add --all would note it,
// with the files on disk as objects. Nothing is written, and nothing that the repository
// holds is executed, filters included.
package worktree
