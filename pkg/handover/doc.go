// Package handover finds, for the current settings, what package takeover can move.
//
// It reads the repository, connects to every cluster of its federation and returns what
// belongs to another source, or to another name of the federation. Nothing is written
// until Move is called.
package handover
