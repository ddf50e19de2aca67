// Package merge merges two revisions in memory, as git merge would.
//
// Base finds where two commits parted, and Trees makes the folders of a three-way merge,
// with the files that both sides changed merged line by line. Nothing is written, and
// files that were renamed are not looked for. How much is compared, and for how long, is
// bounded: what is above a limit does not merge.
package merge
