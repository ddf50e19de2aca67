package replicas

import (
	"slices"
	"testing"
)

func TestShiftRaisesAtOnceAndLowersByWhatIsReady(t *testing.T) {
	cases := []struct {
		name  string
		total int64
		moves []move // in tie order
		want  []int64
	}{
		{"nothing to do", 4, []move{{live: 2, ready: 2, target: 2}, {live: 2, ready: 0, target: 2}}, []int64{2, 2}},
		{"created and raised at once", 6, []move{{live: absent, target: 3}, {live: 1, ready: 1, target: 3}}, []int64{3, 3}},
		{"none is lowered before others are Ready", 10, []move{{live: 10, ready: 10, target: 5}, {live: 0, target: 5}}, []int64{10, 5}},
		{"lowered by as many as are Ready", 10, []move{{live: 10, ready: 10, target: 5}, {live: 5, ready: 3, target: 5}}, []int64{7, 5}},
		{"all are Ready", 10, []move{{live: 10, ready: 10, target: 5}, {live: 5, ready: 5, target: 5}}, []int64{5, 5}},
		{"pods that are not Ready are no loss", 10, []move{{live: 10, ready: 4, target: 5}, {live: 0, target: 5}}, []int64{5, 5}},
		{"where no Ready pod is lost first", 10, []move{{live: 8, ready: 8, target: 4}, {live: 8, ready: 2, target: 4}, {live: 0, target: 2}}, []int64{8, 4, 2}},
		{"the last in tie order is lowered first", 9, []move{{live: 5, ready: 5, target: 3}, {live: 5, ready: 5, target: 3}, {live: 3, ready: 1, target: 3}}, []int64{5, 3, 3}},
		{"a lower total is written at once", 4, []move{{live: 5, ready: 5, target: 2}, {live: 5, ready: 5, target: 2}}, []int64{2, 2}},
		{"a lower total keeps what is Ready of it", 4, []move{{live: 5, ready: 5, target: 2}, {live: 5, ready: 0, target: 2}}, []int64{4, 2}},
		{"fewer are Ready than the total asks for", 10, []move{{live: 5, ready: 1, target: 0}, {live: 5, ready: 1, target: 10}}, []int64{1, 10}},
		{"one pod is left pending", 10, []move{{live: 9, ready: 5, target: 4, least: 6}, {live: 6, ready: 6, target: 6}}, []int64{6, 6}},
	}
	for _, c := range cases {
		moves := slices.Clone(c.moves)
		order := make([]int, len(moves))
		for i := range order {
			order[i] = i
		}
		shift(c.total, moves, order)
		for i, m := range moves {
			if m.written != c.want[i] {
				t.Errorf("%s: cluster %d of %+v is written %d, want %d", c.name, i, c.moves, m.written, c.want[i])
			}
		}
	}
}
