// Package faults puts proxies in front of API servers. By rules, they fail requests in
// the ways that networks, gateways and dying servers do.
//
// A [Front] is a set of TLS proxies, one for each cluster, with one list of rules and
// one log of requests. Each proxy has an address and presents the certificate of the
// API server behind it, so a client needs only another server URL in its kubeconfig.
// Requests that no rule matches pass unchanged, watches included. A proxy can also
// forward to another API server: that of a control plane that was rebuilt, or restored
// from a backup.
//
// Every test opens its own front, so that its rules do not affect other tests. [Fronts]
// opens fronts over HTTP.
package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
)

// Target is a cluster to put a proxy in front of.
type Target struct {
	Cluster     string
	Server      string // URL of its API
	Authority   []byte // PEM; verifies the API server's certificate
	Certificate tls.Certificate
}

// Planes starts other control planes for clusters. They have the same certificates and
// users as the first.
type Planes interface {
	// Backup copies the stored data of all clusters, and returns the directory of
	// the copy.
	Backup(ctx context.Context) (dir string, err error)
	// Start starts a control plane from the directory of a backup, or an empty one
	// if backup is "".
	Start(ctx context.Context, cluster, backup string) (Plane, error)
}

// Plane is a control plane that was started.
type Plane interface {
	Server() string // URL of its API
	Stop() error
}

// Front is a set of proxies with one list of rules. Its methods may be called
// concurrently.
type Front struct {
	id      string
	planes  Planes
	proxies map[string]*Proxy // by cluster
	log     requestLog
	closed  chan struct{}

	mu    sync.Mutex // protects what follows
	rules []*active  // in the order in which they were added
	last  int        // the ID of the newest rule

	switching sync.Mutex // one change of control planes at a time; protects what follows
	backups   []string   // directories; the first is backup 1
	running   map[string]Plane
	ended     bool
}

// logged is the number of requests that a log holds: those of half a minute of a client
// that never pauses. The log counts the requests that it has dropped.
const logged = 200_000

// Open opens a proxy in front of each target.
func Open(id string, targets []Target, planes Planes) (*Front, error) {
	f := &Front{
		id:      id,
		planes:  planes,
		proxies: map[string]*Proxy{},
		log:     requestLog{most: logged},
		closed:  make(chan struct{}),
		running: map[string]Plane{},
	}
	for _, t := range targets {
		p, err := newProxy(f, t)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open a proxy in front of %s: %w", t.Cluster, err), f.Close())
		}
		f.proxies[t.Cluster] = p
	}
	return f, nil
}

// Close removes the rules, closes the proxies and stops the control planes that
// were started for them.
func (f *Front) Close() error {
	f.switching.Lock()
	defer f.switching.Unlock()
	if f.ended {
		return nil
	}
	f.ended = true
	f.RemoveAll()
	var errs []error
	for _, p := range f.proxies {
		errs = append(errs, p.close())
	}
	for _, plane := range f.running {
		errs = append(errs, plane.Stop())
	}
	for _, dir := range f.backups {
		errs = append(errs, os.RemoveAll(dir))
	}
	close(f.closed)
	return errors.Join(errs...)
}

// Servers returns the URLs of the proxies by cluster.
func (f *Front) Servers() map[string]string {
	servers := map[string]string{}
	for cluster, p := range f.proxies {
		servers[cluster] = p.server()
	}
	return servers
}

// Add puts a rule in force and returns it with its ID.
func (f *Front) Add(r Rule) (Rule, error) {
	a, err := compile(r)
	if err != nil {
		return Rule{}, err
	}
	if r.Cluster != "" {
		if _, err := f.proxy(r.Cluster); err != nil {
			return Rule{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	a.ID, a.Applied = f.last, 0
	f.rules = append(f.rules, a)
	return a.Rule, nil
}

// Rules returns the rules in force, spent ones included.
func (f *Front) Rules() []Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Rule, 0, len(f.rules))
	for _, a := range f.rules {
		all = append(all, a.Rule)
	}
	return all
}

// Remove removes a rule and releases the requests that it holds up. It reports whether
// a rule had that ID.
func (f *Front) Remove(id int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.rules, func(a *active) bool { return a.ID == id })
	if i < 0 {
		return false
	}
	close(f.rules[i].removed)
	f.rules = slices.Delete(f.rules, i, i+1)
	return true
}

// RemoveAll removes all rules and releases the requests that they hold up.
func (f *Front) RemoveAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.rules {
		close(a.removed)
	}
	f.rules = nil
}

// Requests returns the log.
func (f *Front) Requests() Requests { return f.log.read() }

// ForgetRequests empties the log.
func (f *Front) ForgetRequests() { f.log.clear() }

// Disconnect breaks all client connections to a cluster.
func (f *Front) Disconnect(cluster string) error {
	p, err := f.proxy(cluster)
	if err != nil {
		return err
	}
	p.disconnect()
	return nil
}

// Backup copies the stored data of all clusters and returns the number of the backup.
func (f *Front) Backup(ctx context.Context) (int, error) {
	f.switching.Lock()
	defer f.switching.Unlock()
	if f.ended {
		return 0, errClosed
	}
	dir, err := f.planes.Backup(ctx)
	if err != nil {
		return 0, err
	}
	f.backups = append(f.backups, dir)
	return len(f.backups), nil
}

// Restore starts a control plane of a cluster from a backup, makes the proxy forward to
// it, breaks the clients' connections and returns the URL of the new API server. The
// cluster's first control plane continues to run, for all but the clients of this front.
func (f *Front) Restore(ctx context.Context, cluster string, backup int) (server string, err error) {
	return f.replace(cluster, func() (Plane, error) {
		if backup < 1 || backup > len(f.backups) {
			return nil, fmt.Errorf("backup %d not found: there are %d", backup, len(f.backups))
		}
		return f.planes.Start(ctx, cluster, f.backups[backup-1])
	})
}

// Rebuild is like Restore, with an empty control plane.
func (f *Front) Rebuild(ctx context.Context, cluster string) (server string, err error) {
	return f.replace(cluster, func() (Plane, error) { return f.planes.Start(ctx, cluster, "") })
}

// Return makes the proxy forward to the cluster's first control plane again.
func (f *Front) Return(cluster string) (server string, err error) {
	return f.replace(cluster, func() (Plane, error) { return original{f.proxies[cluster].target.Server}, nil })
}

// original is the first control plane of a cluster.
type original struct{ server string }

func (o original) Server() string { return o.server }
func (o original) Stop() error    { return nil } // other fronts use it too

func (f *Front) replace(cluster string, start func() (Plane, error)) (string, error) {
	p, err := f.proxy(cluster)
	if err != nil {
		return "", err
	}
	f.switching.Lock()
	defer f.switching.Unlock()
	if f.ended {
		return "", errClosed
	}
	plane, err := start()
	if err != nil {
		return "", err
	}
	before := f.running[cluster]
	f.running[cluster] = plane
	if err := p.forwardTo(plane.Server()); err != nil {
		return "", err
	}
	if before != nil {
		err = before.Stop()
	}
	return plane.Server(), err
}

var errClosed = errors.New("the front is closed")

func (f *Front) proxy(cluster string) (*Proxy, error) {
	if p, ok := f.proxies[cluster]; ok {
		return p, nil
	}
	var names []string
	for name := range f.proxies {
		names = append(names, name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("cluster %q not found: the clusters are %s", cluster, strings.Join(names, ", "))
}

// inspected is how many bytes of a body rules are matched against.
const inspected = 1 << 20

// match returns the rule that applies to r, or nil, and counts the application.
func (f *Front) match(cluster string, r *http.Request) (*active, error) {
	var body []byte
	if f.needsBody(cluster, r) {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, inspected)); err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
		r.Body = readCloser{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range slices.Backward(f.rules) {
		if a.spent() || !a.matchesHead(cluster, r) || a.body != nil && !a.body.Match(body) {
			continue
		}
		if a.seen++; a.seen <= a.Skip {
			continue
		}
		a.Applied++
		return a, nil
	}
	return nil, nil //nolint:nilnil // No rule is the usual case.
}

// needsBody reports whether the body decides which rule applies.
func (f *Front) needsBody(cluster string, r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.rules, func(a *active) bool {
		return a.body != nil && !a.spent() && a.matchesHead(cluster, r)
	})
}

type readCloser struct {
	io.Reader
	io.Closer
}
