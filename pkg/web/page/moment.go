package page

import (
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// shorten cuts every text in a page to maxText.
func shorten(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // Other kinds are not text, and a page has no maps.
	case reflect.String:
		if v.Len() > maxText {
			v.SetString(untrusted.Shorten(v.String(), maxText))
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			shorten(field)
		}
	case reflect.Slice:
		for i := range v.Len() {
			shorten(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			shorten(v.Elem())
		}
	}
}

// moment is a point in time as the page shows it.
type moment struct {
	Machine string // RFC 3339, for the datetime attribute
	Full    string // for the tooltip
	Age     string // "3m12s", as kubectl writes it
}

// at returns nil for the zero time, which the page leaves out.
func at(t, now time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &moment{
		Machine: t.Format(time.RFC3339),
		Full:    t.Format("2006-01-02 15:04:05 UTC"),
		// Clocks differ a little between machines: an age is never negative.
		Age: duration.HumanDuration(max(0, now.Sub(t))),
	}
}
