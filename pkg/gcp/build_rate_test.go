package gcp

import (
	"slices"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestRates(t *testing.T) {
	ready := func(n int64) func(*scene) {
		return func(s *scene) {
			s.change("c1", func(f *federation.ClusterFacts) {
				f.Workloads = slices.Clone(f.Workloads)
				f.Workloads[0].Ready = n
			})
		}
	}
	rate := func(value string) func(*scene) {
		return func(s *scene) { s.annotate("fedsync.dev/max-rate-per-replica", value) }
	}
	onService := func(s *scene) {
		s.edit("Service/nginx", "namespace: default}", `namespace: default, annotations: {fedsync.dev/max-rate-per-replica: "10"}}`)
	}
	for name, test := range map[string]struct {
		changes []func(*scene)
		want    float64
	}{
		"by default":     {nil, 3 * defaultRate},
		"annotated":      {[]func(*scene){rate("50")}, 150},
		"by the Service": {[]func(*scene){rate("50"), onService}, 30},
		"weight":         {[]func(*scene){rate("50"), func(s *scene) { s.cluster("c1").Weight = 20 }}, 30},
		"no replica":     {[]func(*scene){rate("50"), ready(0)}, 50},
		"five replicas":  {[]func(*scene){rate("60"), ready(5)}, 300},
		"no number":      {[]func(*scene){rate("many")}, 3 * defaultRate},
		"infinite":       {[]func(*scene){rate("+Inf")}, 3 * defaultRate},
		"too much":       {[]func(*scene){rate("1e9"), ready(1000)}, 2 * maxGroupRate},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(2)
			for _, change := range test.changes {
				change(s)
			}
			want := s.build()
			if got := rateOf(t, want); got != test.want {
				t.Errorf("rate = %v, want %v", got, test.want)
			}
			backends := backendsOf(t, want, "c1")
			if max(backends[0].MaxRate, backends[1].MaxRate) < min(backends[0].MaxRate, backends[1].MaxRate)*1.9 && test.want < maxGroupRate {
				t.Errorf("%v is not split as endpoints are, two to one", backends)
			}
		})
	}
}

func TestRatesChangeInSteps(t *testing.T) {
	s := newScene(2)
	s.annotate("fedsync.dev/max-rate-per-replica", "100")
	s.settle(t) // 200 and 100
	s.pass(ratePace)
	s.change("c1", func(f *federation.ClusterFacts) {
		f.Workloads = slices.Clone(f.Workloads)
		f.Workloads[0].Ready = 6
	})
	for i, want := range []float64{330, 363, 399} {
		got := s.settle(t)
		if rate := rateOf(t, got); rate != want {
			t.Errorf("step %d: %v, want %v", i, rate, want)
		}
		if rate := rateOf(t, s.settle(t)); rate != want {
			t.Errorf("step %d within a minute: %v, want %v", i, rate, want)
		}
		s.pass(time.Minute)
	}
	for range 20 {
		s.settle(t)
		s.pass(time.Minute)
	}
	if _, planned, _ := s.round(); len(planned.Actions) > 0 {
		t.Errorf("it does not come to rest: %v", planned.Actions)
	}
	if rate := rateOf(t, s.build()); rate != 600 {
		t.Errorf("in the end %v, want 600", rate)
	}
}
