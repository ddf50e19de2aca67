// Package growth only has a test: input twice as large may cost about twice as
// much, but not four times. Each row of its table is something whose number a
// repository determines, and the work with it.
package growth
