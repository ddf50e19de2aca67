package page

import (
	"testing"
	"time"
)

func TestAgesHaveTheFormOfKubectl(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]string{
		-time.Minute:           "0s", // another machine's clock is ahead
		42 * time.Second:       "42s",
		3*time.Minute + 12e9:   "3m12s",
		50 * time.Hour:         "2d2h",
		400 * 24 * time.Hour:   "400d",
		1000 * 24 * time.Hour:  "2y270d",
		time.Nanosecond * 9999: "0s",
	} {
		if got := at(now.Add(-age), now).Age; got != want {
			t.Errorf("age of %v = %q, want %q", age, got, want)
		}
	}
	if at(time.Time{}, now) != nil {
		t.Error("the zero time has an age")
	}
}
