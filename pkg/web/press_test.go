package web

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/metrics"
	"github.com/fedsync/fedsync/pkg/status"
)

// presses is a press in a synctest bubble, with counts of what it makes.
type presses struct {
	*press

	made   atomic.Int64
	atOnce atomic.Int64 // how many are being made
	most   atomic.Int64
}

func newPresses() *presses { return &presses{press: newPress(func(int) {})} }

// order is for an answer that takes a second.
func (p *presses) order(key string, size int, lasting bool) order {
	return order{key: key, lasting: lasting, keep: lasting, make: func() ([]byte, error) {
		p.most.Store(max(p.most.Load(), p.atOnce.Add(1)))
		defer p.atOnce.Add(-1)
		<-time.After(time.Second)
		return []byte(strings.Repeat("x", size) + fmt.Sprint(p.made.Add(1))), nil
	}}
}

// ended is a control that records that its reader was ended.
type ended struct {
	httptest.ResponseRecorder
	early atomic.Bool
}

func (e *ended) SetWriteDeadline(time.Time) error { e.early.Store(true); return nil }

func (p *presses) take(t *testing.T, o order) (*reader, *ended) {
	t.Helper()
	e := &ended{}
	r, err := p.read(t.Context(), o, http.NewResponseController(e))
	if err != nil {
		t.Fatal(err)
	}
	return r, e
}

func TestAThousandReadersShareOneEncoding(t *testing.T) {
	for _, lasting := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p := newPresses()
			var running sync.WaitGroup
			for range 1000 {
				running.Go(func() {
					r, _ := p.take(t, p.order("a", 10, lasting))
					defer p.leave(r)
					<-time.After(time.Minute) // it reads
				})
			}
			synctest.Wait()
			p.mu.Lock()
			if n := len(p.waiting); n != 1 {
				t.Errorf("%d keys have waiting readers, want one", n)
			}
			p.mu.Unlock()
			running.Wait()
			// The first reader began one before the others asked.
			want := int64(2)
			if lasting {
				want = 1
			}
			if got := p.made.Load(); got > want {
				t.Errorf("lasting %t: made %d times for 1,000 readers, want %d", lasting, got, want)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if left := len(p.editions); left != 0 && !lasting || lasting && (left != 1 || p.kept == nil) || len(p.waiting) > 0 {
				t.Errorf("lasting %t: %d editions are kept, and %v", lasting, left, p.waiting)
			}
		})
	}
}

func TestOneAnswerIsMadeAtATimeAndNobodyWaitsForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPresses()
		var running sync.WaitGroup
		var busy atomic.Int64
		start := time.Now()
		for i := range 100 {
			running.Go(func() {
				r, err := p.read(t.Context(), p.order(fmt.Sprint(i), 10, i%2 == 0), http.NewResponseController(&ended{}))
				if errors.Is(err, errBusy) {
					busy.Add(1)
					return
				}
				p.leave(r)
			})
		}
		running.Wait()
		if p.most.Load() != 1 {
			t.Errorf("%d were made at a time, want 1", p.most.Load())
		}
		if took := time.Since(start); took > maxWait+2*time.Second || busy.Load()+p.made.Load() != 100 || p.made.Load() < 5 {
			t.Errorf("%d were made and %d refused within %s", p.made.Load(), busy.Load(), took)
		}
	})
}

func TestNoReaderGetsAnAnswerFromBeforeItAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPresses()
		value := "before"
		o := order{key: "metrics", make: func() ([]byte, error) {
			now := value
			<-time.After(time.Second)
			return []byte(now), nil
		}}
		var running sync.WaitGroup
		running.Go(func() { r, _ := p.take(t, o); <-time.After(time.Hour); p.leave(r) })
		synctest.Wait()
		value = "after"
		r, _ := p.take(t, o)
		if string(r.edition.body) != "after" {
			t.Errorf("a later reader got %q", r.edition.body)
		}
		p.leave(r)
		running.Wait()
	})
}

func TestSlowReadersAreEndedToMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPresses()
		p.limit = 1000
		var all []*ended
		for i := range 20 {
			_, e := p.take(t, p.order(fmt.Sprint(i), 300, false))
			all = append(all, e)
		}
		for i, e := range all {
			if early := e.early.Load(); early != (i < 17) {
				t.Errorf("reader %d of 20 was ended: %t", i, early)
			}
		}
		if p.bytes > p.limit {
			t.Errorf("%d bytes are held, want at most %d", p.bytes, p.limit)
		}
	})
}

func TestAnEditionThatIsAskedForAgainIsNotDroppedNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPresses()
		p.limit = 700
		_, first := p.take(t, p.order("first", 300, true))
		_, second := p.take(t, p.order("second", 300, true))
		_, again := p.take(t, p.order("first", 300, true))
		_, third := p.take(t, p.order("third", 300, true))
		if first.early.Load() || again.early.Load() || !second.early.Load() || third.early.Load() || p.made.Load() != 3 {
			t.Errorf("ended: first %t, again %t, second %t, third %t after %d editions; want only the second of 3",
				first.early.Load(), again.early.Load(), second.early.Load(), third.early.Load(), p.made.Load())
		}
	})
}

// Clients that ask for a page and do not read it cost one page together, not one each.
func TestReadersThatDoNotReadShareOnePage(t *testing.T) {
	const readers = 300
	reg := prometheus.NewRegistry()
	metrics, err := metrics.New(reg, "v1")
	if err != nil {
		t.Fatal(err)
	}
	r := largeReport(2000)
	handler := New(Options{Report: func() *status.Report { return r }, AnswerBytes: metrics.AnswerBytes, Gatherer: reg})
	server := httptest.NewServer(handler)
	defer server.Close()
	var held []net.Conn
	for i := range readers {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		path := []string{"/", "/api/v1/report", "/clusters/c1"}[i%3]
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: fedsync\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	for _, conn := range held {
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(line, "200") {
			t.Fatalf("answer = %q, %v", line, err)
		}
	}
	body := get(t, handler, "/metrics").Body.String()
	var bytes float64
	for line := range strings.Lines(body) {
		_, _ = fmt.Sscanf(line, "fedsync_http_answer_bytes %g", &bytes)
	}
	if bytes == 0 || bytes > maxEditions {
		t.Errorf("%g bytes of answers are held for %d readers, want more than 0 and at most %d", bytes, readers, maxEditions)
	}
}

// largeReport returns a report with n objects in each of two clusters.
func largeReport(objects int) *status.Report {
	r := &status.Report{Revision: federation.Revision{SHA: newestSHA}}
	for _, name := range []string{"c1", "c2"} {
		c := status.Cluster{Name: name, State: federation.ClusterReady, Health: federation.Healthy}
		for i := range objects {
			c.Objects = append(c.Objects, federation.Observation{
				Object: federation.ObjectRef{Kind: "Service", Namespace: "default", Name: fmt.Sprintf("service-%d", i)}, Health: federation.Healthy,
			})
		}
		r.Clusters = append(r.Clusters, c)
	}
	return r
}

func TestTheReportEscapesCharactersThatReorderOrHideText(t *testing.T) {
	const tricky = "invoice\u202egnp.exe\u2066\u200b\u00ad\U000e0041\u009b\x7f\ufeff\xff"
	r := &status.Report{Repository: tricky, Findings: []federation.Finding{{File: tricky, Message: untrusted.New(tricky)}}}
	body := get(t, New(Options{Report: func() *status.Report { return r }}), "/api/v1/report").Body.String()
	for _, c := range body {
		if untrusted.Hidden(c) {
			t.Errorf("%q is raw in the report", c)
		}
	}
	var back status.Report
	if err := json.Unmarshal([]byte(body), &back); err != nil {
		t.Fatal(err)
	}
	if want := strings.ToValidUTF8(tricky, "\ufffd"); back.Repository != want || back.Findings[0].File != want {
		t.Errorf("a program reads %q and %q, want %q", back.Repository, back.Findings[0].File, want)
	}
	// Joiners that languages need stay.
	r = &status.Report{Subject: untrusted.New("می\u200cخواهم")}
	if body := get(t, New(Options{Report: func() *status.Report { return r }}), "/api/v1/report").Body.String(); !strings.Contains(body, r.Subject.String()) {
		t.Errorf("the report does not contain %q unchanged", r.Subject)
	}
}
