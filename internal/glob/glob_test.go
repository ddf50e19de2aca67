package glob

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

func TestAPatternMatchesTheWholeName(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"fedsync", "fedsync", true},
		{"fedsync", "fedsync/web", false},
		{"fedsync", "", false},
		{"", "", true},
		{"", "x", false},
		{"*", "", true},
		{"*", "arn:aws:eks:eu-west-1:1:cluster/a", true},
		{"fedsync/*", "fedsync/web/east", true},
		{"fedsync/*", "fedsync", false},
		{"fedsync/*", "ci/fedsync/web", false},
		{"*-prod", "web-prod", true},
		{"*-prod", "web-prod-2", false},
		{"gke_*_web", "gke_web", false},
		{"a*a", "a", false},
		{"a*b*c", "abbc", true},
		{"a.c", "abc", false},
		{"[ab]", "a", false},
		{"a?", "ab", false},
	} {
		if got := Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %t, want %t", c.pattern, c.name, got, c.want)
		}
	}
	if MatchAny(nil, "x") || !MatchAny([]string{"y", "x"}, "x") {
		t.Error("MatchAny: want what one of the patterns matches, and nothing without patterns")
	}
}

func TestAPatternMatchesWhatItsRegularExpressionDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(letters string) string {
		b := make([]byte, random.IntN(7))
		for i := range b {
			b[i] = letters[random.IntN(len(letters))]
		}
		return string(b)
	}
	for range 20_000 {
		pattern, name := text("ab*"), text("ab")
		expression := regexp.MustCompile("^" + strings.ReplaceAll(pattern, "*", ".*") + "$")
		if got, want := Match(pattern, name), expression.MatchString(name); got != want {
			t.Fatalf("Match(%q, %q) = %t, want %t", pattern, name, got, want)
		}
	}
}
