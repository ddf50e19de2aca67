package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/lab/faults"
)

// Front is a proxy in front of each cluster, for one test:
//
//	front := lab.Shared(t).Faults(t)
//	cfg.Kubeconfig = front.Kubeconfig()
//	asia := front.Proxy(front.Clusters()[0])
//	rule := asia.Add(faults.Rule{Method: "PATCH", Path: faults.Resource("configmaps"), Action: faults.Hang})
//	…
//	rule.Remove()
//
// Its rules and its log concern only the test's own requests, so the clusters may be
// shared. Its methods fail the test when the sandbox does not do what they ask, so they
// must be called from the goroutine that runs the test.
type Front struct {
	tb         testing.TB
	sandbox    *Sandbox
	kubeconfig string
	lent       struct {
		Front   string            `json:"front"`
		Servers map[string]string `json:"servers"`
	}
	behind map[string]string // by cluster: the API server behind the proxy, if it is not the cluster's own
}

// Faults puts proxies in front of the clusters until the test ends. Without rules the
// proxies change nothing.
func (s *Sandbox) Faults(tb testing.TB) *Front {
	tb.Helper()
	f := &Front{tb: tb, sandbox: s, behind: map[string]string{}}
	// The sandbox closes the front when this request ends, so the front ends with
	// this program, too.
	held, err := s.request(context.WithoutCancel(tb.Context()), http.MethodPost, "/fronts", nil)
	if err == nil {
		err = json.NewDecoder(held).Decode(&f.lent)
	}
	if err != nil {
		tb.Fatalf("put proxies in front of the clusters: %v", err)
	}
	tb.Cleanup(func() { f.close(held) })
	f.kubeconfig = s.writeKubeconfig(tb, func(name string, cluster *clientcmdapi.Cluster, _ *clientcmdapi.AuthInfo) {
		cluster.Server = f.lent.Servers[name]
	})
	return f
}

func (f *Front) close(held io.Closer) {
	f.tb.Helper()
	if err := f.sandbox.control(f.tb.Context(), http.MethodDelete, f.path(""), nil, nil); err != nil {
		f.tb.Errorf("close the proxies: %v", err)
	}
	_ = held.Close() // the sandbox has ended the answer
}

func (f *Front) path(rest string) string { return "/fronts/" + f.lent.Front + rest }

func (f *Front) call(what, method, path string, in, out any) {
	f.tb.Helper()
	if err := f.sandbox.control(f.tb.Context(), method, f.path(path), in, out); err != nil {
		f.tb.Fatalf("%s: %v", what, err)
	}
}

// Clusters returns the names of the clusters.
func (f *Front) Clusters() []string { return f.sandbox.Clusters() }

// Kubeconfig returns the path of a kubeconfig like that of [Sandbox.Kubeconfig] whose
// servers are the proxies.
func (f *Front) Kubeconfig() string { return f.kubeconfig }

// RestrictedKubeconfig is like Kubeconfig, for [RestrictedUser].
func (f *Front) RestrictedKubeconfig() string {
	f.tb.Helper()
	return f.sandbox.writeKubeconfig(f.tb, func(name string, cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) {
		cluster.Server, user.Token = f.lent.Servers[name], f.sandbox.description.Restricted[name]
	})
}

// Rule is a handle to one or more rules that were added to a front.
type Rule struct {
	front *Front
	ids   []int
}

// Add puts rules in force. A rule that names no cluster is for all clusters.
func (f *Front) Add(rules ...faults.Rule) *Rule {
	f.tb.Helper()
	added := &Rule{front: f}
	for _, r := range rules {
		var created struct {
			ID int `json:"id"`
		}
		f.call("add a rule", http.MethodPost, "/rules", r, &created)
		added.ids = append(added.ids, created.ID)
	}
	return added
}

// Remove removes the rule. The requests that it held up continue.
func (r *Rule) Remove() {
	r.front.tb.Helper()
	for _, id := range r.ids {
		r.front.call("remove a rule", http.MethodDelete, fmt.Sprintf("/rules/%d", id), nil, nil)
	}
	r.ids = nil
}

// Applied returns how many times the rule applied.
func (r *Rule) Applied() int {
	r.front.tb.Helper()
	var all []struct{ ID, Applied int }
	r.front.call("read the rules", http.MethodGet, "/rules", nil, &all)
	n := 0
	for _, known := range all {
		for _, id := range r.ids {
			if known.ID == id {
				n += known.Applied
			}
		}
	}
	return n
}

// Await waits until the rule has applied n times.
func (r *Rule) Await(n int) {
	r.front.tb.Helper()
	await(r.front.tb, fmt.Sprintf("the rule applies %d times", n), func() bool { return r.Applied() >= n })
}

// RemoveAll removes all rules.
func (f *Front) RemoveAll() {
	f.tb.Helper()
	f.call("remove all rules", http.MethodDelete, "/rules", nil, nil)
}

// Requests returns all requests to the proxies since the front was opened or the log
// cleared, including refused ones.
func (f *Front) Requests() faults.Requests {
	f.tb.Helper()
	var log struct {
		Requests  faults.Requests `json:"requests"`
		Forgotten int             `json:"forgotten"`
	}
	f.call("read the log of requests", http.MethodGet, "/requests", nil, &log)
	if log.Forgotten > 0 {
		f.tb.Fatalf("read the log of requests: it is full; %d requests are missing", log.Forgotten)
	}
	return log.Requests
}

// ClearRequests empties the log.
func (f *Front) ClearRequests() {
	f.tb.Helper()
	f.call("empty the log of requests", http.MethodDelete, "/requests", nil, nil)
}

// Backup is a copy of what all clusters stored at one time.
type Backup struct {
	id int
}

// Backup copies what all clusters store now, for [Proxy.Restore] in this test. It
// takes some tenths of a second, in which no cluster answers.
func (f *Front) Backup() Backup {
	f.tb.Helper()
	var taken struct {
		Backup int `json:"backup"`
	}
	f.call("take a backup", http.MethodPost, "/backups", nil, &taken)
	return Backup{taken.Backup}
}

// Proxy is a proxy in front of one cluster.
type Proxy struct {
	front   *Front
	cluster string
}

// Proxy returns the proxy in front of a cluster.
func (f *Front) Proxy(cluster string) *Proxy {
	f.tb.Helper()
	if f.lent.Servers[cluster] == "" {
		f.tb.Fatalf("no cluster %q; there are %s", cluster, strings.Join(f.Clusters(), ", "))
	}
	return &Proxy{front: f, cluster: cluster}
}

// Cluster returns the name of the cluster behind the proxy.
func (p *Proxy) Cluster() string { return p.cluster }

// RESTConfig returns an administrator's access to the cluster through the proxy.
func (p *Proxy) RESTConfig() *rest.Config {
	config := p.front.sandbox.RESTConfig(p.cluster)
	config.Host = p.front.lent.Servers[p.cluster]
	return config
}

// Restricted returns the access of [RestrictedUser] through the proxy.
func (p *Proxy) Restricted() *rest.Config {
	config := p.front.sandbox.Restricted(p.cluster)
	config.Host = p.front.lent.Servers[p.cluster]
	return config
}

// Direct returns an administrator's access to the API server that is behind the proxy
// now. It bypasses the proxy.
func (p *Proxy) Direct() *rest.Config {
	config := p.front.sandbox.RESTConfig(p.cluster)
	if server := p.front.behind[p.cluster]; server != "" {
		config.Host = server
	}
	return config
}

// Client returns an administrator's client that bypasses the proxy, to read and change
// what is behind it.
func (p *Proxy) Client() kubernetes.Interface {
	p.front.tb.Helper()
	client, err := kubernetes.NewForConfig(p.Direct())
	if err != nil {
		p.front.tb.Fatalf("make a client of %s: %v", p.cluster, err)
	}
	return client
}

// Dynamic is like Client, for any kind.
func (p *Proxy) Dynamic() dynamic.Interface {
	p.front.tb.Helper()
	client, err := dynamic.NewForConfig(p.Direct())
	if err != nil {
		p.front.tb.Fatalf("make a client of %s: %v", p.cluster, err)
	}
	return client
}

// Add puts rules in force for the cluster.
func (p *Proxy) Add(rules ...faults.Rule) *Rule {
	p.front.tb.Helper()
	ours := slices.Clone(rules)
	for i := range ours {
		ours[i].Cluster = p.cluster
	}
	return p.front.Add(ours...)
}

// Requests is like [Front.Requests], for this cluster.
func (p *Proxy) Requests() faults.Requests {
	p.front.tb.Helper()
	return p.front.Requests().Where(func(r faults.Request) bool { return r.Cluster == p.cluster })
}

// Await waits until a request has come for which match returns true, and returns the
// first.
func (p *Proxy) Await(what string, match func(faults.Request) bool) faults.Request {
	p.front.tb.Helper()
	var found faults.Requests
	await(p.front.tb, what, func() bool {
		found = p.Requests().Where(match)
		return len(found) > 0
	})
	return found[0]
}

// Disconnect breaks all clients' connections.
func (p *Proxy) Disconnect() { p.front.tb.Helper(); p.do("disconnect") }

// Restore replaces the control plane behind the proxy by one that starts from a
// backup. Every object has the state and the resourceVersion that it had at the
// backup, and the next write reuses the resourceVersion of a later write. The new
// control plane has the same address, certificate, users and nodes, and controllers of
// its own. The clients' connections break. Restore returns when the new control plane
// answers and its nodes are ready.
//
// The new controllers write some dozens of times when they start. If there were no
// more writes than that since the backup, lists have no lower resourceVersion than
// before: see [Proxy.Advance].
//
// The cluster itself continues to run for all clients that do not use this proxy; see
// [Proxy.Direct].
func (p *Proxy) Restore(b Backup) {
	p.front.tb.Helper()
	p.do(fmt.Sprintf("restore?backup=%d", b.id))
}

// Rebuild is like Restore, but starts from nothing: the namespaces have other UIDs,
// and resourceVersions start at 1.
func (p *Proxy) Rebuild() { p.front.tb.Helper(); p.do("rebuild") }

// Return puts the cluster itself behind the proxy again.
func (p *Proxy) Return() { p.front.tb.Helper(); p.do("return") }

// Advance raises the cluster's resourceVersion by at least n.
func (p *Proxy) Advance(n int) {
	p.front.tb.Helper()
	maps, ctx := p.Client().CoreV1().ConfigMaps(metav1.NamespaceDefault), p.front.tb.Context()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "advance-"}}
	m, err := maps.Create(ctx, m, metav1.CreateOptions{})
	for i := 0; i < n && err == nil; i++ {
		m.Data = map[string]string{"n": strconv.Itoa(i)}
		m, err = maps.Update(ctx, m, metav1.UpdateOptions{})
	}
	if err == nil {
		err = maps.Delete(ctx, m.Name, metav1.DeleteOptions{})
	}
	if err != nil {
		p.front.tb.Fatalf("advance the resourceVersion of %s: %v", p.cluster, err)
	}
}

func (p *Proxy) do(action string) {
	p.front.tb.Helper()
	var now struct {
		Server string `json:"server"`
	}
	p.front.call(action+" "+p.cluster, http.MethodPost, "/clusters/"+url.PathEscape(p.cluster)+"/"+action, nil, &now)
	if now.Server != "" {
		p.front.behind[p.cluster] = now.Server
	}
}

// await polls until done returns true: there is no event to wait for.
func await(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(90 * time.Second); !done(); <-tick.C {
		if time.Now().After(end) {
			tb.Fatalf("not so after 90 s: %s", what)
		}
	}
}
