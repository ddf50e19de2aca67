package status

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestTrimCutsOnARune(t *testing.T) {
	tests := []struct {
		in    string
		limit int
		want  string
	}{
		{"", 10, ""},
		{"short", 5, "short"},
		{"longer", 5, "lo…"},
		{"203.0.113.10 · 13/13 clusters", 15, "203.0.113.10…"}, // "·" would not fit whole
		{"日本語", 9, "日本語"},
		{"日本語", 8, "日…"},
		{"日本語", 2, ""},
		{"abc", 2, "ab"},
		{"abc", 0, ""},
		{"abc", -1, ""},
		{"two\nlines\tand\x00more\r\n", 100, "two lines and more"},
		{"\u202egnp.exe", 100, "gnp.exe"},
		{"\xff\xfe", 100, "�"},
	}
	for _, tt := range tests {
		if got := Trim(tt.in, tt.limit); got != tt.want {
			t.Errorf("Trim(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

func FuzzTrimKeepsValidText(f *testing.F) {
	f.Add("203.0.113.10 · 13/13 clusters · 26/26 ready", 20)
	f.Add("a\u0300\u202eb\x00\xff", 3)
	f.Add("日本語", 7)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := Trim(s, limit)
		if !utf8.ValidString(got) {
			t.Errorf("Trim(%q, %d) = %q is not valid UTF-8", s, limit, got)
		}
		if len(got) > max(limit, 0) {
			t.Errorf("Trim(%q, %d) = %q takes %d bytes", s, limit, got, len(got))
		}
		if strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("Trim(%q, %d) = %q has control characters", s, limit, got)
		}
		if again := Trim(got, limit); again != got {
			t.Errorf("Trim(%q, %d) = %q, and again %q", s, limit, got, again)
		}
		if whole := Trim(s, 1<<30); len(whole) <= limit && got != whole {
			t.Errorf("Trim(%q, %d) = %q, want %q, which fits", s, limit, got, whole)
		}
	})
}
