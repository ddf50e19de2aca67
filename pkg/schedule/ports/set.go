package ports

import (
	"iter"
	"math/bits"
)

// set is a set of small numbers: indices of clusters, or ports. Operations on two sets of
// the same size take a few instructions, even for many clusters.
type set []uint64

func newSet(size int) set { return make(set, setWords(size)) }

func setWords(size int) int { return (size + 63) / 64 }

func (s set) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

func (s set) add(i int) { s[i>>6] |= 1 << (i & 63) }

// count returns how many numbers the set has.
func (s set) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s set) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

// gap returns the first number in [from, end) that the set does not have, or end if it
// has all of them.
func (s set) gap(from, end int32) int32 {
	for from < end {
		absent := ^s[from>>6] >> (from & 63)
		if absent != 0 {
			return min(end, from+int32(bits.TrailingZeros64(absent)))
		}
		from = (from>>6 + 1) << 6
	}
	return end
}

// meets reports whether the sets have a number in common.
func (s set) meets(o set) bool {
	for i, w := range s {
		if w&o[i] != 0 {
			return true
		}
	}
	return false
}

// plus adds the numbers of another set to this one.
func (s set) plus(o set) set {
	for i, w := range o {
		s[i] |= w
	}
	return s
}

// all yields the numbers of the set in ascending order.
func (s set) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range s {
			for ; w != 0; w &= w - 1 {
				if !yield(i<<6 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}
