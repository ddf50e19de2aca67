package member

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/federation"
)

// unruly is a cluster that misbehaves on request, in answer to everything except
// probes.
type unruly struct {
	store *objectstore.Store

	mu    sync.Mutex // protects the fields below
	bad   bool
	asked []time.Time // other than probes
}

// WrappedRoundTripper is for client-go, which searches for connections to close.
func (u *unruly) WrappedRoundTripper() http.RoundTripper { return http.DefaultTransport }

// RoundTrip implements http.RoundTripper.
func (u *unruly) RoundTrip(req *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GetConn != nil {
		trace.GetConn(req.URL.Host) // otherwise the credentials would seem to fail
	}
	if req.URL.Path == "/readyz" || req.URL.Path == "/version" {
		return u.store.RoundTrip(req)
	}
	u.mu.Lock()
	u.asked = append(u.asked, time.Now())
	bad := u.bad
	u.mu.Unlock()
	if !bad {
		return u.store.RoundTrip(req)
	}
	return &http.Response{
		StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://elsewhere"}},
		Body: io.NopCloser(strings.NewReader("")), Request: req,
	}, nil
}

func (u *unruly) misbehave(bad bool) {
	u.mu.Lock()
	u.bad, u.asked = bad, nil
	u.mu.Unlock()
	u.store.CutWatches()
}

// attempts returns the times of the first requests after pauses, and the number of all
// requests.
func (u *unruly) attempts() (began []time.Time, requests int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, at := range u.asked {
		if i == 0 || at.Sub(u.asked[i-1]) > misbehavedFirst/2 {
			began = append(began, at)
		}
	}
	return began, len(u.asked)
}

// kept is a member of an unruly cluster that runs in a bubble.
type kept struct {
	*Member

	cluster *unruly
	logs    *observer.ObservedLogs
}

// keep runs a member until the bubble ends.
func keep(t *testing.T) *kept {
	t.Helper()
	u := &unruly{store: objectstore.New(objectstore.Options{Name: "asia", Seed: 1})}
	core, logs := observer.New(zapcore.InfoLevel)
	m := New(Options{
		Cluster: federation.Cluster{Name: "asia", Context: "asia"}, Federation: "web", ReadOnly: true,
		Connect: func(string) (Connection, error) {
			return Connection{REST: &rest.Config{Host: "http://asia", Transport: u, QPS: -1}, Digest: "1"}, nil
		},
		Forms: object.NewForms(), Concurrency: 8, RequestTimeout: 10 * time.Second, StatusDeadline: time.Minute, Log: zap.New(core),
	})
	m.Want(federation.ClusterPlan{})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	k := &kept{m, u, logs}
	k.until(t, time.Minute, isReady)
	return k
}

// until waits until the facts satisfy is, and returns how long that took.
func (k *kept) until(t *testing.T, most time.Duration, is func(federation.ClusterFacts) bool) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) { //nolint:forbidigo // the bubble's time
		took := time.Since(began)
		switch facts := k.Outcome().Facts; {
		case is(facts):
			return took
		case took > most:
			t.Fatalf("after %v the cluster is %s, %s (%s), synced %v", took, facts.State, facts.Failure, facts.Error, facts.Synced)
		}
	}
}

func misbehaves(f federation.ClusterFacts) bool {
	return f.State == federation.ClusterUnknown && f.Failure == federation.FailureMisbehaves &&
		strings.Contains(f.Error.String(), "with a redirect to elsewhere") && !f.Synced && !f.Outage
}

func isReady(f federation.ClusterFacts) bool { return f.State == federation.ClusterReady && f.Synced }

func TestAClusterThatMisbehavesIsLeftAloneForLongerAndLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t)
		k.cluster.misbehave(true)
		k.until(t, 5*time.Second, misbehaves)
		told := time.Now()
		for time.Since(told) < time.Hour {
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
			if f := k.Outcome().Facts; !misbehaves(f) {
				t.Fatalf("%v after it was told the cluster is %s, %s (%s)", time.Since(told), f.State, f.Failure, f.Error)
			}
		}
		began, requests := k.cluster.attempts()
		pauses := []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute}
		for i := 1; i < len(began); i++ {
			want := misbehavedLast
			if i <= len(pauses) {
				want = pauses[i-1]
			}
			if got := began[i].Sub(began[i-1]); got < want || got > want+2*time.Second {
				t.Errorf("try %d came %v after the one before, want %v", i+1, got, want)
			}
		}
		if len(began) < 10 || requests > 20*len(began) {
			t.Errorf("%d requests in %d tries, want at least 10 tries of at most 20", requests, len(began))
		}
		if n := k.logs.FilterMessage("cluster misbehaves").Len(); n != len(began) {
			t.Errorf("it is in the log %d times, want once for each of %d tries", n, len(began))
		}
		if n := k.logs.Len(); n > 5*len(began) {
			t.Errorf("%d lines in the log for %d tries", n, len(began))
		}
	})
}

func TestAClusterThatMisbehavedIsOnProbation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t)
		k.cluster.misbehave(true)
		k.until(t, 5*time.Second, misbehaves)
		k.cluster.misbehave(false)
		// The pause, and the same time again without a fault.
		if took := k.until(t, time.Minute, isReady); took < 2*misbehavedFirst-time.Second || took > 2*misbehavedFirst+5*time.Second {
			t.Errorf("it is Ready again after %v, want %v", took, 2*misbehavedFirst)
		}
		if f := k.Outcome().Facts; !f.Error.IsZero() || f.Outage {
			t.Errorf("then it is %+v", f)
		}

		// Again, and soon: the pause is longer.
		k.cluster.misbehave(true)
		k.until(t, 5*time.Second, misbehaves)
		k.cluster.misbehave(false)
		if took := k.until(t, 2*time.Minute, isReady); took < 4*misbehavedFirst-time.Second || took > 4*misbehavedFirst+5*time.Second {
			t.Errorf("the second time it is Ready again after %v, want %v", took, 4*misbehavedFirst)
		}

		// Again during the probation: it does not seem to come and go.
		k.cluster.misbehave(true)
		k.until(t, 5*time.Second, misbehaves)
		k.cluster.misbehave(false)
		time.Sleep(time.Minute + 30*time.Second) //nolint:forbidigo // the bubble's time
		if f := k.Outcome().Facts; f.State != federation.ClusterUnknown || f.Failure != federation.FailureMisbehaves {
			t.Errorf("on probation it is %s, %s", f.State, f.Failure)
		}

		// Forgiven after it has behaved for a long time.
		k.until(t, 5*time.Minute, isReady)
		time.Sleep(forgiven) //nolint:forbidigo // the bubble's time
		k.cluster.misbehave(true)
		k.until(t, 5*time.Second, misbehaves)
		k.cluster.misbehave(false)
		if took := k.until(t, time.Minute, isReady); took > 2*misbehavedFirst+5*time.Second {
			t.Errorf("after it was forgiven it is Ready again after %v, want %v", took, 2*misbehavedFirst)
		}
	})
}

func TestAClusterThatMisbehavesAndGoesAwayIsOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep(t)
		k.cluster.misbehave(true)
		k.until(t, 5*time.Second, misbehaves)
		k.cluster.store.SetOutage(objectstore.OutageRefuse)
		k.until(t, 10*time.Second, func(f federation.ClusterFacts) bool { return f.State == federation.ClusterOffline && f.Outage })
		k.cluster.store.SetOutage(objectstore.OutageNone)
		// It answers again, but still misbehaves.
		k.until(t, 10*time.Second, func(f federation.ClusterFacts) bool {
			return f.State == federation.ClusterUnknown && f.Failure == federation.FailureMisbehaves
		})
	})
}
