package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Row is one thing that was measured.
type Row struct {
	What   string    `json:"what"`
	Unit   string    `json:"unit"`   // "ms", "MB", "requests"
	Values []float64 `json:"values"` // one for each run, in order
	Of     string    `json:"of"`     // what there is a value for: "pushes", "clusters"
	Bars   []Bar     `json:"bars,omitempty"`
}

// Bar is what a figure must not exceed.
type Bar struct {
	Figure string  `json:"figure"` // "median", "worst", "median ÷ median floor"
	Got    float64 `json:"got"`
	Limit  float64 `json:"limit"`
	Unit   string  `json:"unit"`
}

// Met reports whether the figure stays within the limit.
func (b Bar) Met() bool { return b.Got <= b.Limit }

// String returns the verdict: "median 41 ms ≤ 50 ms: met, 18 % below".
func (b Bar) String() string {
	head := fmt.Sprintf("%s %s", b.Figure, number(b.Got, b.Unit))
	switch limit := number(b.Limit, b.Unit); {
	case b.Met() && b.Limit == 0:
		return head + ": met"
	case b.Met():
		return fmt.Sprintf("%s ≤ %s: met, %.0f %% below", head, limit, 100*(1-b.Got/b.Limit))
	case b.Limit == 0:
		return fmt.Sprintf("%s, wanted %s: **MISSED**", head, limit)
	default:
		return fmt.Sprintf("%s > %s: **MISSED** by %.0f %%", head, limit, 100*(b.Got/b.Limit-1))
	}
}

// Median returns the middle value, or the mean of the two in the middle.
func (r Row) Median() float64 { return median(r.Values) }

// Worst returns the largest value: everything that is measured here should be small.
func (r Row) Worst() float64 { return slices.Max(r.Values) }

// must returns the row with a bar on one of its figures.
func (r Row) must(figure string, got, limit float64, unit string) Row {
	r.Bars = append(slices.Clone(r.Bars), Bar{Figure: figure, Got: got, Limit: limit, Unit: unit})
	return r
}

// medianWithin returns the row with a bar on its median.
func (r Row) medianWithin(limit float64) Row { return r.must("median", r.Median(), limit, r.Unit) }

// worstWithin returns the row with a bar on its worst value.
func (r Row) worstWithin(limit float64) Row { return r.must("worst", r.Worst(), limit, r.Unit) }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// milliseconds returns a duration in the unit of rows.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// number formats a value with as many digits as are significant.
func number(value float64, unit string) string {
	var digits string
	switch size := math.Abs(value); {
	case value == math.Trunc(value) && size < 1e6 || size >= 100:
		digits = fmt.Sprintf("%.0f", value)
	case size >= 10:
		digits = fmt.Sprintf("%.1f", value)
	default:
		digits = fmt.Sprintf("%.2f", value)
	}
	if unit == "" {
		return digits
	}
	return digits + " " + unit
}
