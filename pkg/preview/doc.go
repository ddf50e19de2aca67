// Package preview says what a revision is without following it.
//
// [Render] reads, renders and schedules one revision by facts that are given, and asks no
// cluster. [Comparison] is the form of the answer where clusters are asked, once, what they
// run and what an apply would change there; the daemon's loop makes it.
package preview
