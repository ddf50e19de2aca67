package sandbox

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/fedsync/fedsync/sandbox/faults"
)

// prepareFronts makes s.fronts, and opens the first front if the sandbox is faulty.
func (s *Sandbox) prepareFronts() error {
	targets := make([]faults.Target, 0, len(s.clusters))
	for _, c := range s.clusters {
		certificate, authority, err := c.Certificate()
		if err != nil {
			return fmt.Errorf("read the certificate of %s: %w", c.Name(), err)
		}
		targets = append(targets, faults.Target{Cluster: c.Name(), Server: c.Server(), Authority: authority, Certificate: certificate})
	}
	s.fronts = faults.NewFronts(targets, &planes{sandbox: s})
	if !s.options.Faulty {
		return nil
	}
	var err error
	s.faulty, err = listenForFaults(s.fronts)
	return err
}

// faultPort serves a front that is open from the start on a loopback port, for use
// with curl.
type faultPort struct {
	front    *faults.Front
	listener net.Listener
	http     *http.Server
	done     chan struct{}
}

// firstFront is the name of the front of [faultPort].
const firstFront = "sandbox"

func listenForFaults(fronts *faults.Fronts) (*faultPort, error) {
	front, err := fronts.Open(firstFront)
	if err != nil {
		return nil, err
	}
	p := &faultPort{front: front, done: make(chan struct{})}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listen for fault rules: %w", errors.Join(err, front.Close()))
	}
	p.http = &http.Server{Handler: p.guard(fronts), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(p.done)
		_ = p.http.Serve(p.listener) // returns only after close
	}()
	return p, nil
}

// guard refuses requests of web pages in a browser on this machine, which can reach a
// loopback port too.
func (p *faultPort) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != p.listener.Addr().String() || r.Header.Get("Origin") != "" {
			http.Error(w, "requests from browsers are forbidden", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (p *faultPort) url() string {
	return "http://" + p.listener.Addr().String() + "/fronts/" + firstFront
}

func (p *faultPort) close() error {
	err := p.http.Close()
	<-p.done
	return err
}
