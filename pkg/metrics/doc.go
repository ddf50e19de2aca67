// Package metrics counts what fedsync does, for Prometheus.
//
// Each stage reports what happened, and the newest status.Report sets the current values.
// Labels hold names that the operator configured or the program defines, never free text.
// What a new report no longer has loses its series.
package metrics
