package claim

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func FuzzParseReadsWhatStringWritesAndNothingElse(f *testing.F) {
	for _, text := range []string{
		"", "-", "7", "7-", "0-" + strings.Repeat("0", 32), "7-" + strings.Repeat("a", 32), "07-" + strings.Repeat("a", 32),
		"+7-" + strings.Repeat("a", 32), "7-" + strings.Repeat("A", 32), "7-" + strings.Repeat("a", 31), "1000000000001-" + strings.Repeat("a", 32),
		"99999999999999999999999-" + strings.Repeat("a", 32), "host-0", "7-" + strings.Repeat("é", 16), strings.Repeat("9", 1<<16),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := Parse(text)
		if err == nil && (token.String() != text || token.IsZero() || token.generation > maxGeneration) {
			t.Errorf("Parse(%q) = %s", text, token)
		}
	})
}

func TestTokensHaveATotalOrder(t *testing.T) {
	ordered := []Token{{}, token(1, 0), token(1, 1), token(2, 0), token(10, 0)}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := a.Greater(b), i > j; got != want {
				t.Errorf("%s.Greater(%s) = %v, want %v", a, b, got, want)
			}
		}
		if back, err := Parse(a.String()); i > 0 && (err != nil || back != a) {
			t.Errorf("Parse(%s) = %s, %v", a, back, err)
		}
	}
}

func TestFromLeaseAcceptsAnyContent(t *testing.T) {
	for _, test := range []struct {
		name string
		spec any
		want Kind
	}{
		{"no spec", nil, Absent},
		{"a spec of another type", "text", Absent},
		{"no holder", map[string]any{}, Absent},
		{"a holder that is null", map[string]any{"holderIdentity": nil}, Absent},
		{"an empty holder", map[string]any{"holderIdentity": ""}, Absent},
		{"a holder of another type", map[string]any{"holderIdentity": int64(7)}, Garbled},
		{"another tool's", map[string]any{"holderIdentity": "pod-1_\u202e\x00"}, Garbled},
		{"ours", map[string]any{"holderIdentity": token(7, 1).String()}, Held},
	} {
		u := &unstructured.Unstructured{Object: map[string]any{"spec": test.spec}}
		u.SetResourceVersion("3")
		u.SetAnnotations(map[string]string{annotationHost: strings.Repeat("h", 1000) + "\n\x1b[31m"})
		s := FromLease(u)
		if s.Kind != test.want || s.Version != "3" {
			t.Errorf("%s: FromLease = %+v, want kind %d", test.name, s, test.want)
		}
		if strings.ContainsAny(s.Text+s.Who, "\x00\x1b\n\u202e") || len(s.Who) > 200 {
			t.Errorf("%s: texts %q, %q", test.name, s.Text, s.Who)
		}
		claimed(u, "web", holder{}, token(8, 1), "source") // must not panic
	}
	if s := FromLease(nil); s.Kind != Absent || s.Version != "" {
		t.Errorf("FromLease(nil) = %+v", s)
	}
}
