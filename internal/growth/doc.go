// Package growth holds a test and nothing else: whatever a committer makes twice as
// large may cost about twice as much, and not four times. Each row of its table is
// something that a repository decides the number of, and what is done with it.
package growth
