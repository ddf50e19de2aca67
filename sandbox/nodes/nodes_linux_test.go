package nodes

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// first is a node of the example, at its node port.
const first = "10.128.0.10:30301"

// play makes the example's nodes answer.
func play(t *testing.T) *Nodes {
	t.Helper()
	n := New(Config{Cluster: "gce-a", Loopback: reserve(t), Log: os.Stderr})
	n.set(example())
	t.Cleanup(n.Close)
	return n
}

// browser is a client that keeps connections open, which is closed at the end.
func browser(t *testing.T, n *Nodes) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: n.config.Loopback.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// ask sends a request on a new connection.
func ask(t *testing.T, n *Nodes, address string) (Answer, error) {
	t.Helper()
	c := browser(t, n)
	defer c.CloseIdleConnections()
	return askBy(c, address)
}

func askBy(c *http.Client, address string) (Answer, error) {
	response, err := c.Get("http://" + address + "/some/path")
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	var a Answer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return Answer{}, err
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("X-Cluster") != a.Cluster || response.Header.Get("X-Pod") != a.Pod {
		return Answer{}, fmt.Errorf("%s with %v and %v", response.Status, response.Header, a)
	}
	return a, nil
}

func TestNodesAnswerWhoTheyAre(t *testing.T) {
	n := play(t)
	got, err := ask(t, n, first)
	if err != nil {
		t.Fatal(err)
	}
	want := Answer{Cluster: "gce-a", Node: "one", Pod: got.Pod, Namespace: "default", Service: "web", Path: "/some/path"}
	if got != want || got.Pod != "a" && got.Pod != "b" {
		t.Errorf("the answer is %+v, want %+v of a or b", got, want)
	}
}

func TestConnectionsGoToPodsInTurnAndStayThere(t *testing.T) {
	n := play(t)
	count := map[string]int{}
	for range 10 {
		a, err := ask(t, n, first)
		if err != nil {
			t.Fatal(err)
		}
		count[a.Pod]++
	}
	if count["a"] != 5 || count["b"] != 5 {
		t.Errorf("ten connections went to %v, want five each", count)
	}
	c := browser(t, n)
	before, err := askBy(c, first)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if a, err := askBy(c, first); err != nil || a.Pod != before.Pod {
			t.Errorf("on the same connection %s answered, then %s (%v)", before.Pod, a.Pod, err)
		}
	}
}

func TestNodesRefuse(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(n *Nodes, k known)
	}{
		{"when no pod is ready", func(n *Nodes, k known) { k.slices = nil; n.set(k) }},
		{"when the Service is gone", func(n *Nodes, k known) { k.services = nil; n.set(k) }},
		{"when the node port is another one", func(n *Nodes, k known) { k.services[0].Spec.Ports[0].NodePort++; n.set(k) }},
		{"when the node is gone", func(n *Nodes, k known) { k.nodes = k.nodes[1:]; n.set(k) }},
		{"when they are killed", func(n *Nodes, _ known) { n.Kill() }},
		{"when they are killed, whatever happens", func(n *Nodes, k known) { n.Kill(); k.nodes = k.nodes[:1]; n.set(k) }},
		{"when they are closed", func(n *Nodes, _ known) { n.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := play(t)
			if _, err := ask(t, n, first); err != nil {
				t.Fatal(err)
			}
			c.change(n, example())
			if a, err := ask(t, n, first); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%+v, %v; want a refusal", a, err)
			}
		})
	}
}

func TestKilledNodesAnswerAgainWhenTheyAreRevived(t *testing.T) {
	n := play(t)
	n.Kill()
	if !n.Killed() {
		t.Error("they are not killed")
	}
	n.Revive()
	if _, err := ask(t, n, first); err != nil {
		t.Error(err)
	}
}

// slow is a request whose body is sent later.
type slow struct {
	conn net.Conn
	in   *bufio.Reader
}

// begin sends the header of a request and returns when a pod waits for its body.
func begin(t *testing.T, n *Nodes) *slow {
	t.Helper()
	c, err := n.config.Loopback.DialContext(t.Context(), "tcp", first)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	s := &slow{conn: c, in: bufio.NewReader(c)}
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
	response, err := http.ReadResponse(s.in, nil)
	if err != nil {
		t.Fatalf("the pod does not wait for the body: %v", err)
	}
	_ = response.Body.Close() // it has none
	if response.StatusCode != http.StatusContinue {
		t.Fatalf("the pod does not wait for the body: %s", response.Status)
	}
	return s
}

// end sends the body and returns the answer's status. The connection must be closed
// after it.
func (s *slow) end() (int, error) {
	_, _ = io.WriteString(s.conn, "x")
	response, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err = io.Copy(io.Discard, response.Body); err != nil {
		return 0, err
	}
	if _, err = s.in.ReadByte(); !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("after the answer: %w, want the connection closed", err)
	}
	return response.StatusCode, nil
}

func TestRequestsUnderWayFinish(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(k *known)
	}{
		{"when their pod is gone", func(k *known) { k.slices[0].Endpoints = nil }},
		{"when their pod is another one", func(k *known) {
			for i := range k.slices[0].Endpoints {
				k.slices[0].Endpoints[i].TargetRef.UID += "-next"
			}
		}},
		{"when the Service is gone", func(k *known) { k.services = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := play(t)
			request := begin(t, n)
			k := example()
			c.change(&k)
			n.set(k)
			if status, err := request.end(); err != nil || status != http.StatusOK {
				t.Errorf("%d, %v", status, err)
			}
		})
	}
}

func TestRequestsToDeadNodesBreakAtOnce(t *testing.T) {
	for name, kill := range map[string]func(*Nodes){
		"killed":  (*Nodes).Kill,
		"removed": func(n *Nodes) { k := example(); k.nodes = k.nodes[1:]; n.set(k) },
	} {
		t.Run(name, func(t *testing.T) {
			n := play(t)
			request := begin(t, n)
			kill(n)
			if _, err := request.in.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("its connection: %v, want it reset", err)
			}
		})
	}
}

func TestAnIdleConnectionEndsWithItsPod(t *testing.T) {
	n := play(t)
	c := browser(t, n)
	before, err := askBy(c, first)
	if err != nil {
		t.Fatal(err)
	}
	k := example()
	k.slices[0].Endpoints = except(k.slices[0].Endpoints, before.Pod)
	n.set(k)
	// The client may find the end of its connection only by trying.
	if a, err := askBy(c, first); err != nil || a.Pod == before.Pod {
		t.Errorf("%+v, %v; want an answer of another pod than %s", a, err, before.Pod)
	}
}

func except(from []discoveryv1.Endpoint, pod string) []discoveryv1.Endpoint {
	var all []discoveryv1.Endpoint
	for _, e := range from {
		if e.TargetRef.Name != pod {
			all = append(all, e)
		}
	}
	return all
}

func TestNodesListenOnABusyPortWhenItIsFree(t *testing.T) {
	l := reserve(t)
	host, _ := l.Of(netip.MustParseAddr("10.128.0.10"))
	other, err := net.Listen("tcp4", net.JoinHostPort(host.String(), "30301"))
	if err != nil {
		t.Fatal(err)
	}
	n := New(Config{Cluster: "gce-a", Loopback: l, Log: io.Discard})
	t.Cleanup(n.Close)
	n.set(example())
	if _, err := ask(t, n, "10.128.0.11:30301"); err != nil {
		t.Errorf("the other node: %v", err)
	}
	_ = other.Close()
	answers(t, n, func(_ Answer, err error) bool { return err == nil })
}

// answers waits for the wanted answer of a node, and returns how long that took.
func answers(t *testing.T, n *Nodes, as func(Answer, error) bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		a, err := ask(t, n, first)
		if as(a, err) {
			return time.Since(began)
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("after 10 s: %+v, %v", a, err)
		}
		<-tick.C
	}
}

// TestNoRequestFailsWhilePodsComeAndGo also gives the race detector concurrent work.
func TestNoRequestFailsWhilePodsComeAndGo(t *testing.T) {
	n := play(t)
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 {
		c := browser(t, n)
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := askBy(c, first); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 200 {
		k := example()
		gone := i % 3 // 2 is none
		if gone < 2 {
			k.slices[0].Endpoints = append(k.slices[0].Endpoints[:gone], k.slices[0].Endpoints[gone+1:]...)
		}
		n.set(k)
	}
	close(stop)
	asking.Wait()
}

func TestLoopbackMapsOnlyNodes(t *testing.T) {
	l := reserve(t)
	for address, want := range map[string]bool{
		"10.128.3.12": true,
		"10.129.3.12": false,
		"10.64.0.1":   false, // a pod
		"127.0.0.1":   false,
		"fd00::1":     false,
	} {
		got, ok := l.Of(netip.MustParseAddr(address))
		if ok != want {
			t.Errorf("Of(%s) = %s, %t; want %t", address, got, ok, want)
		}
		if ok && (!got.IsLoopback() || got.As4()[2] != 3 || got.As4()[3] != 12) {
			t.Errorf("Of(%s) = %s, want 127.N.3.12", address, got)
		}
	}
	if _, err := l.DialContext(t.Context(), "tcp", "127.0.0.1:80"); err == nil {
		t.Error("a host other than a node was reached")
	}
}

func TestTwoSandboxesHaveTheirOwnAddresses(t *testing.T) {
	node := netip.MustParseAddr("10.128.0.10")
	a, _ := reserve(t).Of(node)
	b, _ := reserve(t).Of(node)
	if a == b {
		t.Errorf("both have %s", a)
	}
}

func reserve(t *testing.T) *Loopback {
	t.Helper()
	l, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
