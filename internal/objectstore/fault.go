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

// Action is the treatment of a request. The zero Action lets it pass.
type Action struct {
	Delay  time.Duration  // before anything else
	Hang   bool           // no answer until the caller gives up; nothing is executed
	Drop   bool           // the connection ends; nothing is executed
	Status *metav1.Status // the answer; nothing is executed
	Header http.Header    // of that answer
	// LoseAnswer executes the request, and ends the connection before the answer. It does
	// not affect an open watch.
	LoseAnswer bool
}

// Fault returns the treatment of a request. It must not call the store.
type Fault func(*Request) Action

// faults are between the clients and the store. The store's lock protects them.
type faults struct {
	outage   Outage
	restored chan struct{} // closed at the end of an outage
	rules    []Fault
	refusals []Refusal
}

// SetFaults replaces the faults. The first one that does not let a request pass decides.
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

// before executes the part of an Action before the request.
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

// Outage is a way in which a whole cluster is unreachable.
type Outage string

// The kinds of outage.
const (
	OutageNone   Outage = ""
	OutageRefuse Outage = "refuse" // the process is gone: connections end, new ones are refused
	OutageHang   Outage = "hang"   // the machine is gone: nothing is answered
)

// errReset is the client's error when the server ends a connection.
var errReset = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

// SetOutage starts or ends an outage. After OutageHang, watches continue where they were,
// as after a pause of the machine.
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

// CutWatches ends all open watches, as a restart of the API server does.
func (s *Store) CutWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endWatches(errReset)
}

// connect waits until a request can reach the store, or fails as the network does.
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
