// Package reviewer plans the open pull requests, concurrently with the daemon's loop.
//
// The loop passes a [View] to it at the end of each turn and continues. Package review decides
// what to do, and the [Reviewer] does it: it lists open pull requests, renders each change and
// its base in a separate process, tries the difference in the clusters by a dry run, and
// publishes the result to the poster, the page and the forge's comments.
package reviewer
