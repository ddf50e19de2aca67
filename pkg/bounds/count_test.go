package bounds

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestEventsAreCountedExactly compares the count with encoding/json, for any
// content of strings and any boundaries of reads.
func TestEventsAreCountedExactly(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // repeatable on purpose
	parts := []string{`"`, `\`, `{`, `}`, `[`, `]`, `,`, "\n", "x", "\\\"", "\\\\", "é"}
	for range 2000 {
		text := ""
		for range r.IntN(12) {
			text += parts[r.IntN(len(parts))]
		}
		value := map[string]any{text: []any{text, map[string]any{"a": text}, r.IntN(9)}, "b": nil}
		event, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		want := len(event)
		stream := strings.Repeat(string(event)+"\n", 3)
		var c count
		longest := 0
		for len(stream) > 0 {
			n := 1 + r.IntN(min(len(stream), 7))
			c.add([]byte(stream[:n]), true)
			longest = max(longest, c.bytes)
			stream = stream[n:]
		}
		if c.bytes != 1 || c.depth != 0 || c.quoted || longest > want {
			t.Fatalf("after %s: %+v, %d bytes at most; want the line end alone, and no more than %d", event, c, longest, want)
		}
		if c.most < 5 || c.most > 20 {
			t.Errorf("%s has %d values", event, c.most)
		}
	}
}
