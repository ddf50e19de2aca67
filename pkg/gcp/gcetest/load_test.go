package gcetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	compute "google.golang.org/api/compute/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load sends GETs from several clients until stop is closed and counts the answers.
func (s *standIn) load(u string, stop chan struct{}) (answers, failures *atomic.Int64, done *sync.WaitGroup) {
	answers, failures, done = &atomic.Int64{}, &atomic.Int64{}, &sync.WaitGroup{}
	for range 4 {
		done.Go(func() {
			transport := &http.Transport{DialContext: s.DialTraffic}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			for {
				select {
				case <-stop:
					return
				default:
				}
				answer, err := client.Get(u)
				if err != nil {
					failures.Add(1)
					continue
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				answers.Add(1)
				if answer.StatusCode != http.StatusOK {
					failures.Add(1)
				}
			}
		})
	}
	return answers, failures, done
}

func TestNoRequestFailsWhileNodesGoAndTheLoadBalancerChanges(t *testing.T) {
	n, s := threeNodes(t)
	ip := s.build()
	s.until("bs", "neg", "HEALTHY", 3)
	stop := make(chan struct{})
	answers, failures, done := s.load("http://"+ip+"/", stop)
	more := func() {
		for want := answers.Load() + 50; answers.Load() < want; {
			<-n.seen
		}
	}
	more()
	// A node that refuses connections is soon unhealthy; until then a GET is retried.
	n.mu.Lock()
	dead := n.servers["10.0.0.2:30080"]
	delete(n.servers, "10.0.0.2:30080")
	n.mu.Unlock()
	more()
	s.until("bs", "neg", "UNHEALTHY", 1)
	if err := s.patchService(&compute.BackendService{TimeoutSec: 20, ConnectionDraining: &compute.ConnectionDraining{DrainingTimeoutSec: 10}}); err != nil {
		t.Fatal(err)
	}
	more()
	s.done(s.api.NetworkEndpointGroups.DetachNetworkEndpoints(project, zone, "neg", &compute.NetworkEndpointGroupsDetachEndpointsRequest{
		NetworkEndpoints: []*compute.NetworkEndpoint{{Instance: "node-2", IpAddress: "10.0.0.2", Port: 30080}},
	}).Do())
	more()
	n.mu.Lock()
	n.servers["10.0.0.2:30080"] = dead
	n.mu.Unlock()
	s.done(s.api.NetworkEndpointGroups.AttachNetworkEndpoints(project, zone, "neg", &compute.NetworkEndpointGroupsAttachEndpointsRequest{
		NetworkEndpoints: []*compute.NetworkEndpoint{{Instance: "node-2", IpAddress: "10.0.0.2", Port: 30080}},
	}).Do())
	s.until("bs", "neg", "HEALTHY", 3)
	more()
	close(stop)
	done.Wait()
	if failures.Load() != 0 {
		t.Errorf("%d of %d requests failed", failures.Load(), answers.Load())
	}
}

func TestOnlyAGETIsRetried(t *testing.T) {
	n := newNodes(t, 30080, "10.0.0.1", "10.0.0.2")
	s := newStandIn(t, Options{Dial: n.dial, ProbeInterval: time.Hour})
	ip := s.build()
	s.until("bs", "neg", "HEALTHY", 2) // node-3 never answered
	n.mu.Lock()
	delete(n.servers, "10.0.0.2:30080") // no probe notices that
	n.mu.Unlock()
	codes := map[string]int{}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for range 4 {
			r, err := http.NewRequestWithContext(t.Context(), method, "http://"+ip+"/", strings.NewReader(strings.Repeat("x", len(method)-3)))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := s.client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			codes[fmt.Sprint(method, answer.StatusCode)]++
		}
	}
	if codes["GET200"] != 4 || codes["POST200"] != 2 || codes["POST502"] != 2 {
		t.Errorf("got %v", codes)
	}
}

func TestAConnectionIsUpgraded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		line, _ := in.ReadString('\n')
		_, _ = io.WriteString(conn, "echo "+line)
		_ = conn.Close()
	}))
	t.Cleanup(server.Close)
	s := newStandIn(t, Options{ProbeInterval: 10 * time.Millisecond, Dial: func(ctx context.Context, _ string, _ int) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}})
	ip := s.build()
	s.until("bs", "neg", "HEALTHY", 3)
	conn, err := s.DialTraffic(t.Context(), "tcp", ip+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is over
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil) //nolint:bodyclose // the connection is the body
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", answer, err)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if line, err := in.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("got %q, %v", line, err)
	}
}
