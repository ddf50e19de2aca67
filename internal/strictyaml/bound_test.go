package strictyaml_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/strictyaml"
)

// costly are texts that turn few bytes into many nodes, problems or much work.
var costly = map[string]struct{ head, unit, tail string }{
	"list":           {"", "- 1\n", ""},
	"empty entries":  {"", "-\n", ""},
	"flow list":      {"[", "1,", "1]"},
	"flow maps":      {"[", "{},", "1]"},
	"flow sets":      {"{", "a,", "b}"},
	"single pairs":   {"[", "a: b,", "a: b]"},
	"json":           {"{", `"a":1,`, `"b":2}`},
	"nested json":    {"[", `{"a":{"b":[1]}},`, "1]"},
	"documents":      {"", "--- 1\n", ""},
	"empty ones":     {"", "---\n", ""},
	"open brackets":  {"", "[", ""},
	"deep":           {"", strings.Repeat("[", 900) + strings.Repeat("]", 900) + "\n---\n", ""},
	"deeper":         {"", strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "\n---\n", ""},
	"dashes":         {"", strings.Repeat("- ", 900) + "a\n", ""},
	"long key":       {"", "a", ": 1"},
	"long value":     {"a: ", "a", ""},
	"comments":       {"", "# a\n\n", "a: b"},
	"line comments":  {"", "a: # a\n", ""},
	"list comments":  {"", "- a #b\n", ""},
	"aliases":        {"- &a 1\n", "- *a\n", ""},
	"alias of maps":  {"- &a {a: {b: c}, d: {e: f}}\n", "- *a\n", ""},
	"same key":       {"", "a: 1\n", ""},
	"merges":         {"", "<<: 1\n", ""},
	"merged":         {"- &a {a: b}\n", "- {<<: [*a, *a], b: c}\n", ""},
	"question marks": {"", "? a\n: b\n", ""},
	"wrong numbers":  {"", "- .inf\n", ""},
	"no keys":        {"", "? [a]\n: b\n", ""},
	"tags":           {"", "- !secret b\n", ""},
	"directives":     {"", "%TAG !a! x\n", "--- 1"},
	"carriage":       {"", "- 1\r", ""},
}

func fill(size int, head, unit, tail string) []byte {
	return []byte(head + strings.Repeat(unit, max(0, size-len(head)-len(tail))/len(unit)) + tail)
}

func TestDecodeTakesMemoryInProportionToTheFile(t *testing.T) {
	const size = 1 << 18
	for name, c := range costly {
		t.Run(name, func(t *testing.T) {
			data := fill(size, c.head, c.unit, c.tail)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := strictyaml.Decode(data)
			runtime.ReadMemStats(&after)
			// About 100 bytes for nodes, and 300 for what the parser needs
			// temporarily.
			if took := after.TotalAlloc - before.TotalAlloc; took > 600*size {
				t.Errorf("Decode of %d bytes allocated %d", size, took)
			}
			if problems, ok := errors.AsType[strictyaml.Problems](err); ok && len(problems) > limit.Mistakes+2 {
				t.Errorf("Decode found %d problems, want at most %d", len(problems), limit.Mistakes+2)
			}
			if err != nil && len(err.Error()) > 20_000 {
				t.Errorf("the problems have %d bytes", len(err.Error()))
			}
		})
	}
}

// A file with too many values is refused before it is parsed.
func TestDecodeRefusesBeforehand(t *testing.T) {
	for _, name := range []string{"list", "flow list", "flow sets", "single pairs", "json", "documents", "directives"} {
		c := costly[name]
		data := fill(4<<20, c.head, c.unit, c.tail)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := strictyaml.Decode(data)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("Decode of 4 MiB of %s = nil, want a refusal", name)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("Decode of 4 MiB of %s allocated %d bytes, want less than one MiB", name, took)
		}
	}
}

// Files that a person may write are not refused: 4 MiB of short lines, of prose,
// of numbers in a text.
func TestDecodeAcceptsLargeFiles(t *testing.T) {
	for name, data := range map[string][]byte{
		"manifests": fill(4<<20, "", "---\nkind: ConfigMap\nmetadata:\n  name: settings\n  labels: {app: web, tier: front}\ndata:\n  key: value\n", ""),
		"csv":       fill(4<<20, "data: |\n", "  1,2,3,4,5,6,7,8,9\n", ""),
		"times":     fill(4<<20, "data: |\n", "  12:30:59 14:20:33\n", ""),
		"base64":    fill(4<<20, "data: ", "aGVsbG8gd29ybGQK", ""),
	} {
		if _, err := strictyaml.Decode(data); err != nil {
			t.Errorf("Decode of %s = %v, want no error", name, err)
		}
	}
}

func TestDecodeCountsTheMistakesThatItDoesNotName(t *testing.T) {
	_, err := strictyaml.Decode(fill(7000, "", "- .inf\n", ""))
	problems, _ := errors.AsType[strictyaml.Problems](err)
	if len(problems) != limit.Mistakes+1 {
		t.Fatalf("Decode found %d problems, want %d", len(problems), limit.Mistakes+1)
	}
	if got, want := problems[limit.Mistakes].Message, "and 950 more"; got != want {
		t.Errorf("the last problem is %q, want %q", got, want)
	}
}

func TestDecodeReadsUTF16(t *testing.T) {
	data := []byte{0xFF, 0xFE}
	for _, r := range "a: ü\n" {
		data = append(data, byte(r), byte(r>>8))
	}
	docs, err := strictyaml.Decode(data)
	if err != nil || fmt.Sprint(docs[0].Value) != "map[a:ü]" {
		t.Errorf("Decode = %v, %v, want map[a:ü]", docs, err)
	}
}

func TestDecodeWithinUsesASharedBudget(t *testing.T) {
	// 60 small files of 9 × 1,000 × 20 values each: every one is below the file's limit.
	file := []byte("a: &a [" + strings.Repeat("x,", 20) + "x]\nb: &b [" + strings.Repeat("*a,", 999) + "*a]\nc: [" + strings.Repeat("*b,", 8) + "*b]\n")
	budget := limit.NewBudget(256 << 20)
	var err error
	read := 0
	for ; read < 60 && err == nil; read++ {
		_, err = strictyaml.DecodeWithin(file, budget)
	}
	if want := "unfold to more than 256 MiB of values"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("60 files within 256 MiB = %v, want %q", err, want)
	}
	if read < 10 || read > 50 {
		t.Errorf("the budget of 256 MiB ended at file %d", read)
	}
}

func TestLineCostsTheSameInALargeMap(t *testing.T) {
	var file strings.Builder
	const keys = 50_000
	for i := range keys {
		fmt.Fprintf(&file, "k%d: 1\n", i)
	}
	docs, err := strictyaml.Decode([]byte(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	// Without an index this would take 1.25 billion comparisons.
	for i := range keys {
		if got := docs[0].Line(fmt.Sprintf("k%d", i)); got != i+1 {
			t.Fatalf("Line(k%d) = %d, want %d", i, got, i+1)
		}
	}
}
