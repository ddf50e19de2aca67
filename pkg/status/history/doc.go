// Package history remembers the reports of the newest revisions, for the page and for the
// last status of a revision that another one replaced.
//
// The daemon's loop adds each report; request handlers read them. Reports are shared and
// never changed afterwards.
package history
