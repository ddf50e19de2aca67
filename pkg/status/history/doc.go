// Package history keeps the reports of the newest revisions, for the page and for what is
// told of a revision that another took the place of.
//
// The daemon's loop puts each report in; whoever answers requests reads. Reports are shared
// and not changed any more.
package history
