package fedfile

import (
	"fmt"
	"strings"
)

// didYouMean returns `; did you mean "clusters"?` if one of the known words is
// close to the written one, and "" otherwise.
func didYouMean(written string, known []string) string {
	best, distance := "", max(2, len(written)/3)+1
	for _, word := range known[:min(len(known), suggestedFrom)] {
		// The distance is at least the difference of the lengths.
		if abs(len(written)-len(word)) >= distance {
			continue
		}
		if d := editDistance(strings.ToLower(written), strings.ToLower(word)); d < distance {
			best, distance = word, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// suggestedFrom is how many known words are compared with an unknown one: each
// comparison takes a microsecond.
const suggestedFrom = 1000

func abs(n int) int { return max(n, -n) }

// editDistance returns the Levenshtein distance: the number of letters to add, remove
// or replace.
func editDistance(a, b string) int {
	// A very long word is close to none.
	if len(a) > 100 || len(b) > 100 {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
