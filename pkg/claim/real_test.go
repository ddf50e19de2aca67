package claim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/lab"
)

// instance is what surrounds a Writer in a daemon, as far as claims are concerned.
type instance struct {
	*Writer

	t       *testing.T
	running sync.WaitGroup
	stop    context.CancelFunc
}

// startInstance starts an instance like a separate process.
func startInstance(t *testing.T, federation, dir string, clients map[string]dynamic.Interface) *instance {
	i := &instance{t: t, Writer: Open(Options{Dir: dir, Source: "source"})}
	ctx, cancel := context.WithCancel(t.Context())
	i.stop = cancel
	var names []string
	for name := range clients {
		names = append(names, name)
	}
	i.Members(federation, "source", names)
	i.running.Go(func() { i.Run(ctx) })
	for name, client := range clients {
		i.running.Go(func() {
			for ctx.Err() == nil {
				i.member(ctx, client, i.Claim(name), federation)
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
	t.Cleanup(i.end)
	return i
}

func (i *instance) end() {
	i.stop()
	i.running.Wait()
	if err := i.Close(); err != nil && !strings.Contains(err.Error(), "closed") {
		i.t.Error(err)
	}
}

// member does what a member's session does: it feeds the claim from a watch, and
// follows the verdict.
func (i *instance) member(ctx context.Context, client dynamic.Interface, c *Claim, federation string) {
	leases := client.Resource(Resource).Namespace(Namespace)
	list, err := leases.List(ctx, metav1.ListOptions{FieldSelector: FieldSelector(federation)})
	if err != nil {
		c.Lost(err)
		return
	}
	w, err := leases.Watch(ctx, metav1.ListOptions{FieldSelector: FieldSelector(federation), ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		c.Lost(err)
		return
	}
	defer w.Stop()
	for n := range list.Items {
		c.Saw(FromLease(&list.Items[n]))
	}
	c.Listed(len(list.Items) > 0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.Changed():
		case e, open := <-w.ResultChan():
			if !open {
				c.Lost(nil)
				return
			}
			u, isLease := e.Object.(*unstructured.Unstructured)
			switch {
			case !isLease:
				c.Lost(apierrors.FromObject(e.Object))
				return
			case e.Type == watch.Deleted:
				c.Saw(FromLease(nil))
			default:
				c.Saw(FromLease(u))
			}
		}
		// The next verdict contains an error.
		switch c.Verdict(time.Now()).Action {
		case Refresh:
			_ = c.Refresh(ctx, client)
		case Take:
			_ = c.Take(ctx, client)
		case Wait, Write, Yield, Damaged, Foreign, Blind, Left:
		}
	}
}

// writes reports whether the instance may write to all of the clusters.
func (i *instance) writes(clusters []string) bool {
	for _, name := range clusters {
		if i.Claim(name).Verdict(time.Now()).Action != Write {
			return false
		}
	}
	return true
}

func (i *instance) yields() bool { _, yielded := i.Yielded(); return yielded }

func (i *instance) String() string {
	out := i.Token().Short() + ":"
	for name := range i.claims {
		out += fmt.Sprintf(" %s %+v", name, i.Claim(name).Verdict(time.Now()))
	}
	return out
}

// await waits until yes returns true.
func await(t *testing.T, what string, yes func() bool, all ...*instance) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		if yes() {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond): // the condition concerns several instances and clusters: no bell covers all
		case <-timeout:
			t.Fatalf("not in time: %s: %v", what, all)
		}
	}
}

// lossy loses some answers of writes after they were carried out, and some of the
// requests before.
type lossy struct {
	next http.RoundTripper
	rate float64
}

var errDropped = errors.New("connection dropped by the test")

func (l lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	writes := r.Method != http.MethodGet
	if writes && rand.Float64() < l.rate {
		return nil, errDropped
	}
	answer, err := l.next.RoundTrip(r)
	if err == nil && (writes || r.URL.Query().Get("watch") == "") && rand.Float64() < l.rate {
		_, _ = io.Copy(io.Discard, answer.Body) // discarded
		_ = answer.Body.Close()
		return nil, errDropped
	}
	return answer, err
}

// clients returns clients of every cluster that lose that share of answers.
func clients(t *testing.T, s *lab.Sandbox, rate float64) map[string]dynamic.Interface {
	t.Helper()
	all := map[string]dynamic.Interface{}
	for _, name := range s.Clusters() {
		cfg := rest.CopyConfig(s.RESTConfig(name))
		cfg.QPS = -1
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return lossy{next, rate} })
		client, err := dynamic.NewForConfig(cfg)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = client
	}
	return all
}

// newName returns a federation name that no other test uses.
func newName() string { return fmt.Sprintf("claim-%08x", rand.Uint32()) }

func removeLeases(t *testing.T, s *lab.Sandbox, federation string) {
	for _, name := range s.Clusters() {
		err := s.Dynamic(t, name).Resource(Resource).Namespace(Namespace).Delete(context.WithoutCancel(t.Context()), Name(federation), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	}
}

func TestOfAHundredDoubleStartsOneWriterIsLeftEachTime(t *testing.T) {
	s := lab.Shared(t)
	names := s.Clusters()
	for n := range 100 {
		rate := 0.0
		if n%2 == 1 {
			rate = 0.2
		}
		federation := newName()
		a := startInstance(t, federation, t.TempDir(), clients(t, s, rate))
		b := startInstance(t, federation, t.TempDir(), clients(t, s, rate))
		await(t, fmt.Sprintf("one writer of start %d", n), func() bool {
			return a.writes(names) && b.yields() || b.writes(names) && a.yields()
		}, a, b)
		writer := a
		if b.writes(names) {
			writer = b
		}
		for _, name := range names {
			u, err := s.Dynamic(t, name).Resource(Resource).Namespace(Namespace).Get(t.Context(), Name(federation), metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := FromLease(u).Holder; got != writer.Token() {
				t.Errorf("start %d: %s is held by %s, want %s", n, name, got, writer.Token())
			}
		}
		a.end()
		b.end()
		removeLeases(t, s, federation)
	}
}

func TestARestartClaimsWithoutAWriteAndADeletedLeaseIsWrittenAgain(t *testing.T) {
	s := lab.Shared(t)
	names, federation, dir := s.Clusters(), newName(), t.TempDir()
	defer removeLeases(t, s, federation)
	versions := func() map[string]string {
		all := map[string]string{}
		for _, name := range names {
			u, err := s.Dynamic(t, name).Resource(Resource).Namespace(Namespace).Get(t.Context(), Name(federation), metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			all[name] = u.GetResourceVersion()
			if _, found, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "leaseDurationSeconds"); found {
				t.Errorf("the Lease in %s has a leaseDurationSeconds", name)
			}
		}
		return all
	}
	first := startInstance(t, federation, dir, clients(t, s, 0))
	await(t, "the first writes", func() bool { return first.writes(names) }, first)
	token, before := first.Token(), versions()
	first.end()

	again := startInstance(t, federation, dir, clients(t, s, 0))
	await(t, "the restart writes", func() bool { return again.writes(names) }, again)
	if again.Token() != token {
		t.Errorf("after a restart the token is %s, want %s", again.Token(), token)
	}
	if got := versions(); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Errorf("after a restart the Leases are of versions %v, want %v", got, before)
	}

	removeLeases(t, s, federation)
	await(t, "the deleted Leases are back", func() bool {
		for _, name := range names {
			u, err := s.Dynamic(t, name).Resource(Resource).Namespace(Namespace).Get(t.Context(), Name(federation), metav1.GetOptions{})
			if err != nil || FromLease(u).Holder != token {
				return false
			}
		}
		return again.writes(names)
	}, again)

	// Another start takes over; the previous one stays down when the Leases go.
	newer := startInstance(t, federation, t.TempDir(), clients(t, s, 0))
	await(t, "the newer takes over", func() bool { return newer.writes(names) && again.yields() }, newer, again)
	newer.end()
	removeLeases(t, s, federation)
	await(t, "the older sees that they are gone", func() bool {
		for _, name := range names {
			again.mu.Lock()
			kind := again.claims[name].row.sight.Kind
			again.mu.Unlock()
			if kind != Absent {
				return false
			}
		}
		return true
	}, again)
	for _, name := range names {
		if got := again.Claim(name).Verdict(time.Now()).Action; got != Yield {
			t.Errorf("in %s the verdict is %d, want Yield", name, got)
		}
	}
}

func TestAnInstanceThatMayNotWatchTheClaimDoesNotWrite(t *testing.T) {
	s := lab.Shared(t)
	federation := newName()
	all := clients(t, s, 0)
	blind := s.Clusters()[0]
	client, err := dynamic.NewForConfig(s.Restricted(blind))
	if err != nil {
		t.Fatal(err)
	}
	all[blind] = client
	defer removeLeases(t, s, federation)
	i := startInstance(t, federation, t.TempDir(), all)
	await(t, "it writes elsewhere", func() bool { return i.writes(s.Clusters()[1:]) }, i)
	if got := i.Claim(blind).Verdict(time.Now()).Action; got != Blind {
		t.Errorf("the verdict is %d, want Blind", got)
	}
	findings := i.Findings()
	if len(findings) != 1 || findings[0].ID != "D07" || findings[0].Cluster != blind || !strings.Contains(findings[0].Remedy.String(), "list, watch on leases.coordination.k8s.io") {
		t.Errorf("findings = %v", findings)
	}
}
