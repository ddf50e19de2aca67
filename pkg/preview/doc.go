// Package preview shows what a revision would do, without applying it.
//
// [Render] reads, renders and schedules one revision by given facts, and queries no
// cluster. [Comparison] is the answer when clusters are asked one time what they run and what
// an apply would change there. The daemon's loop makes it.
package preview
