package untrusted

import (
	"fmt"
	"strings"
)

// Some lists at most most things, and counts the rest: "a, b and 3 more".
func Some[T any](things []T, most int) string {
	names := make([]string, 0, min(most, len(things)))
	for _, thing := range things[:min(most, len(things))] {
		names = append(names, fmt.Sprint(thing))
	}
	return SomeOf(names, len(things))
}

// SomeOf lists names, and counts the rest of total.
func SomeOf(names []string, total int) string {
	list := strings.Join(names, ", ")
	switch more := total - len(names); {
	case more <= 0:
		return list
	case list == "":
		return fmt.Sprintf("%d", more)
	default:
		return fmt.Sprintf("%s and %d more", list, more)
	}
}
