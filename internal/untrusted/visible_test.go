package untrusted

import (
	"encoding/json"
	"testing"
)

func FuzzVisibleJSON(f *testing.F) {
	f.Add("plain")
	f.Add("\u202e\U000e0041\xff\x00\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		encoded, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var want, got string
		if err := json.Unmarshal(encoded, &want); err != nil {
			t.Fatal(err)
		}
		shown := VisibleJSON(encoded)
		if err := json.Unmarshal(shown, &got); err != nil || got != want {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
		for _, r := range string(shown) {
			if Hidden(r) {
				t.Errorf("%q is raw in %q", r, shown)
			}
		}
	})
}
