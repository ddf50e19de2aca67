package gcptest

import (
	"encoding/json"
	"testing"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// Project is the project of the stand-in.
const Project = "shop-prod"

// Mark is the mark of a resource in the stand-in.
var Mark = gcp.Mark{Federation: "shop", Source: "0a1b2c"}

// Encode returns the value as JSON.
func Encode(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Decode returns the value of JSON.
func Decode[T any](t *testing.T, data []byte) *T {
	t.Helper()
	out := new(T)
	if err := json.Unmarshal(data, out); err != nil {
		t.Fatal(err)
	}
	return out
}
