// Package printer writes the output of commands: tables and lines for people, JSON and
// YAML for programs.
//
// Its input is reports, findings and other values. Text in them from clusters and
// repositories can neither control a terminal nor imitate a line of fedsync's own.
package printer
