package facts

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/pkg/watch"
)

// rolling returns a Deployment with so many new pods.
func rolling(replicas, ready, updated int, strategy, condition string) string {
	d := deployment(replicas, replicas, ready)
	d = strings.Replace(d, "spec: {", "spec: {strategy: {"+strategy+"}, ", 1)
	return strings.Replace(d, fmt.Sprintf("updatedReplicas: %d,", replicas), fmt.Sprintf("updatedReplicas: %d, conditions: [%s],", updated, condition), 1)
}

func TestPodsThatARolloutMayReplaceAreNotMissing(t *testing.T) {
	for _, c := range []struct {
		name, object string
		want         int64
	}{
		{"by default a quarter, rounded down", rolling(30, 20, 10, "", ""), 7},
		{"a number", rolling(30, 20, 10, "rollingUpdate: {maxUnavailable: 3}", ""), 3},
		{"a percentage", rolling(15, 9, 10, "rollingUpdate: {maxUnavailable: 50%}", ""), 7},
		{"none", rolling(30, 20, 10, "rollingUpdate: {maxUnavailable: 0, maxSurge: 1}", ""), 0},
		{"one where neither fewer nor more may run", rolling(30, 20, 10, "rollingUpdate: {maxUnavailable: 0, maxSurge: 0}", ""), 1},
		{"nonsense", rolling(30, 20, 10, "rollingUpdate: {maxUnavailable: x}", ""), 0},
		{"it is done", rolling(30, 20, 30, "", ""), 0},
		{"its controller has not seen it yet", strings.Replace(rolling(30, 20, 30, "", ""), "metadata: {", "metadata: {generation: 2, ", 1), 7},
		{"it goes on", rolling(30, 20, 10, "", "{type: Progressing, status: 'True'}"), 7},
		{"it has given up", rolling(30, 20, 10, "", "{type: Progressing, status: 'False'}"), 0},
		{"all pods end first", rolling(30, 20, 10, "type: Recreate", ""), 0},
		{"a ReplicaSet", set("nginx", 30, 30, 20, ""), 0},
	} {
		u := membertest.LiveObject(t, []byte(c.object))
		if got := live.Unavailable(u, live.Number(u, 1, "spec", "replicas")); got != c.want {
			t.Errorf("%s: %d pods, want %d", c.name, got, c.want)
		}
	}
}

func TestARollingUpdateDoesNotChangeTheRunningCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gather(t, nil)
		g.emit(podsWatch, watch.Listed)
		g.put(ourDeployments, rolling(30, 30, 30, "", ""))
		for i := range 24 { // nearly three minutes with 6 or 7 pods that are not Ready, different ones each time
			g.put(ourDeployments, rolling(30, 23+i%2, i, "", "{type: Progressing, status: 'True'}"))
			<-time.After(7 * time.Second)
			membertest.Want(t, fmt.Sprintf("after %d s", 7*i), []string{g.workload()}, []string{fmt.Sprintf("30/%d/30 - 0", 23+i%2)})
		}
		g.put(ourDeployments, rolling(30, 20, 24, "", "{type: Progressing, status: 'True'}"))
		<-time.After(time.Minute)
		membertest.Want(t, "more are missing than may be", []string{g.workload()}, []string{"30/20/27 - 0"})
		g.put(ourDeployments, rolling(30, 20, 24, "", "{type: Progressing, status: 'False'}"))
		<-time.After(time.Minute)
		membertest.Want(t, "it has given up", []string{g.workload()}, []string{"30/20/20 - 0"})
	})
}
