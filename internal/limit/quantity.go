package limit

import (
	"strconv"
	"strings"
)

const (
	quantityBytes    = 100
	quantityExponent = 100
)

// Quantity reports whether a text is safe to pass to resource.ParseQuantity. Its
// time grows with the square of the digits and exponentially with the exponent:
// "1e2147483647" takes hours.
func Quantity(text string) bool {
	if len(text) > quantityBytes {
		return false
	}
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return true
	}
	exponent, err := strconv.ParseInt(text[at+1:], 10, 64)
	if err != nil { // a suffix, such as Ei; or not a quantity; or an exponent of many digits
		return !strings.ContainsAny(text[at+1:], "0123456789")
	}
	return -quantityExponent <= exponent && exponent <= quantityExponent
}
