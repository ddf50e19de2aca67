// Package gitdir finds the Git folder (.git) of a repository on this machine's disk, and
// reads refs and objects there.
//
// It supports a work tree, a bare repository, and a work tree made by git worktree add. It
// refuses the formats that it cannot read, and names them. Git may change the folder at
// any time: a push adds packs, and gc moves objects.
package gitdir
