package statustest

import (
	"maps"
	"net/http"
	"sync"
)

// gate stands before the fake forge.
type gate struct {
	forge http.Handler

	mu      sync.Mutex       // protects what follows
	fault   http.HandlerFunc // answers in the forge's place; nil lets requests through
	changed chan struct{}    // closed when the fault changes: what hangs is let go
}

func (g *gate) set(fault http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed != nil {
		close(g.changed)
	}
	g.changed = make(chan struct{})
	g.fault = fault
}

// ServeHTTP answers with the fault, or as the forge does.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	fault, changed := g.fault, g.changed
	g.mu.Unlock()
	if fault == nil {
		g.forge.ServeHTTP(w, r)
		return
	}
	fault(w, r)
	if w.Header().Get(hung) != "" {
		select {
		case <-r.Context().Done():
		case <-changed:
		}
	}
}

// hung marks an answer that does not come.
const hung = "X-Hung"

func hang(w http.ResponseWriter, _ *http.Request) { w.Header().Set(hung, "yes") }

// answer answers with the code and the header, and repeats what it was sent: a
// provider must not pass on a forge's words as they are.
func answer(code int, header http.Header) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), header)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(`{"message": "you sent ` + r.Header.Get("Authorization") + ` ` + Token + `"}`))
	}
}

// reset closes the connection without an answer.
func reset(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
