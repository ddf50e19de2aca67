// Package filewatch calls a function when one of a set of files, or anything below one
// of a set of folders, changes. The sets may change while it runs.
package filewatch
