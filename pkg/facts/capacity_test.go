package facts

import (
	"fmt"
	"testing"
	"time"
)

func TestCapacityIsSticky(t *testing.T) {
	type at struct {
		second int
		pods   pods
		want   string // the capacity; a dash for no limit
	}
	// The numbers: spec.replicas, status.replicas, ready, waiting, waiting for long.
	for name, course := range map[string][]at{
		"new pods do not set it": {
			{0, pods{17, 17, 10, 7, 0}, "-"},
		},
		"it is set after a minute, without new pods": {
			{0, pods{17, 17, 10, 7, 1}, "10"},
		},
		"nothing fits": {
			{0, pods{3, 3, 0, 3, 3}, "0"},
		},
		"waiting surge pods do not count": {
			{0, pods{10, 13, 10, 3, 3}, "10"},
		},
		"running surge pods do not count": {
			{0, pods{10, 13, 8, 1, 1}, "10"},
		},
		"more waiting pods do not lower it": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{5, pods{20, 20, 10, 10, 7}, "10"},
			{70, pods{20, 20, 10, 10, 10}, "10"},
		},
		"more pods are wanted than exist": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{5, pods{20, 17, 10, 7, 7}, "10"},
			{20, pods{20, 17, 10, 10, 7}, "10"},
		},
		"fewer waiting pods do not raise it": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{5, pods{12, 17, 10, 7, 7}, "10"}, // two pods are meant to wait
			{6, pods{12, 17, 10, 2, 2}, "10"},
			{7, pods{12, 12, 10, 2, 2}, "10"},
			{30, pods{12, 12, 10, 2, 2}, "10"},
		},
		"scheduled pods that are not Ready do not raise it": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{5, pods{17, 17, 10, 4, 4}, "10"},
		},
		"Ready ones raise it": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{5, pods{17, 17, 12, 4, 4}, "12"},
			{6, pods{17, 17, 13, 4, 4}, "13"},
		},
		"not above the scheduled pods": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{5, pods{17, 17, 15, 4, 4}, "13"},
		},
		"it ends when no pod waits": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{5, pods{17, 17, 10, 0, 0}, "10"},
			{9, pods{17, 17, 17, 0, 0}, "17"},
			{10, pods{17, 17, 17, 0, 0}, "-"},
			{11, pods{17, 17, 17, 0, 0}, "-"},
		},
		"pods are replaced by other waiting pods": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{5, pods{17, 10, 10, 0, 0}, "10"},
			{7, pods{17, 17, 10, 7, 0}, "10"},
			{30, pods{17, 17, 10, 7, 0}, "10"},
			{67, pods{17, 17, 10, 7, 7}, "10"},
		},
		"it falls when nodes vanish": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{100, pods{17, 17, 6, 11, 7}, "10"}, // the scheduler may find them another node
			{160, pods{17, 17, 6, 11, 11}, "10"},
			{164, pods{17, 17, 6, 11, 11}, "10"},
			{165, pods{17, 17, 6, 11, 11}, "6"},
		},
		"not while two watches differ for a moment": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{100, pods{12, 12, 10, 7, 7}, "10"}, // five pods are deleted already
			{101, pods{12, 12, 10, 2, 2}, "10"},
			{200, pods{12, 12, 10, 2, 2}, "10"},
		},
		"fewer than the capacity are wanted": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{5, pods{4, 17, 10, 7, 7}, "10"},
			{6, pods{4, 4, 4, 0, 0}, "10"},
			{11, pods{4, 4, 4, 0, 0}, "-"},
		},
		"it is set again": {
			{0, pods{17, 17, 10, 7, 7}, "10"},
			{5, pods{10, 10, 10, 0, 0}, "10"},
			{10, pods{10, 10, 10, 0, 0}, "-"},
			{20, pods{12, 12, 10, 2, 0}, "-"},
			{80, pods{12, 12, 10, 2, 2}, "10"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
			var c capacity
			for _, step := range course {
				now := start.Add(time.Duration(step.second) * time.Second)
				c.observe(now, step.pods)
				got := "-"
				if c.limited {
					got = fmt.Sprint(c.most)
				}
				if got != step.want {
					t.Errorf("after %d s of %+v: capacity %s, want %s", step.second, step.pods, got, step.want)
				}
				if next := c.next(); !next.IsZero() && !next.After(now) {
					t.Errorf("after %d s: the next change is at %v, which has passed", step.second, next)
				}
			}
		})
	}
}
