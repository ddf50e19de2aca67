// Package lab starts what tests, the benchmark and the demo run against: a sandbox, which
// is a set of real clusters with a real forge, and fedsync as a process of its own. The
// sandbox's program is in the module sandbox. Repositories are made by
// pkg/source/sourcetest.
//
// Most tests share one sandbox and keep apart by namespace:
//
//	s := lab.Shared(t)
//	ns := s.Namespace(t)
//	for _, cluster := range s.Clusters() {
//		s.Client(t, cluster).AppsV1().ReplicaSets(ns)…
//	}
//
// A test that pauses or kills a cluster, or that changes objects outside namespaces,
// uses [Own]. A test that needs an API server that refuses, delays or loses requests, or
// that is restored from a backup, puts its own proxies in front of the shared clusters
// with [Sandbox.Faults]. If the programs of a sandbox are missing, the tests fail with
// the command that builds them; only go test -short skips them. Programs that are not
// tests use [Start].
//
// A daemon whose internals a test inspects runs in the test's process; one that is killed
// or measured is started with [StartDaemon].
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

// Variable is the environment variable with the path of the description of a running
// sandbox, which is sandbox.json in its folder. [Shared] uses that sandbox instead of
// starting one.
const Variable = "FEDSYNC_TEST_SANDBOX"

// ProgramVariable is the environment variable with the path of the sandbox's program,
// for the sandboxes that tests start. It may be unset.
const ProgramVariable = "FEDSYNC_TEST_SANDBOX_PROGRAM"

// RestrictedUser is a user of every cluster who has no permissions until a test binds
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
	Kubeconfig string            `json:"directKubeconfig"` // bypasses the proxies of a faulty sandbox
	Clusters   []string          `json:"clusters"`
	Restricted map[string]string `json:"restrictedTokens"`
	Repository string            `json:"repository"`
	Control    string            `json:"control"`
	GCP        *GCPDescription   `json:"gcp"`
	Forge      *Forge            `json:"forge"`
}

// Shared returns the sandbox that all tests of a run share: the one that
// $FEDSYNC_TEST_SANDBOX names, else one of three clusters and a forge. This test binary
// starts the latter on the first call. It ends with the test binary, even if that is
// killed.
func Shared(tb testing.TB) *Sandbox {
	tb.Helper()
	skipIfShort(tb)
	s, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// skipIfShort skips a test that needs a sandbox if -short is set: see make unit.
func skipIfShort(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("this test needs a sandbox")
	}
}

// shared returns the shared sandbox. Its first call starts or finds it.
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

// Main runs the tests of a package and waits until a sandbox that [Shared] started is
// gone. It then fails if a goroutine is left, other than the readers of idle HTTP/2
// connections of this package's clients:
//
//	func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	// Do not start a sandbox here if no test has asked for one.
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

// Own starts a sandbox for one test, which may pause and kill its clusters. The sandbox
// is stopped at the test's end.
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

// Option is something that a sandbox has in addition to its clusters, as arguments of
// sandbox up.
type Option []string

// WithForge adds a forge. See [Sandbox.Forge].
func WithForge() Option { return Option{"--forge"} }

// WithLogs writes the logs of the sandbox's programs to a folder, where they remain.
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
		config.QPS = -1 // no limit: a test's own pace is slow enough
		s.configs[cluster] = config
	}
	return s, nil
}

// Description returns what the sandbox printed when it was ready.
func (s *Sandbox) Description() Description { return s.description }

// Clusters returns the names of the clusters, which are also those of their contexts.
func (s *Sandbox) Clusters() []string { return slices.Clone(s.description.Clusters) }

// Kubeconfig returns the path of a kubeconfig with a context for every cluster, whose
// user is an administrator.
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

// RestrictedKubeconfig writes a kubeconfig like that of Kubeconfig, for
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

// Dynamic is like Client, for any kind.
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

// Resume continues a paused cluster where it stopped.
func (s *Sandbox) Resume(tb testing.TB, cluster string) { tb.Helper(); s.act(tb, "resume", cluster) }

// Kill ends a cluster abruptly: connections are refused.
func (s *Sandbox) Kill(tb testing.TB, cluster string) { tb.Helper(); s.act(tb, "kill", cluster) }

// Start starts a killed cluster again, with the same address and objects, and
// returns when its API server answers.
func (s *Sandbox) Start(tb testing.TB, cluster string) { tb.Helper(); s.act(tb, "start", cluster) }

func (s *Sandbox) act(tb testing.TB, action, cluster string) {
	tb.Helper()
	if s.shared {
		tb.Fatalf("%s %s: other tests use this cluster: use one from lab.Own", action, cluster)
	}
	if err := s.Do(tb.Context(), action, cluster); err != nil {
		tb.Fatal(err)
	}
}

// Do is Pause ("pause"), Resume, Kill, Start, KillNodes ("kill-nodes") or ReviveNodes
// for a program that is not a test. It ignores the end of ctx, so that an interrupted
// program can put things back.
func (s *Sandbox) Do(ctx context.Context, action, cluster string) error {
	if err := s.control(ctx, http.MethodPost, "/clusters/"+url.PathEscape(cluster)+"/"+action, nil, nil); err != nil {
		return fmt.Errorf("%s %s: %w", action, cluster, err)
	}
	return nil
}
