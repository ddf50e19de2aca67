package fedfile

import (
	"fmt"
	"strings"
)

// didYouMean gives `; did you mean "clusters"?` where one of the known words is
// near to what was written, and nothing otherwise.
func didYouMean(written string, known []string) string {
	best, distance := "", max(2, len(written)/3)+1
	for _, word := range known[:min(len(known), suggestedFrom)] {
		// Nothing nearer than the difference of their lengths is to be found.
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

// suggestedFrom is how many words are compared with one that is not known: each
// takes a microsecond.
const suggestedFrom = 1000

func abs(n int) int { return max(n, -n) }

// editDistance is Levenshtein's: how many letters are added, dropped or changed.
func editDistance(a, b string) int {
	// A word that is far too long is near to nothing.
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
