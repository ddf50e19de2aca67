package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// Fronts opens and closes fronts over HTTP. It serves
//
//	POST   /fronts                          opens a front until the request ends: keep reading
//	GET    /fronts/FRONT                    → {"front":…,"servers":{CLUSTER:URL,…}}
//	DELETE /fronts/FRONT
//	POST   /fronts/FRONT/rules              a Rule → the Rule with its id
//	GET    /fronts/FRONT/rules              → [Rule, …]
//	DELETE /fronts/FRONT/rules[/ID]         also releases the requests that a rule holds up
//	GET    /fronts/FRONT/requests           → {"requests":[Request, …],"forgotten":0}
//	DELETE /fronts/FRONT/requests
//	POST   /fronts/FRONT/backups            → {"backup":1}, of all clusters
//	POST   /fronts/FRONT/clusters/CLUSTER/restore?backup=1     → {"server":URL}
//	POST   /fronts/FRONT/clusters/CLUSTER/rebuild, return      → {"server":URL}
//	POST   /fronts/FRONT/clusters/CLUSTER/disconnect
//
// An error is a text: 404 for an unknown name, 400 for an invalid request, 500 for a
// failure.
type Fronts struct {
	mux     *http.ServeMux
	targets []Target
	planes  Planes

	mu    sync.Mutex // protects what follows
	open  map[string]*Front
	last  int
	ended bool
}

// NewFronts returns a Fronts for the given clusters. No front is open yet.
func NewFronts(targets []Target, planes Planes) *Fronts {
	s := &Fronts{mux: http.NewServeMux(), targets: targets, planes: planes, open: map[string]*Front{}}
	s.mux.HandleFunc("POST /fronts", s.openForRequest)
	s.handle("GET /fronts/{front}", func(f *Front, _ *http.Request) (any, error) { return describe(f), nil })
	s.handle("DELETE /fronts/{front}", func(f *Front, _ *http.Request) (any, error) { return struct{}{}, s.close(f) })
	s.handle("POST /fronts/{front}/rules", addRule)
	s.handle("GET /fronts/{front}/rules", func(f *Front, _ *http.Request) (any, error) { return f.Rules(), nil })
	s.handle("DELETE /fronts/{front}/rules", func(f *Front, _ *http.Request) (any, error) { f.RemoveAll(); return struct{}{}, nil })
	s.handle("DELETE /fronts/{front}/rules/{rule}", removeRule)
	s.handle("GET /fronts/{front}/requests", func(f *Front, _ *http.Request) (any, error) { return f.Requests(), nil })
	s.handle("DELETE /fronts/{front}/requests", func(f *Front, _ *http.Request) (any, error) { f.ForgetRequests(); return struct{}{}, nil })
	s.handle("POST /fronts/{front}/backups", backUp)
	s.handle("POST /fronts/{front}/clusters/{cluster}/{action}", act)
	return s
}

// ServeHTTP serves the requests that are listed at [Fronts].
func (s *Fronts) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Open opens a front until it is closed or s is. The front gets a new name if id is "".
func (s *Fronts) Open(id string) (*Front, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, errClosed
	}
	if id == "" {
		s.last++
		id = strconv.Itoa(s.last)
	}
	f, err := Open(id, s.targets, s.planes)
	if err != nil {
		return nil, err
	}
	s.open[id] = f
	return f, nil
}

// Close closes all fronts. No front can be opened afterwards.
func (s *Fronts) Close() error {
	s.mu.Lock()
	s.ended = true
	open := s.open
	s.open = map[string]*Front{}
	s.mu.Unlock()
	var errs []error
	for _, f := range open {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

func (s *Fronts) close(f *Front) error {
	s.mu.Lock()
	delete(s.open, f.id)
	s.mu.Unlock()
	return f.Close()
}

// Description describes how to reach a front.
type Description struct {
	Front   string            `json:"front"`
	Servers map[string]string `json:"servers"` // by cluster
}

func describe(f *Front) Description { return Description{Front: f.id, Servers: f.Servers()} }

// openForRequest opens a front until the client disconnects or closes it, so that a
// test that is killed leaves no control plane behind.
func (s *Fronts) openForRequest(w http.ResponseWriter, r *http.Request) {
	f, err := s.Open("")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, describe(f))
	_ = http.NewResponseController(w).Flush() // fails if the client is gone, which also ends the context
	select {
	case <-r.Context().Done():
	case <-f.closed:
	}
	_ = s.close(f) // the client cannot receive an error any more
}

// errNotFound wraps an error about an unknown name.
type errNotFound struct{ error }

func (s *Fronts) handle(pattern string, do func(*Front, *http.Request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v, err := s.call(r, do)
		var missing errNotFound
		var invalid errInvalid
		switch {
		case errors.As(err, &missing):
			http.Error(w, err.Error(), http.StatusNotFound)
		case errors.As(err, &invalid):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			answer(w, v)
		}
	})
}

// errInvalid wraps an error about an invalid request.
type errInvalid struct{ error }

func (s *Fronts) call(r *http.Request, do func(*Front, *http.Request) (any, error)) (any, error) {
	id := r.PathValue("front")
	s.mu.Lock()
	f, ok := s.open[id]
	var ids []string
	for id := range s.open {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	if !ok {
		slices.Sort(ids)
		return nil, errNotFound{fmt.Errorf("front %q not found: the open fronts are %v", id, ids)}
	}
	return do(f, r)
}

func addRule(f *Front, r *http.Request) (any, error) {
	var rule Rule
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rule); err != nil {
		return nil, errInvalid{fmt.Errorf("decode the rule: %w", err)}
	}
	added, err := f.Add(rule)
	if err != nil {
		return nil, errInvalid{fmt.Errorf("add the rule: %w", err)}
	}
	return added, nil
}

func removeRule(f *Front, r *http.Request) (any, error) {
	id, err := strconv.Atoi(r.PathValue("rule"))
	if err != nil || !f.Remove(id) {
		return nil, errNotFound{fmt.Errorf("rule %q not found", r.PathValue("rule"))}
	}
	return struct{}{}, nil
}

func backUp(f *Front, r *http.Request) (any, error) {
	backup, err := f.Backup(r.Context())
	return map[string]int{"backup": backup}, err
}

func act(f *Front, r *http.Request) (any, error) {
	cluster := r.PathValue("cluster")
	if _, err := f.proxy(cluster); err != nil {
		return nil, errNotFound{err}
	}
	var server string
	var err error
	switch action := r.PathValue("action"); action {
	case "restore":
		backup, convErr := strconv.Atoi(r.FormValue("backup"))
		if convErr != nil {
			return nil, errInvalid{fmt.Errorf("backup: %w", convErr)}
		}
		server, err = f.Restore(r.Context(), cluster, backup)
	case "rebuild":
		server, err = f.Rebuild(r.Context(), cluster)
	case "return":
		server, err = f.Return(cluster)
	case "disconnect":
		err = f.Disconnect(cluster)
	default:
		return nil, errNotFound{fmt.Errorf("unknown action %q: want restore, rebuild, return or disconnect", action)}
	}
	return map[string]string{"server": server}, err
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // fails if the client is gone
}
