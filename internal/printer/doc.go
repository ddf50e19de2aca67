// Package printer writes what commands answer: as tables and lines for people, as JSON and
// YAML for programs.
//
// In go reports, findings and other values; what clusters and repositories say in them can
// neither steer a terminal nor pass for a line of fedsync's own.
package printer
