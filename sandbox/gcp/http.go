package gcp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"

	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

// control serves the requests that are listed in the package comment.
type control struct {
	server *gcetest.Server

	mu     sync.Mutex // protects what follows
	last   int
	faults map[int]*gcetest.FaultHandle
}

func newControl(server *gcetest.Server) http.Handler {
	c := &control{server: server, faults: map[int]*gcetest.FaultHandle{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /gcp/faults", c.add)
	mux.HandleFunc("DELETE /gcp/faults", c.removeAll)
	mux.HandleFunc("DELETE /gcp/faults/{id}", c.remove)
	mux.HandleFunc("GET /gcp/calls", func(w http.ResponseWriter, _ *http.Request) { answer(w, server.Calls()) })
	mux.HandleFunc("DELETE /gcp/calls", func(w http.ResponseWriter, _ *http.Request) { server.ResetCalls(); answer(w, struct{}{}) })
	mux.HandleFunc("GET /gcp/snapshot", func(w http.ResponseWriter, _ *http.Request) { answer(w, server.Snapshot()) })
	mux.HandleFunc("GET /gcp/history", func(w http.ResponseWriter, _ *http.Request) { answer(w, server.History()) })
	return mux
}

// added is the answer to a new fault.
type added struct {
	ID int `json:"id"`
}

func (c *control) add(w http.ResponseWriter, r *http.Request) {
	in := json.NewDecoder(r.Body)
	in.DisallowUnknownFields()
	var f Fault
	if err := in.Decode(&f); err != nil {
		http.Error(w, fmt.Sprintf("decode the fault: %v", err), http.StatusBadRequest)
		return
	}
	fault, err := f.fault()
	if err == nil {
		_, err = regexp.Compile(f.Method)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.faults[c.last] = c.server.Fault(fault)
	answer(w, added{c.last})
}

func (c *control) remove(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, err := strconv.Atoi(r.PathValue("id"))
	handle := c.faults[id]
	if err != nil || handle == nil {
		http.Error(w, fmt.Sprintf("fault %q not found", r.PathValue("id")), http.StatusNotFound)
		return
	}
	handle.Remove()
	delete(c.faults, id)
	answer(w, struct{}{})
}

func (c *control) removeAll(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, handle := range c.faults {
		handle.Remove()
		delete(c.faults, id)
	}
	answer(w, struct{}{})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // fails if the client is gone
}
