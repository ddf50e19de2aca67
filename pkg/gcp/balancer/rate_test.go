package balancer_test

import (
	"slices"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

func TestRates(t *testing.T) {
	ready := func(n int64) func(*gcptest.Scene) {
		return func(s *gcptest.Scene) {
			s.Change("c1", func(f *federation.ClusterFacts) {
				f.Workloads = slices.Clone(f.Workloads)
				f.Workloads[0].Ready = n
			})
		}
	}
	rate := func(value string) func(*gcptest.Scene) {
		return func(s *gcptest.Scene) { s.Annotate("fedsync.dev/max-rate-per-replica", value) }
	}
	onService := func(s *gcptest.Scene) {
		s.Edit("Service/nginx", "namespace: default}", `namespace: default, annotations: {fedsync.dev/max-rate-per-replica: "10"}}`)
	}
	for name, test := range map[string]struct {
		changes []func(*gcptest.Scene)
		want    float64
	}{
		"by default":     {nil, 3 * balancer.DefaultRate},
		"annotated":      {[]func(*gcptest.Scene){rate("50")}, 150},
		"by the Service": {[]func(*gcptest.Scene){rate("50"), onService}, 30},
		"weight":         {[]func(*gcptest.Scene){rate("50"), func(s *gcptest.Scene) { s.Cluster("c1").Weight = 20 }}, 30},
		"no replica":     {[]func(*gcptest.Scene){rate("50"), ready(0)}, 50},
		"five replicas":  {[]func(*gcptest.Scene){rate("60"), ready(5)}, 300},
		"no number":      {[]func(*gcptest.Scene){rate("many")}, 3 * balancer.DefaultRate},
		"infinite":       {[]func(*gcptest.Scene){rate("+Inf")}, 3 * balancer.DefaultRate},
		"too much":       {[]func(*gcptest.Scene){rate("1e9"), ready(1000)}, 2 * balancer.MaxGroupRate},
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(2)
			for _, change := range test.changes {
				change(s)
			}
			want := s.Build()
			if got := gcptest.RateOf(t, want); got != test.want {
				t.Errorf("rate = %v, want %v", got, test.want)
			}
			backends := gcptest.BackendsOf(t, want, "c1")
			if max(backends[0].MaxRate, backends[1].MaxRate) < min(backends[0].MaxRate, backends[1].MaxRate)*1.9 && test.want < balancer.MaxGroupRate {
				t.Errorf("%v is not split as endpoints are, two to one", backends)
			}
		})
	}
}

func TestRatesChangeInSteps(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Annotate("fedsync.dev/max-rate-per-replica", "100")
	s.Settle(t) // 200 and 100
	s.Pass(balancer.RatePace)
	s.Change("c1", func(f *federation.ClusterFacts) {
		f.Workloads = slices.Clone(f.Workloads)
		f.Workloads[0].Ready = 6
	})
	for i, want := range []float64{330, 363, 399} {
		got := s.Settle(t)
		if rate := gcptest.RateOf(t, got); rate != want {
			t.Errorf("step %d: %v, want %v", i, rate, want)
		}
		if rate := gcptest.RateOf(t, s.Settle(t)); rate != want {
			t.Errorf("step %d within a minute: %v, want %v", i, rate, want)
		}
		s.Pass(time.Minute)
	}
	for range 20 {
		s.Settle(t)
		s.Pass(time.Minute)
	}
	if _, planned, _ := s.Round(); len(planned.Actions) > 0 {
		t.Errorf("it does not come to rest: %v", planned.Actions)
	}
	if rate := gcptest.RateOf(t, s.Build()); rate != 600 {
		t.Errorf("in the end %v, want 600", rate)
	}
}
