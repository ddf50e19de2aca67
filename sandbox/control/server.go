// Package control controls a running sandbox from outside, over HTTP on a Unix socket:
// it pauses, kills and starts clusters, kills their nodes, and serves packages faults
// and gcp.
//
//	GET  /clusters                   → [{"name":…,"state":…,"server":…}, …]
//	POST /clusters/NAME/pause        → {"name":…,"state":"Paused",…}
//	POST /clusters/NAME/resume, kill, start likewise
//	POST /clusters/NAME/kill-nodes   → {"name":…,"nodes":"Killed",…}
//	POST /clusters/NAME/revive-nodes likewise
//	     /fronts…                    see package faults
//	     /gcp/…                      see package gcp
//
// An error is a text that names the failed request: 404 for an unknown name, 409 for
// what the cluster's state does not allow.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/fedsync/fedsync/sandbox/cluster"
)

// Subjects are what is controlled.
type Subjects struct {
	Clusters []*cluster.Cluster
	Fronts   http.Handler // below /fronts
	Nodes    Nodes        // nil if the nodes do not answer
	GCP      http.Handler // below /gcp; nil without a stand-in for Compute Engine
}

// Nodes plays the nodes of clusters.
type Nodes interface {
	KillNodes(cluster string)
	ReviveNodes(cluster string)
	NodesKilled(cluster string) bool
}

// Server serves a Unix socket.
type Server struct {
	subjects Subjects
	listener net.Listener
	http     *http.Server
	done     chan struct{}
}

// longest is the longest path, in bytes, that a Unix socket may have on the strictest
// system.
const longest = 103

// Listen starts to serve a new socket at path.
func Listen(path string, subjects Subjects) (*Server, error) {
	if len(path) > longest {
		return nil, fmt.Errorf("listen on %s: the path of a Unix socket must have at most %d bytes: use a shorter --dir", path, longest)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for control: %w", err)
	}
	s := &Server{subjects: subjects, listener: listener, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /clusters", s.list)
	mux.HandleFunc("POST /clusters/{name}/{action}", s.act)
	mux.Handle("/fronts", subjects.Fronts)
	mux.Handle("/fronts/", subjects.Fronts)
	if subjects.GCP != nil {
		mux.Handle("/gcp/", subjects.GCP)
	}
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(listener) // returns only after Close
	}()
	return s, nil
}

// Address is the path of the socket.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Close stops the server.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}

func (s *Server) list(w http.ResponseWriter, _ *http.Request) {
	all := make([]Cluster, 0, len(s.subjects.Clusters))
	for _, c := range s.subjects.Clusters {
		all = append(all, s.describe(c))
	}
	answer(w, all)
}

func (s *Server) act(w http.ResponseWriter, r *http.Request) {
	c, err := s.named(r.PathValue("name"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	act, ok := map[Action]func(context.Context, *cluster.Cluster) error{
		Pause:       func(_ context.Context, c *cluster.Cluster) error { return c.Pause() },
		Resume:      func(_ context.Context, c *cluster.Cluster) error { return c.Resume() },
		Kill:        func(_ context.Context, c *cluster.Cluster) error { return c.Kill() },
		Start:       func(ctx context.Context, c *cluster.Cluster) error { return c.Start(ctx) },
		KillNodes:   s.onNodes(Nodes.KillNodes),
		ReviveNodes: s.onNodes(Nodes.ReviveNodes),
	}[Action(r.PathValue("action"))]
	if !ok {
		http.Error(w, fmt.Sprintf("unknown action %q: want pause, resume, kill, start, kill-nodes or revive-nodes", r.PathValue("action")), http.StatusNotFound)
		return
	}
	if err := act(r.Context(), c); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	answer(w, s.describe(c))
}

// onNodes returns an action on the nodes of a cluster.
func (s *Server) onNodes(act func(Nodes, string)) func(context.Context, *cluster.Cluster) error {
	return func(_ context.Context, c *cluster.Cluster) error {
		if s.subjects.Nodes == nil {
			return errors.New("the nodes of this sandbox do not answer: start it with --gcp")
		}
		act(s.subjects.Nodes, c.Name())
		return nil
	}
}

func (s *Server) named(name string) (*cluster.Cluster, error) {
	var names []string
	for _, c := range s.subjects.Clusters {
		if c.Name() == name {
			return c, nil
		}
		names = append(names, c.Name())
	}
	return nil, fmt.Errorf("cluster %q not found: the clusters are %s", name, strings.Join(names, ", "))
}

func (s *Server) describe(c *cluster.Cluster) Cluster {
	d := Cluster{Name: c.Name(), State: c.State(), Server: c.Server()}
	if s.subjects.Nodes != nil {
		d.Nodes = cluster.Running
		if s.subjects.Nodes.NodesKilled(c.Name()) {
			d.Nodes = cluster.Killed
		}
	}
	return d
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil && !errors.Is(err, net.ErrClosed) {
		return // the client is gone
	}
}
