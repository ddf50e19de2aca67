package objectstore

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/internal/sleep"
)

// Action is what becomes of a request. The zero Action lets it pass.
type Action struct {
	Delay  time.Duration  // before anything else
	Hang   bool           // no answer until the caller gives up; nothing is done
	Drop   bool           // the connection ends; nothing is done
	Status *metav1.Status // answered instead; nothing is done
	Header http.Header    // of that answer
	// LoseAnswer lets the request be done, and ends the connection before the
	// answer. A watch is not affected once it stands.
	LoseAnswer bool
}

// Fault says what becomes of a request. It must not call the store.
type Fault func(*Request) Action

// faults are what stands between the clients and the store. The store's lock
// protects them.
type faults struct {
	outage   Outage
	restored chan struct{} // closed at the end of an outage
	rules    []Fault
	refusals []Refusal
}

// SetFaults replaces the faults. Of several the first that does not let a request
// pass is heard.
func (s *Store) SetFaults(all ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.rules = all
}

func (s *Store) fault(r *Request) Action {
	s.mu.Lock()
	rules := s.faults.rules
	s.mu.Unlock()
	for _, f := range rules {
		if a := f(r); a.Delay > 0 || a.Hang || a.Drop || a.Status != nil || a.LoseAnswer {
			return a
		}
	}
	return Action{}
}

// before does what an Action does before the request.
func (a *Action) before(ctx context.Context) error {
	if err := sleep.For(ctx, a.Delay); err != nil {
		return err
	}
	if a.Hang {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if a.Drop {
		return errReset
	}
	return nil
}

func (a *Action) answer() *http.Response { return failedWith(*a.Status, a.Header) }

// Outage is a way in which a whole cluster is out of reach.
type Outage string

// The kinds of outage.
const (
	OutageNone   Outage = ""
	OutageRefuse Outage = "refuse" // the process is gone: connections end, new ones are refused
	OutageHang   Outage = "hang"   // the machine is gone: nothing is answered any more
)

// errReset is what a client gets of a connection that the other side ends.
var errReset = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

// SetOutage begins or ends an outage. After one that hangs, watches go on where
// they were, as after a pause of the machine.
func (s *Store) SetOutage(o Outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults.restored != nil {
		close(s.faults.restored)
		s.faults.restored = nil
	}
	s.faults.outage = o
	if o != OutageNone {
		s.faults.restored = make(chan struct{})
	}
	if o == OutageRefuse {
		s.endWatches(errReset)
	}
	for w := range s.watches {
		w.ring()
	}
}

// CutWatches ends all open watches, as an API server that restarts does.
func (s *Store) CutWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endWatches(errReset)
}

// connect lets a request reach the store, or fails as the network does.
func (s *Store) connect(ctx context.Context) error {
	for {
		s.mu.Lock()
		outage, restored := s.faults.outage, s.faults.restored
		s.mu.Unlock()
		switch outage {
		case OutageRefuse:
			address := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 1), Port: 443}
			return &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		case OutageHang:
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-restored:
			}
		case OutageNone:
			return cmp.Or(ctx.Err(), nil)
		}
	}
}
