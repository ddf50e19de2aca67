package limit_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fedsync/fedsync/internal/limit"
)

func TestNumberGroupsDigits(t *testing.T) {
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 599950: "599,950", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := limit.Number(n); got != want {
			t.Errorf("Number(%d) = %q, want %q", n, got, want)
		}
	}
	if got, want := limit.More(599950), "and 599,950 more"; got != want {
		t.Errorf("More = %q, want %q", got, want)
	}
}

func TestTextIsBoundedAndStaysValid(t *testing.T) {
	if got, want := limit.Text("short", 10), "short"; got != want {
		t.Errorf("Text = %q, want %q", got, want)
	}
	if got, want := limit.Text("aäöü", 4), "aä… (4 bytes more)"; got != want {
		t.Errorf("Text = %q, want %q", got, want)
	}
	for most := range 20 {
		got := limit.Text(strings.Repeat("€", 100), most)
		if !utf8.ValidString(got) || len(got) > most+30 {
			t.Errorf("Text at %d bytes = %q", most, got)
		}
	}
	if got := limit.Quote(strings.Repeat("\n", 100_000)); len(got) > 3*limit.ValueBytes {
		t.Errorf("Quote of 100,000 line ends has %d bytes", len(got))
	}
}

func TestListCountsWhatItLeavesOut(t *testing.T) {
	names := strings.Split("a b c d e f g h i j k l", " ")
	if got, want := limit.List(names, ", "), "a, b, c, d, e, f, g, h, i, j, and 2 more"; got != want {
		t.Errorf("List = %q, want %q", got, want)
	}
	if got, want := limit.List(names[:10], ", "), "a, b, c, d, e, f, g, h, i, j"; got != want {
		t.Errorf("List = %q, want %q", got, want)
	}
}

func TestAnExceededBudgetFailsForAll(t *testing.T) {
	b := limit.NewBudget(10)
	if !b.Take(4) || !b.Take(6) {
		t.Error("a budget of 10 had no 4 and 6")
	}
	if b.Take(1) {
		t.Error("a budget of 10 had 11")
	}
	if got := b.Spent(); got != 11 {
		t.Errorf("Spent = %d, want 11", got)
	}
	if none := (*limit.Budget)(nil); !none.Take(1 << 40) {
		t.Error("the nil budget ended")
	}
}
