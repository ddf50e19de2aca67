package keeper

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/api/compute/v1"
	"google.golang.org/api/option"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// lab is a keeper that works on a stand-in, within a synctest bubble. Its scene defines
// what is wanted.
type lab struct {
	*gcptest.Scene
	t      testing.TB
	server *gcetest.Server
	nodes  *nodeNet
	hand   *compute.Service // of another client
	keys   KeyReader
	log    *zap.Logger
	qps    float64 // the client's, unless 0
	may    atomic.Bool

	quiet  time.Duration // without changes that settle waits for
	broken func()        // when the stand-in breaks a connection, unless nil

	ctx    context.Context // of the lab
	cancel context.CancelFunc

	mu     sync.Mutex // protects what follows: a crash replaces it concurrently
	wire   *wire      // of the keeper that runs
	keeper *Keeper
	stop   func()
}

// current returns the running keeper, and its wire.
func (l *lab) current() (*Keeper, *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keeper, l.wire
}

const labProject = "shop"

// newLab returns a lab of n clusters. The keeper does not run yet.
func newLab(t testing.TB, n int, options ...func(*gcetest.Options)) *lab {
	l := &lab{Scene: gcptest.NewScene(n), t: t, nodes: &nodeNet{dead: map[string]bool{}}, log: zap.NewNop(), quiet: 30 * time.Second, stop: func() {}}
	o := gcetest.Options{Projects: []string{labProject}, OperationTime: operationTimes, Dial: l.nodes.dial}
	for _, set := range options {
		set(&o)
	}
	l.server = gcetest.New(o)
	l.server.AddNetwork(labProject, "default")
	l.may.Store(true)
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(t.Context())) // close ends it, in order
	l.hand, _ = compute.NewService(t.Context(), option.WithEndpoint("http://127.0.0.1/compute/v1/"), option.WithoutAuthentication(),
		option.WithHTTPClient(&http.Client{Transport: &wire{handler: l.server.Handler()}}))
	l.sync()
	return l
}

// close ends everything that runs in the bubble.
func (l *lab) close() {
	l.cancel()
	l.stopping()()
	l.server.Close()
}

// sync sets the machines of the scene in the stand-in.
func (l *lab) sync() {
	for _, m := range l.Machines {
		l.server.SetInstance(instanceOf(m))
	}
}

// want sets the scene's input as the keeper's.
func (l *lab) want() {
	l.sync()
	if keeper, _ := l.current(); keeper != nil {
		keeper.Want(l.input())
	}
}

// input returns a copy of the scene's present input that shares nothing with it.
func (l *lab) input() *gcp.Input {
	l.Now = time.Now()
	in := l.Input()
	f := *l.Federation
	f.Clusters = slices.Clone(f.Clusters)
	in.Federation = &f
	in.Facts.Clusters = maps.Clone(in.Facts.Clusters)
	return &in
}

// start runs a new keeper, without any memory.
func (l *lab) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wire = &wire{handler: l.server.Handler(), mutation: time.Now(), broken: l.broken}
	client, err := gce.New(l.t.Context(), gce.Options{
		Project: labProject, Endpoint: "http://127.0.0.1", QPS: l.qps, Log: l.log,
		HTTPClient: &http.Client{Transport: l.wire},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.keeper = New(Options{Cloud: client, MayWrite: l.may.Load, Keys: l.keys, Log: l.log})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	keeper := l.keeper
	go func() {
		defer close(done)
		keeper.Run(ctx)
	}()
	l.stop = func() {
		cancel()
		<-done
	}
	l.keeper.Want(l.input())
}

// restart kills the keeper and starts another.
func (l *lab) restart() {
	l.stopping()()
	l.start()
}

// stopping returns the function that stops the running keeper.
func (l *lab) stopping() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop
}

// crash kills the keeper, and starts another a second later.
func (l *lab) crash() {
	stop := l.stopping()
	go func() { // since one of its calls is still under way
		stop()
		time.Sleep(time.Second)
		l.start()
	}()
}

// settle waits until nothing is to be done and nothing has changed for a time, and returns
// when the last change was done.
func (l *lab) settle() time.Duration {
	began := time.Now()
	for time.Since(began) < 30*time.Minute {
		time.Sleep(time.Second)
		// An older state proves nothing: the first read may have been repeated.
		keeper, wire := l.current()
		quiet := min(wire.quiet(), time.Since(began))
		if s := keeper.State(); s.Settled && !s.Looked.Before(began) && quiet >= l.quiet {
			return time.Since(began) - quiet
		}
	}
	l.t.Fatalf("not settled after %s:\n%s", time.Since(began), l.status())
	return 0
}

// healthy waits until all clusters serve, and returns how long that took.
func (l *lab) healthy() time.Duration {
	began := time.Now()
	for time.Since(began) < 30*time.Minute {
		if l.serving() == len(l.Federation.Clusters) {
			return time.Since(began)
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.t.Fatalf("not healthy after %s:\n%s", time.Since(began), l.status())
	return 0
}

// serving returns how many clusters serve behind every load balancer, by the keeper.
func (l *lab) serving() int {
	keeper, _ := l.current()
	balancers := keeper.State().Balancers
	if len(balancers) == 0 {
		return 0
	}
	least := len(l.Federation.Clusters)
	for _, b := range balancers {
		n := 0
		for _, c := range b.Clusters {
			if c.State == federation.TrafficServing {
				n++
			}
		}
		least = min(least, n)
	}
	return least
}

// status returns what the keeper knows, for messages.
func (l *lab) status() string {
	keeper, _ := l.current()
	s := keeper.State()
	var b strings.Builder
	fmt.Fprintf(&b, "looked %s ago, settled %v, error %q\n", time.Since(s.Looked), s.Settled, s.Error)
	for _, a := range s.Pending {
		fmt.Fprintf(&b, "  pending %s\n", a)
	}
	for _, f := range s.Findings {
		fmt.Fprintf(&b, "  finding %s %s: %s\n", f.Severity, f.ID, f.Message)
	}
	for i, d := range s.Done {
		if i < 50 {
			fmt.Fprintf(&b, "  done %s %s: %s\n", d.At.Format("15:04:05"), d.Action, d.Error)
		}
	}
	for _, balancer := range s.Balancers {
		for _, c := range balancer.Clusters {
			fmt.Fprintf(&b, "  cluster %s %s %d/%d %s\n", c.Cluster, c.State, c.Healthy, c.Endpoints, c.Reason)
		}
	}
	return b.String()
}

// end returns the state of the stand-in without what differs from run to run: ids, times,
// fingerprints and IPs.
func (l *lab) end() string {
	snapshot := l.server.Snapshot()
	snapshot.Operations = nil
	data, err := json.Marshal(snapshot)
	if err != nil {
		l.t.Fatal(err)
	}
	text := string(data)
	for _, a := range snapshot.Addresses {
		text = strings.ReplaceAll(text, `"`+a.Address+`"`, `"IP of `+a.Name+`"`)
	}
	var content any
	if err := json.Unmarshal([]byte(text), &content); err != nil {
		l.t.Fatal(err)
	}
	data, err = json.MarshalIndent(normal(content), "", " ")
	if err != nil {
		l.t.Fatal(err)
	}
	return string(data)
}

// normal drops what differs from run to run, including rates, which change every minute.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, field := range []string{"id", "creationTimestamp", "fingerprint", "labelFingerprint", "generatedId", "maxRate"} {
			delete(v, field)
		}
		if text, ok := v["description"].(string); ok {
			m := gcp.ReadMark(text)
			m.Rated = time.Time{}
			v["description"] = m.Text()
		}
		for key := range v {
			v[key] = normal(v[key])
		}
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
		slices.SortStableFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return v
}

// changes returns the stand-in's changes since a time, as "method name".
func (l *lab) changes(since time.Time) []string {
	var all []string
	for path, changes := range l.server.History() {
		for _, c := range changes {
			if c.Time.After(since) {
				all = append(all, c.Method+" "+path[strings.LastIndexByte(path, '/')+1:])
			}
		}
	}
	slices.Sort(all)
	return all
}

// callCounts returns how many calls the stand-in received, by method.
func (l *lab) callCounts() map[string]int {
	counts := map[string]int{}
	for _, c := range l.server.Calls() {
		counts[c.Method]++
	}
	return counts
}

// firstDifference returns the first line in which two texts differ, with its context.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i < len(g) && i < len(w) && g[i] == w[i] {
			continue
		}
		from := max(0, i-12)
		return fmt.Sprintf("line %d: got\n%s\nwant\n%s", i, strings.Join(g[min(from, len(g)):min(i+6, len(g))], "\n"), strings.Join(w[min(from, len(w)):min(i+6, len(w))], "\n"))
	}
	return "no difference"
}
