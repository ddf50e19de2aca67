package claim

import "testing"

// Of two instances that count the same members, at most one holds most of them. If one
// of two members is away, the other may be enough.
func TestHoldsMostIsTrueOfOneAtMost(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	for n := range len(names) + 1 {
		for mine := range 1 << n {
			for theirs := range 1 << n {
				if mine&theirs != 0 {
					continue // a claim has one holder
				}
				one, other := map[string]bool{}, map[string]bool{}
				for i, name := range names[:n] {
					one[name], other[name] = mine>>i&1 == 1, theirs>>i&1 == 1
				}
				if isMost(one) && isMost(other) {
					t.Errorf("both %v and %v are most", one, other)
				}
			}
		}
	}
	for _, test := range []struct {
		held map[string]bool
		want bool
	}{
		{nil, false},
		{map[string]bool{"a": false}, false},
		{map[string]bool{"a": true}, true},
		{map[string]bool{"a": true, "b": false}, true},
		{map[string]bool{"a": false, "b": true}, false},
		{map[string]bool{"a": false, "b": true, "c": true}, true},
		{map[string]bool{"a": true, "b": false, "c": false}, false},
	} {
		if got := isMost(test.held); got != test.want {
			t.Errorf("%v: %v", test.held, got)
		}
	}
}
