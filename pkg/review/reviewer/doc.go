// Package reviewer plans the open pull requests, beside the daemon's loop.
//
// The loop shows it a [View] at the end of each turn and goes on. What is to be done is
// decided by package review; the [Reviewer] does it: it lists what is open, renders each change
// and its base in a process of its own, tries the difference in the clusters without writing,
// and tells the poster, the page and the forge's comments what came of it.
package reviewer
