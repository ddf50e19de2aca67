// Package page turns a status.Report into HTML: the page of the whole federation, and the
// page of one member cluster.
//
// It only arranges: package status decides what a report means, and package web knows who
// asks for what. Every text in a report counts as written by strangers: it is escaped and
// cut, and never becomes a link or a script. However large a report is, its page is
// bounded and says how much it leaves out.
package page
