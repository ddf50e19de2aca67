package bounds

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestWorkForOneClusterIsAShareOfTheTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var p pace
		begin := time.Unix(0, 0)
		now, worked := begin, time.Duration(0)
		for range 2000 {
			busy := time.Duration(r.Int64N(int64(20 * time.Millisecond)))
			now, worked = now.Add(busy), worked+busy
			if pause := p.work(busy, now); pause > 0 {
				now = now.Add(pause)
			}
		}
		most := freeWork + time.Duration(float64(now.Sub(begin))*workShare*1.1)
		if worked > most || worked < most/2 {
			t.Fatalf("worked %s of %s, want %s at most, and no less than half of it", worked, now.Sub(begin), most)
		}
	}
}

func TestAClusterThatSendsLittleIsReadAtOnce(t *testing.T) {
	var p pace
	now := time.Unix(0, 0)
	for range 10_000 {
		now = now.Add(10 * time.Millisecond)
		if pause := p.work(2*time.Millisecond, now); pause > 0 {
			t.Fatalf("a pause of %s after %s", pause, now.Sub(time.Unix(0, 0)))
		}
	}
}

func TestAClockThatJumpsPausesShortly(t *testing.T) {
	var p pace
	now := time.Unix(1000, 0)
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 0, 100 * time.Hour} {
		now = now.Add(jump)
		if pause := p.work(jump, now); pause > longestPause {
			t.Errorf("a pause of %s", pause)
		}
	}
}
