// Package merge merges two revisions in memory, as git merge would.
//
// Base finds where two commits diverged. Trees computes the folders of a three-way
// merge; files that both sides changed are merged line by line. Nothing is written, and
// renames are not detected. The amount compared and the time for it are bounded: what is
// above a limit does not merge.
package merge
