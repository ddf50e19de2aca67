package statustest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
)

// gate is a proxy in front of the fake forge.
type gate struct {
	forge  http.Handler
	writes atomic.Int32 // requests that change what the forge has

	mu      sync.Mutex       // protects what follows
	fault   http.HandlerFunc // answers instead of the forge; nil passes requests on
	changed chan struct{}    // closed when the fault changes, to release hanging requests
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
	if writes(r) {
		g.writes.Add(1)
	}
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

// writes reports whether a request changes the forge's data. A request for a token does
// not, nor does a fetch.
func writes(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/access_tokens") && !strings.HasSuffix(r.URL.Path, "/git-upload-pack")
}

// loseAnswer has the forge handle all requests, and drops the answer to the first write.
func (g *gate) loseAnswer() {
	var lost atomic.Bool
	g.set(func(w http.ResponseWriter, r *http.Request) {
		if !writes(r) || lost.Swap(true) {
			g.forge.ServeHTTP(w, r)
			return
		}
		g.forge.ServeHTTP(httptest.NewRecorder(), r)
		reset(w, r)
	})
}

// hung marks an answer that never comes.
const hung = "X-Hung"

func hang(w http.ResponseWriter, _ *http.Request) { w.Header().Set(hung, "yes") }

// stall starts an answer that never ends.
func stall(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte(`[{"id": 1, "state": "`))
	_ = http.NewResponseController(w).Flush() // HTTP/1.1 supports it
	hang(w, r)
}

// answer answers with the code and the header, and echoes the credential: a provider must
// not repeat a forge's message unchanged.
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
