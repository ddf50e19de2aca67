// Package page makes HTML of a status.Report: the page of the whole federation, and that
// of one member cluster.
//
// It only arranges: what a report means was decided in package status, and who asks, for
// what, is known to package web. All texts of a report are taken for what strangers wrote:
// they are escaped, cut, and never become a link or a script. However large a report is,
// a page of it is bounded, and says how much it leaves out.
package page
