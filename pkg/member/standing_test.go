package member

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/probe"
)

var began = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// after returns the time that many seconds later.
func after(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }

func reported(state federation.ClusterState, seconds int) probed {
	p := probe.Probe{State: state, Since: after(seconds)}
	switch state {
	case federation.ClusterOffline, federation.ClusterNotReady:
		p.Failure, p.Away = federation.FailureRefused, after(seconds)
	case federation.ClusterUnknown:
		p.Failure = federation.FailureUnauthorised
	case federation.ClusterPending, federation.ClusterReady:
	}
	return probed{p}
}

func TestFactsFollowFromEvents(t *testing.T) {
	ready, offline, unknown := federation.ClusterReady, federation.ClusterOffline, federation.ClusterUnknown
	for _, test := range []struct {
		name   string
		events []event
		want   federation.ClusterFacts
	}{
		{
			"a cluster answers, and everything is listed",
			[]event{connected{}, reported(ready, 1), identified{"u"}, listed{}},
			federation.ClusterFacts{State: ready, Since: after(1), UID: "u", Synced: true, Seen: true},
		},
		{
			"a cluster that answers is not known before its lists are",
			[]event{connected{}, reported(ready, 1), identified{"u"}},
			federation.ClusterFacts{State: ready, Since: after(1), UID: "u"},
		},
		{
			"what was listed is of before once the cluster is Offline",
			[]event{reported(ready, 1), listed{}, reported(offline, 2)},
			federation.ClusterFacts{
				State: offline, Since: after(2), AwaySince: after(2), Failure: federation.FailureRefused, Seen: true, Outage: true,
			},
		},
		{
			"an outage is not over with the first answer",
			[]event{reported(ready, 1), listed{}, reported(offline, 2), reported(ready, 3)},
			federation.ClusterFacts{State: ready, Since: after(3), AwaySince: after(2), Seen: true, Outage: true},
		},
		{
			"an outage is over when the lists are there",
			[]event{reported(ready, 1), listed{}, reported(offline, 2), reported(ready, 3), listed{}},
			federation.ClusterFacts{State: ready, Since: after(3), Seen: true, Synced: true},
		},
		{
			"lists that come when the cluster is Offline again are of before",
			[]event{reported(offline, 2), listed{}},
			federation.ClusterFacts{
				State: offline, Since: after(2), AwaySince: after(2), Failure: federation.FailureRefused, Outage: true,
			},
		},
		{
			"a refusal does not make an outage younger",
			[]event{reported(offline, 2), reported(unknown, 9)},
			federation.ClusterFacts{
				State: unknown, Since: after(9), AwaySince: after(2), Failure: federation.FailureUnauthorised, Outage: true,
			},
		},
		{
			"what was refused meanwhile has to be listed again",
			[]event{reported(ready, 1), listed{}, reported(unknown, 2), reported(ready, 3)},
			federation.ClusterFacts{State: ready, Since: after(3), Seen: true},
		},
		{
			"a cluster that is not let in keeps what is known of it",
			[]event{reported(ready, 1), listed{}, reported(unknown, 2)},
			federation.ClusterFacts{State: unknown, Since: after(2), Failure: federation.FailureUnauthorised, Seen: true, Synced: true},
		},
		{
			"facts that are out of sight for long may be old",
			[]event{reported(ready, 1), listed{}, outOfSight{}},
			federation.ClusterFacts{State: ready, Since: after(1), Seen: true},
		},
		{
			"a new connection may lead to another cluster",
			[]event{reported(ready, 1), identified{"u"}, listed{}, connected{}},
			federation.ClusterFacts{State: ready, Since: after(1), Seen: true},
		},
		{
			"without a way to it a cluster is Unknown, and not absent",
			[]event{reported(ready, 1), listed{}, disconnected{federation.FailureContext, untrusted.New("no context"), after(5)}},
			federation.ClusterFacts{
				State: unknown, Since: after(5), Failure: federation.FailureContext, Error: untrusted.New("no context"), Seen: true,
			},
		},
		{
			"another reason of the same class is not another state",
			[]event{
				disconnected{federation.FailureFiles, untrusted.New("no token"), after(5)},
				disconnected{federation.FailureFiles, untrusted.New("an empty token"), after(6)},
			},
			federation.ClusterFacts{State: unknown, Since: after(5), Failure: federation.FailureFiles, Error: untrusted.New("an empty token")},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			facts := federation.ClusterFacts{State: federation.ClusterPending, Since: began}
			for _, e := range test.events {
				facts = next(facts, e)
			}
			if diff := cmp.Diff(test.want, facts); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}
