package web

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/web/gate"
)

var crowdSecret = []byte("a secret that nobody knows")

func signature(body string) string {
	mac := hmac.New(sha256.New, crowdSecret)
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func deliveryHandler(nudge func()) http.Handler {
	return New(Options{Nudge: nudge, WebhookSecret: func() ([]byte, error) { return crowdSecret, nil }})
}

// begin sends the head of a delivery.
func begin(conn net.Conn, length int, signature string) error {
	_, err := fmt.Fprintf(conn, "POST /webhook/gitea HTTP/1.1\r\nHost: fedsync\r\nX-Gitea-Signature: %s\r\nContent-Length: %d\r\n\r\n", signature, length)
	return err
}

func TestACrowdOfStrangersCostsLittleMemory(t *testing.T) {
	const crowd = 2000
	var nudges atomic.Int64
	server := httptest.NewServer(deliveryHandler(func() { nudges.Add(1) }))
	defer server.Close()
	part := make([]byte, maxDelivery-1000)

	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var running sync.WaitGroup
	var codes sync.Map // how many answers had a status
	count := func(code int) {
		n, _ := codes.LoadOrStore(code, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
	}
	held := make(chan net.Conn, crowd)
	for i := range crowd {
		running.Go(func() {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			held <- conn
			wrong := strings.Repeat("ab", sha256.Size)
			if i%4 == 0 {
				wrong = "" // malformed
			}
			if begin(conn, maxDelivery, wrong) != nil {
				return
			}
			// Everything but the end of the body. A client that is refused at
			// once sees the connection closed.
			_, _ = conn.Write(part)
			_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				count(response.StatusCode)
				_ = response.Body.Close()
			}
		})
	}
	running.Wait()
	runtime.GC()
	runtime.ReadMemStats(&now)
	close(held)
	for conn := range held {
		_ = conn.Close()
	}
	// Client and server together: goroutines and buffers of 2,000 connections.
	if grown := int64(now.Sys-before.Sys) >> 20; grown > 256 {
		t.Errorf("memory grew by %d MiB, want less than the 2,000 MiB of the bodies", grown)
	}
	t.Logf("heap: %d MiB, growth: %d MiB from the system", now.HeapAlloc>>20, (now.Sys-before.Sys)>>20)
	codes.Range(func(code, n any) bool {
		t.Logf("%v: %d answers", code, n.(*atomic.Int64).Load())
		if code != http.StatusForbidden && code != http.StatusServiceUnavailable {
			t.Errorf("status for a stranger: %v", code)
		}
		return true
	})
	if nudges.Load() > 0 {
		t.Errorf("%d polls for strangers", nudges.Load())
	}

	// When the crowd is gone, a delivery is accepted.
	for deadline := time.Now().Add(10 * time.Second); nudges.Load() == 0 && time.Now().Before(deadline); {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/webhook/gitea", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Gitea-Signature", signature("{}"))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	if nudges.Load() == 0 {
		t.Error("no delivery is accepted after the crowd")
	}
}

// pipes is a listener in the process, so that the clock of a synctest bubble applies.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, errors.New("closed")
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

func TestSlowDeliveriesLockOthersOutOnlyForSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nudges := 0
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		ctx, end := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = gate.Serve(ctx, l, deliveryHandler(func() { nudges++ }), gate.Options{}) })
		defer func() { end(); running.Wait() }()
		answer := func(conn net.Conn) reply {
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			return reply{response.StatusCode, response.Status, response.Header}
		}
		deliver := func() reply {
			conn := l.dial()
			defer func() { _ = conn.Close() }()
			running.Go(func() { // a pipe has no buffer, and a refusal does not read the body
				_ = begin(conn, 2, signature("{}"))
				_, _ = conn.Write([]byte("{}"))
			})
			return answer(conn)
		}

		slow := make([]net.Conn, maxDeliveries)
		for i := range slow {
			slow[i] = l.dial()
			if err := begin(slow[i], 10, signature("{}")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if r := deliver(); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
			t.Errorf("during %d slow deliveries, another is answered %s, Retry-After %q", maxDeliveries, r.Status, r.Header.Get("Retry-After"))
		}
		start := time.Now()
		for _, conn := range slow {
			if r := answer(conn); r.StatusCode != http.StatusBadRequest {
				t.Errorf("a slow delivery is answered %s", r.Status)
			}
			_ = conn.Close()
		}
		if took := time.Since(start); took > deliveryTimeout {
			t.Errorf("slow deliveries are read for %s, want %s", took, deliveryTimeout)
		}
		if r := deliver(); r.StatusCode != http.StatusAccepted || nudges != 1 {
			t.Errorf("after them, a delivery is answered %s with %d polls, want one", r.Status, nudges)
		}
	})
}

func TestADeliveryWithoutSignatureIsNotRead(t *testing.T) {
	for _, signature := range []string{"", "ab", strings.Repeat("z", 64), strings.Repeat("ab", 33)} {
		body := &countingReader{}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook/gitea", body)
		r.Header.Set("X-Gitea-Signature", signature)
		w := httptest.NewRecorder()
		deliveryHandler(func() {}).ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || body.reads > 0 {
			t.Errorf("signature %q: %d after %d reads, want 403 after none", signature, w.Code, body.reads)
		}
	}
}

type countingReader struct{ reads int }

func (c *countingReader) Read([]byte) (int, error) { c.reads++; return 0, io.EOF }

// reply is an answer whose body was read.
type reply struct {
	StatusCode int
	Status     string
	Header     http.Header
}
