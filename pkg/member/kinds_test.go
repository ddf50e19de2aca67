package member

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// server is an API server, as far as Kinds uses it.
type server struct {
	mu      sync.Mutex // protects the fields below
	err     error      // the answer to a listing
	kinds   map[schema.GroupVersion][]string
	stale   map[schema.GroupVersion]error // versions left out of the listing, and the error for requests for one
	plain   bool                          // lists groups without their kinds
	lists   int                           // requests for the listing
	asked   map[string]int                // requests for one version
	onList  func()                        // called while a listing is under way
	hanging bool                          // no version is answered
}

func newServer() *server {
	return &server{
		kinds: map[schema.GroupVersion][]string{{Version: "v1"}: {"ConfigMap"}, {Group: "apps", Version: "v1"}: {"Deployment"}},
		stale: map[schema.GroupVersion]error{},
		asked: map[string]int{},
	}
}

func (s *server) GroupsAndMaybeResourcesWithContext(context.Context) (
	*metav1.APIGroupList, map[schema.GroupVersion]*metav1.APIResourceList, map[schema.GroupVersion]error, error,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	if s.onList != nil {
		s.onList()
	}
	if s.err != nil {
		return nil, nil, nil, s.err
	}
	groups := map[string]*metav1.APIGroup{}
	resources := map[schema.GroupVersion]*metav1.APIResourceList{}
	failed := map[schema.GroupVersion]error{}
	for gv := range s.kinds {
		g := groups[gv.Group]
		if g == nil {
			g = &metav1.APIGroup{Name: gv.Group}
			groups[gv.Group] = g
		}
		if _, stale := s.stale[gv]; stale && !s.plain {
			failed[gv] = errors.New("stale")
			continue
		}
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version})
		resources[gv] = s.resources(gv)
	}
	list := &metav1.APIGroupList{}
	for _, g := range groups {
		list.Groups = append(list.Groups, *g)
	}
	if s.plain {
		resources = nil
	}
	return list, resources, failed, nil
}

func (s *server) ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error) {
	s.mu.Lock()
	s.asked[groupVersion]++
	hanging := s.hanging
	s.mu.Unlock()
	if hanging {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	gv, err := schema.ParseGroupVersion(groupVersion)
	if err != nil {
		return nil, err
	}
	if err := s.stale[gv]; err != nil {
		return nil, err
	}
	if s.kinds[gv] == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, groupVersion)
	}
	return s.resources(gv), nil
}

func (s *server) resources(gv schema.GroupVersion) *metav1.APIResourceList {
	list := &metav1.APIResourceList{GroupVersion: gv.String()}
	for _, kind := range s.kinds[gv] {
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: kind + "s", Kind: kind, Namespaced: true})
	}
	return list
}

func (s *server) change(f func(*server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

var (
	unavailable = apierrors.NewServiceUnavailable("the server is currently unable to handle the request")
	metrics     = schema.GroupVersion{Group: "metrics.example.com", Version: "v1"}
	pod         = schema.GroupKind{Group: metrics.Group, Kind: "PodMetrics"}
)

// outcome returns the result of a lookup in a word.
func outcome(m *meta.RESTMapping, err error) string {
	var unread *DiscoveryError
	switch {
	case err == nil:
		return m.Resource.Version
	case meta.IsNoMatchError(err):
		return "unknown"
	case errors.As(err, &unread) && unread.All:
		return "nothing read"
	case errors.As(err, &unread):
		return "unread " + unread.Group
	}
	return err.Error()
}

func TestAKindIsUnknownOnlyWhereItsGroupWasRead(t *testing.T) {
	v2 := schema.GroupVersion{Group: metrics.Group, Version: "v2"}
	for _, c := range []struct {
		name     string
		server   func(*server)
		versions []string
		want     string
	}{
		{"a group that is not there", func(*server) {}, nil, "unknown"},
		{"a group that is served", func(s *server) { s.kinds[metrics] = []string{"PodMetrics"} }, nil, "v1"},
		{"a group that is served without the kind", func(s *server) { s.kinds[metrics] = []string{"NodeMetrics"} }, nil, "unknown"},
		{"a version that does not exist", func(s *server) { s.kinds[metrics] = []string{"PodMetrics"} }, []string{"v7"}, "unknown"},
		{"a group whose server is down", func(s *server) {
			s.kinds[metrics] = []string{"PodMetrics"}
			s.stale[metrics] = unavailable
		}, nil, "unread metrics.example.com"},
		{"a stale group that answers by itself", func(s *server) {
			s.kinds[metrics] = []string{"PodMetrics"}
			s.stale[metrics] = nil
		}, nil, "v1"},
		{"a kind in the version that was read", func(s *server) {
			s.kinds[metrics], s.kinds[v2] = []string{"PodMetrics"}, []string{"PodMetrics"}
			s.stale[v2] = unavailable
		}, nil, "v1"},
		{"a kind that only the version that is down can have", func(s *server) {
			s.kinds[metrics], s.kinds[v2] = []string{"NodeMetrics"}, []string{"PodMetrics"}
			s.stale[v2] = unavailable
		}, nil, "unread metrics.example.com"},
		{"the version asked for was read", func(s *server) {
			s.kinds[metrics], s.kinds[v2] = []string{"NodeMetrics"}, []string{"PodMetrics"}
			s.stale[v2] = unavailable
		}, []string{"v1"}, "unknown"},
		{"no listing", func(s *server) { s.err = unavailable }, nil, "nothing read"},
		{"a listing without the core", func(s *server) { delete(s.kinds, schema.GroupVersion{Version: "v1"}) }, nil, "nothing read"},
		{"a server that lists groups alone", func(s *server) {
			s.plain = true
			s.kinds[metrics] = []string{"PodMetrics"}
		}, nil, "v1"},
		{"such a server, and a group that is down", func(s *server) {
			s.plain = true
			s.kinds[metrics] = []string{"PodMetrics"}
			s.stale[metrics] = unavailable
		}, nil, "unread metrics.example.com"},
		{"such a server, and no group", func(s *server) { s.plain = true }, nil, "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer()
			c.server(s)
			kinds := NewKinds(s, time.Second)
			if got := outcome(kinds.RESTMapping(pod, c.versions...)); got != c.want {
				t.Errorf("RESTMapping(%s, %q) = %s, want %s", pod, c.versions, got, c.want)
			}
			if c.want == "nothing read" {
				return
			}
			if got := outcome(kinds.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"})); got != "v1" {
				t.Errorf("another group is %s, want v1", got)
			}
		})
	}
}

func TestAFailureIsAskedAgainAfterAPauseThatGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.kinds[metrics] = []string{"PodMetrics"}
		s.stale[metrics] = unavailable
		kinds := NewKinds(s, time.Second)
		began := time.Now()
		use := func() string {
			kinds.Reset() // does not cut the pause short
			return outcome(kinds.RESTMapping(pod))
		}
		for time.Since(began) < 10*time.Minute {
			if got := use(); got != "unread metrics.example.com" {
				t.Fatalf("after %v it is %s", time.Since(began), got)
			}
			<-time.After(100 * time.Millisecond)
		}
		// 1, 2, 4, 8, 16 and 32 s, then every minute.
		if got := s.asked[metrics.String()]; got < 10 || got > 17 {
			t.Errorf("asked %d times in 10 minutes, want 10 to 17", got)
		}

		s.change(func(s *server) { s.stale = map[schema.GroupVersion]error{} })
		<-time.After(kindsPauseMax)
		if got := use(); got != "v1" {
			t.Errorf("a minute after it is served it is %s, want v1", got)
		}
	})
}

func TestUsesOfABrokenGroupWithoutAResetListTheGroupsOncePerTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.kinds[metrics] = []string{"PodMetrics"}
		s.stale[metrics] = unavailable
		kinds := NewKinds(s, time.Second)
		for range 6000 { // ten minutes
			_, _ = kinds.RESTMapping(pod)
			<-time.After(100 * time.Millisecond)
		}
		if tries := s.asked[metrics.String()]; s.lists > tries+1 || tries > 17 {
			t.Errorf("%d listings and %d tries, want one listing a try and 17 tries at most", s.lists, tries)
		}
		// The group goes away for good: after that is seen it is unknown.
		s.change(func(s *server) { delete(s.kinds, metrics); s.stale = map[schema.GroupVersion]error{} })
		<-time.After(kindsPauseMax)
		_, _ = kinds.RESTMapping(pod)
		if got := outcome(kinds.RESTMapping(pod)); got != "unknown" {
			t.Errorf("a group that went away is %s, want unknown", got)
		}
	})
}

func TestAListingThatFailsIsNotAskedForMoreThanItsPauseAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.err = unavailable
		kinds := NewKinds(s, time.Second)
		for range 600 { // a minute
			if got := outcome(kinds.RESTMapping(pod)); got != "nothing read" {
				t.Fatalf("it is %s", got)
			}
			<-time.After(100 * time.Millisecond)
		}
		if s.lists < 4 || s.lists > 7 {
			t.Errorf("listed %d times in a minute, want 4 to 7", s.lists)
		}
		s.change(func(s *server) { s.err = nil })
		<-time.After(kindsPauseMax)
		if got := outcome(kinds.RESTMapping(pod)); got != "unknown" {
			t.Errorf("after it was listed it is %s, want unknown", got)
		}
	})
}

func TestAGroupThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.kinds[metrics] = []string{"PodMetrics"}
		s.stale[metrics] = unavailable
		s.hanging = true
		kinds := NewKinds(s, 10*time.Second)
		var uses sync.WaitGroup
		for range 20 {
			uses.Go(func() { _, _ = kinds.RESTMapping(pod) })
		}
		synctest.Wait()
		began := time.Now()
		if got := outcome(kinds.RESTMapping(schema.GroupKind{Kind: "ConfigMap"})); got != "v1" || time.Since(began) > 0 {
			t.Errorf("ConfigMap is %s after %v, want v1 at once", got, time.Since(began))
		}
		uses.Wait()
		if got := s.asked[metrics.String()]; got > 2 {
			t.Errorf("20 uses made %d requests, want 1, or 2 after the pause", got)
		}
		kinds.Reset()
		<-time.After(kindsPauseMax)
		uses.Go(func() { _, _ = kinds.RESTMapping(pod) })
		synctest.Wait()
		began = time.Now()
		kinds.Close()
		if uses.Wait(); time.Since(began) > 0 {
			t.Errorf("Close ended the request after %v, want at once", time.Since(began))
		}
	})
}

func TestAResetDuringAListingIsNotLost(t *testing.T) {
	s := newServer()
	kinds := NewKinds(s, time.Second)
	s.onList = func() {
		s.onList = nil
		kinds.Reset()
	}
	if got := outcome(kinds.RESTMapping(pod)); got != "unknown" {
		t.Fatalf("it is %s, want unknown", got)
	}
	s.kinds[metrics] = []string{"PodMetrics"}
	if got := outcome(kinds.RESTMapping(pod)); got != "v1" {
		t.Errorf("after the Reset it is %s, want v1", got)
	}
}

func TestACallerThatGivesUpCausesNoPause(t *testing.T) {
	s := newServer()
	s.kinds[metrics] = []string{"PodMetrics"}
	s.stale[metrics] = nil
	s.hanging = true
	kinds := NewKinds(s, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan string)
	go func() { ended <- outcome(kinds.RESTMappingWithContext(ctx, pod)) }()
	cancel()
	if got := <-ended; got != "unread metrics.example.com" && got != "nothing read" {
		t.Errorf("it is %s", got)
	}
	s.change(func(s *server) { s.hanging = false })
	if got := outcome(kinds.RESTMapping(pod)); got != "v1" {
		t.Errorf("the next caller has %s, want v1", got)
	}
}

func TestDiscoveryErrorNamesTheGroupAndHoldsTheAnswer(t *testing.T) {
	err := fmt.Errorf("apply: %w", &DiscoveryError{Group: "metrics.k8s.io", Err: unavailable})
	if !apierrors.IsServiceUnavailable(err) {
		t.Errorf("%v does not hold the API server's answer", err)
	}
}
