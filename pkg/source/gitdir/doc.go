// Package gitdir finds the folder in which a repository on this machine's disk keeps what
// Git knows, and reads refs and objects there.
//
// It works for a work tree, a bare repository, and what git worktree add made, and refuses
// by name the formats that cannot be read. Others change the folder meanwhile: a push adds
// packs, and gc moves objects.
package gitdir
