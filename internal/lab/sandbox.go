// Package lab is what tests, the benchmark and the demo start: real clusters with a real
// forge, which are those of a sandbox, the program in the module of that name; and fedsync
// as a process of its own. Repositories are made by pkg/source/sourcetest.
//
// Most tests share one sandbox and keep apart by namespace:
//
//	s := lab.Shared(t)
//	ns := s.Namespace(t)
//	for _, cluster := range s.Clusters() {
//		s.Client(t, cluster).AppsV1().ReplicaSets(ns)…
//	}
//
// A test that pauses or kills a cluster, or that changes what belongs to no
// namespace, takes [Own]. One that needs an API server which refuses, delays or
// loses requests, or which is restored from a backup, puts proxies of its own in
// front of the shared clusters with [Sandbox.Faults]. Where the programs of a sandbox
// are missing the tests fail, with the command that builds them; only go test -short
// skips them. Programs that are no tests take [Start].
//
// A daemon that a test looks into runs in the test's process; one that is killed or
// measured is started with [StartDaemon].
package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Variable names the description of a running sandbox, the file sandbox.json in
// its folder, that [Shared] uses instead of starting one.
const Variable = "FEDSYNC_TEST_SANDBOX"

// ProgramVariable names the sandbox's program, for the sandboxes that tests start. It
// may be unset.
const ProgramVariable = "FEDSYNC_TEST_SANDBOX_PROGRAM"

// RestrictedUser is a user of every cluster who may do nothing until a test binds
// a role to that name.
const RestrictedUser = "restricted"

// Sandbox is a running federation of clusters.
type Sandbox struct {
	description Description
	configs     map[string]*rest.Config // by cluster
	shared      bool
	running     *running // nil if another process started it
}

// Description is what a sandbox prints when it is ready.
type Description struct {
	Dir        string            `json:"dir"`
	Pid        int               `json:"pid"`
	Kubeconfig string            `json:"directKubeconfig"` // past the proxies of a faulty sandbox
	Clusters   []string          `json:"clusters"`
	Restricted map[string]string `json:"restrictedTokens"`
	Repository string            `json:"repository"`
	Control    string            `json:"control"`
	GCP        *GCPDescription   `json:"gcp"`
	Forge      *Forge            `json:"forge"`
}

// Shared returns the sandbox that all tests of a run share: the one that
// $FEDSYNC_TEST_SANDBOX names, else one of three clusters and a forge that this test
// binary starts once. It ends with the test binary, however that ends.
func Shared(tb testing.TB) *Sandbox {
	tb.Helper()
	skipIfShort(tb)
	s, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// skipIfShort skips what needs a sandbox where that is asked for: see make unit.
func skipIfShort(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("it needs a sandbox")
	}
}

// shared is started by the first test that asks for it.
var shared = sync.OnceValues(func() (*Sandbox, error) {
	path := os.Getenv(Variable)
	if path == "" {
		s, err := Start(context.Background(), 3, WithForge())
		if err == nil {
			s.shared = true
			started.Store(true)
		}
		return s, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("find the sandbox that $%s names: %w", Variable, err)
	}
	var d Description
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("read the description of a sandbox in %s: %w", path, err)
	}
	s, err := newSandbox(d, nil)
	if err == nil {
		s.shared = true
	}
	return s, err
})

// Main runs the tests of a package, waits until a sandbox that [Shared] started is gone,
// and fails where a goroutine is left then, but for the readers of HTTP/2 connections that
// this package's clients keep for later:
//
//	func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	// If no test has asked for a sandbox, one is not started for this.
	if started.Load() {
		if s, err := shared(); err == nil {
			s.Stop()
		}
	}
	if code != 0 {
		return code
	}
	if err := goleak.Find(
		goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*ClientConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*http2ClientConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http/internal/http2.(*ClientConn).readLoop"),
	); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Own starts a sandbox for one test, which may pause and kill its clusters. It is
// stopped at the test's end.
func Own(tb testing.TB, clusters int, more ...Option) *Sandbox {
	tb.Helper()
	skipIfShort(tb)
	s, err := Start(tb.Context(), clusters, more...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Stop)
	return s
}

// Option is what a sandbox has besides its clusters: arguments of sandbox up.
type Option []string

// WithForge adds a forge. See [Sandbox.Forge].
func WithForge() Option { return Option{"--forge"} }

// WithLogs leaves the logs of the sandbox's programs in a folder.
func WithLogs(dir string) Option { return Option{"--logs", dir} }

func newSandbox(d Description, r *running) (*Sandbox, error) {
	s := &Sandbox{description: d, running: r, configs: map[string]*rest.Config{}}
	kubeconfig, err := clientcmd.LoadFromFile(d.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig of the sandbox in %s: %w", d.Dir, err)
	}
	for _, cluster := range d.Clusters {
		config, err := clientcmd.NewNonInteractiveClientConfig(*kubeconfig, cluster, nil, nil).ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("read the context %s of %s: %w", cluster, d.Kubeconfig, err)
		}
		config.QPS = -1 // a test's own pace is limit enough
		s.configs[cluster] = config
	}
	return s, nil
}

// Description returns what the sandbox printed when it was ready.
func (s *Sandbox) Description() Description { return s.description }

// Clusters lists the names of the clusters, which are those of their contexts.
func (s *Sandbox) Clusters() []string { return slices.Clone(s.description.Clusters) }

// Kubeconfig is the path of a kubeconfig with a context for every cluster, in
// which the user may do everything.
func (s *Sandbox) Kubeconfig() string { return s.description.Kubeconfig }

// RESTConfig returns an administrator's access to a cluster, without a limit on
// requests. It panics if there is no such cluster.
func (s *Sandbox) RESTConfig(cluster string) *rest.Config {
	config, ok := s.configs[cluster]
	if !ok {
		panic(fmt.Sprintf("lab: no cluster %q; there are %s", cluster, strings.Join(s.description.Clusters, ", ")))
	}
	return rest.CopyConfig(config)
}

// Restricted returns the access of [RestrictedUser] to a cluster.
func (s *Sandbox) Restricted(cluster string) *rest.Config {
	config := s.RESTConfig(cluster)
	config.BearerToken = s.description.Restricted[cluster]
	return config
}

// RestrictedKubeconfig writes a kubeconfig like that of Kubeconfig for
// [RestrictedUser], and returns its path.
func (s *Sandbox) RestrictedKubeconfig(tb testing.TB) string {
	tb.Helper()
	return s.writeKubeconfig(tb, func(cluster string, _ *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) {
		user.Token = s.description.Restricted[cluster]
	})
}

// writeKubeconfig writes a kubeconfig like that of Kubeconfig with changes, and
// returns its path.
func (s *Sandbox) writeKubeconfig(tb testing.TB, change func(name string, cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo)) string {
	tb.Helper()
	kubeconfig, err := clientcmd.LoadFromFile(s.description.Kubeconfig)
	if err != nil {
		tb.Fatalf("read the kubeconfig of the sandbox: %v", err)
	}
	for _, name := range s.description.Clusters {
		change(name, kubeconfig.Clusters[name], kubeconfig.AuthInfos[name])
	}
	path := tb.TempDir() + "/kubeconfig"
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		tb.Fatalf("write a kubeconfig: %v", err)
	}
	return path
}

// Client returns an administrator's client of a cluster.
func (s *Sandbox) Client(tb testing.TB, cluster string) kubernetes.Interface {
	tb.Helper()
	client, err := kubernetes.NewForConfig(s.RESTConfig(cluster))
	if err != nil {
		tb.Fatalf("make a client of %s: %v", cluster, err)
	}
	return client
}

// Dynamic returns an administrator's client of a cluster for any kind.
func (s *Sandbox) Dynamic(tb testing.TB, cluster string) dynamic.Interface {
	tb.Helper()
	client, err := dynamic.NewForConfig(s.RESTConfig(cluster))
	if err != nil {
		tb.Fatalf("make a client of %s: %v", cluster, err)
	}
	return client
}

// Pause freezes a cluster: its API server accepts connections and never answers.
func (s *Sandbox) Pause(tb testing.TB, cluster string) { tb.Helper(); s.act(tb, "pause", cluster) }

// Resume lets a paused cluster go on where it was.
func (s *Sandbox) Resume(tb testing.TB, cluster string) { tb.Helper(); s.act(tb, "resume", cluster) }

// Kill ends a cluster without a warning: connections are refused.
func (s *Sandbox) Kill(tb testing.TB, cluster string) { tb.Helper(); s.act(tb, "kill", cluster) }

// Start starts a killed cluster again, with the same address and objects, and
// returns when its API server answers.
func (s *Sandbox) Start(tb testing.TB, cluster string) { tb.Helper(); s.act(tb, "start", cluster) }

func (s *Sandbox) act(tb testing.TB, action, cluster string) {
	tb.Helper()
	if s.shared {
		tb.Fatalf("%s %s: other tests use this cluster: take one from lab.Own", action, cluster)
	}
	if err := s.Do(tb.Context(), action, cluster); err != nil {
		tb.Fatal(err)
	}
}

// Do is Pause ("pause"), Resume, Kill, Start, KillNodes ("kill-nodes") or ReviveNodes
// for a program that is no test. It goes on after the end of ctx, so that a program
// that is interrupted can put things back.
func (s *Sandbox) Do(ctx context.Context, action, cluster string) error {
	if err := s.control(ctx, http.MethodPost, "/clusters/"+url.PathEscape(cluster)+"/"+action, nil, nil); err != nil {
		return fmt.Errorf("%s %s: %w", action, cluster, err)
	}
	return nil
}
