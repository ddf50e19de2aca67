package limit_test

import (
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/limit"
)

func TestQuantitiesThatTakeHoursAreRefused(t *testing.T) {
	for text, want := range map[string]bool{
		"1": true, "100m": true, "1.5Gi": true, "2E": true, "3Ei": true, "1e18": true, "1E-9": true, "-0.5": true, "": true, "text": true,
		"1e2147483647": false, "1E-2147483647": false, "1e101": false, "1e99999999999999999999": false, "1e9223372036854775808": false,
		strings.Repeat("9", 101): false, "0." + strings.Repeat("0", 1<<20) + "1": false,
	} {
		if got := limit.Quantity(text); got != want {
			t.Errorf("Quantity(%.30s) = %v, want %v", text, got, want)
		}
	}
}
