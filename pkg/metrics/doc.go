// Package metrics counts what fedsync does, for Prometheus.
//
// Each stage tells it what happened, and the newest status.Report sets what holds now. The
// labels are what the operator configured and what the program itself names, never free
// text, and what a report no longer has loses its series.
package metrics
