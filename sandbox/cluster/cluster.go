// Package cluster runs one complete Kubernetes control plane, with kwok in place of
// kubelets: pods are really scheduled onto nodes, become Ready and fill
// EndpointSlices, but no container runs.
//
// Every cluster has its own API server, controller manager, scheduler and kwok. Only
// etcd is shared, with a key prefix for each cluster. To simulate an outage, the API
// server can be paused, or killed and started again with the same address and objects.
package cluster

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/sandbox/build"
	"github.com/fedsync/fedsync/sandbox/child"
	"github.com/fedsync/fedsync/sandbox/port"
)

// Config configures a cluster.
type Config struct {
	Zone  Zone
	Index int // its index among the clusters, from which its addresses derive
	Nodes int // the number of its machines
	// Outside is set if its machines are not on Compute Engine.
	Outside bool
	Dir     string // directory for its files; made if it does not exist
	Logs    string // directory for the output of its programs; made if it does not exist
	Etcd    string // URL of the shared etcd
	Paths   build.Paths
	Group   *child.Group // the group that its programs belong to
	Ended   func(error)  // called when a program ends by itself

	// Beside runs while the control plane runs. Its context ends before the
	// cluster is paused or killed. It may be nil.
	Beside func(context.Context, *Cluster)
}

// Cluster is one control plane. Its methods may be called concurrently.
type Cluster struct {
	config     Config
	port       *port.Reservation
	serving    serving
	account    []byte // PEM; the key that signs tokens of service accounts
	admin      string // token of a member of system:masters
	restricted string // token of [RestrictedUser]

	outage     sync.Mutex // one change of state at a time; protects what follows
	apiServer  *child.Child
	clients    []*child.Child // the control plane's other programs
	beside     sync.WaitGroup // the call of Config.Beside
	stopBeside func()         // ends it; nil while none runs

	mu    sync.Mutex // protects state
	state State
}

// State is the state of an API server.
type State string

// The states.
const (
	Running State = "Running"
	Paused  State = "Paused" // accepts connections and never answers
	Killed  State = "Killed" // refuses connections; also before the first start
)

// RestrictedUser is the name of a user without permissions. Tests bind roles to it.
const RestrictedUser = "restricted"

//go:embed stages.yaml
var stages []byte

// New prepares the certificate, users and address of a cluster. It starts nothing.
func New(config Config) (*Cluster, error) {
	c := &Cluster{config: config, state: Killed, admin: rand.Text(), restricted: rand.Text()}
	var err error
	if c.serving, err = newServing(config.Zone.Name()); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", c.Name(), err)
	}
	if _, c.account, err = newKey(); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", c.Name(), err)
	}
	return c, c.prepare()
}

// Successor prepares a second control plane for the cluster, with the same
// certificate, users and nodes, at another address and with another store. The first
// one is not affected.
func (c *Cluster) Successor(dir, logs, etcd string) (*Cluster, error) {
	config := c.config
	config.Dir, config.Logs, config.Etcd = dir, logs, etcd
	next := &Cluster{
		config:     config,
		state:      Killed,
		serving:    c.serving,
		account:    c.account,
		admin:      c.admin,
		restricted: c.restricted,
	}
	return next, next.prepare()
}

// prepare reserves the address and writes the files.
func (c *Cluster) prepare() error {
	var err error
	if c.port, err = port.Reserve(); err != nil {
		return fmt.Errorf("prepare %s: %w", c.Name(), err)
	}
	if err := c.writeFiles(); err != nil {
		return fmt.Errorf("prepare %s: %w", c.Name(), errors.Join(err, c.port.Close()))
	}
	return nil
}

func (c *Cluster) writeFiles() error {
	if err := os.MkdirAll(c.config.Dir, 0o700); err != nil {
		return err
	}
	tokens := fmt.Sprintf("%s,admin,admin,system:masters\n%s,%s,%[3]s\n", c.admin, c.restricted, RestrictedUser)
	for name, content := range map[string][]byte{
		"serving.crt":         c.serving.certificate,
		"serving.key":         c.serving.key,
		"service-account.key": c.account,
		"tokens.csv":          []byte(tokens),
		"stages.yaml":         stages,
	} {
		if err := os.WriteFile(c.file(name), content, 0o600); err != nil {
			return err
		}
	}
	own := clientcmdapi.NewConfig()
	c.AddTo(own)
	own.CurrentContext = c.Name()
	return clientcmd.WriteToFile(*own, c.file("kubeconfig"))
}

// Name returns its name, which is also the name of its context.
func (c *Cluster) Name() string { return c.config.Zone.Name() }

// Zone returns the zone in which it pretends to run.
func (c *Cluster) Zone() Zone { return c.config.Zone }

// Outside reports whether its machines are not on Compute Engine.
func (c *Cluster) Outside() bool { return c.config.Outside }

// Logs returns the directory of its programs' output.
func (c *Cluster) Logs() string { return c.config.Logs }

// Server returns the URL of its API.
func (c *Cluster) Server() string { return "https://" + c.port.Address() }

// Certificate returns the API server's certificate. It is its own authority: clients
// verify it with pem.
func (c *Cluster) Certificate() (pair tls.Certificate, pem []byte, err error) {
	pair, err = tls.X509KeyPair(c.serving.certificate, c.serving.key)
	return pair, c.serving.certificate, err
}

// RestrictedToken returns the token of [RestrictedUser].
func (c *Cluster) RestrictedToken() string { return c.restricted }

// AddTo adds the cluster's context to a kubeconfig.
func (c *Cluster) AddTo(kubeconfig *clientcmdapi.Config) {
	name := c.Name()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{Server: c.Server(), CertificateAuthorityData: c.serving.certificate}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: c.admin}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
}

// RESTConfig returns the administrator's configuration, without a rate limit.
func (c *Cluster) RESTConfig() *rest.Config {
	return &rest.Config{
		Host:            c.Server(),
		BearerToken:     c.admin,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.serving.certificate},
		QPS:             -1,
	}
}

// Up starts the cluster and returns when pods can be placed on its nodes.
func (c *Cluster) Up(ctx context.Context) error {
	if err := c.Start(ctx); err != nil {
		return err
	}
	if err := c.register(ctx); err != nil {
		return err
	}
	return c.awaitNodes(ctx)
}

// Start starts a killed control plane and returns when its API server answers. It does
// nothing if the control plane is running.
func (c *Cluster) Start(ctx context.Context) error {
	c.outage.Lock()
	defer c.outage.Unlock()
	switch c.State() {
	case Running:
		return nil
	case Paused:
		return fmt.Errorf("start %s: the cluster is paused: resume it", c.Name())
	case Killed:
	}
	var err error
	if c.apiServer, err = c.start(build.APIServer); err != nil {
		return err
	}
	err = c.awaitAPIServer(ctx)
	if err == nil {
		err = c.startClients()
	}
	if err != nil {
		// Kill it again, so that the next try starts from the beginning.
		return errors.Join(err, each(c.clients, (*child.Child).Pause), c.apiServer.Kill())
	}
	c.setState(Running)
	c.startBeside()
	return nil
}

// startClients starts the other programs, or resumes them after an outage.
func (c *Cluster) startClients() error {
	if c.clients != nil {
		return each(c.clients, (*child.Child).Resume)
	}
	for _, p := range []build.Program{build.ControllerManager, build.Scheduler, build.Kwok} {
		started, err := c.start(p)
		if err != nil {
			return err
		}
		c.clients = append(c.clients, started)
	}
	return nil
}

// Pause stops the control plane with SIGSTOP. It does nothing if the control plane is
// paused.
//
// In an outage of either kind, the other programs are paused with the API server.
// Otherwise their retries would back off, and they would wait up to half a minute after
// the outage before they try again. They are never restarted, since kwok would forget
// the addresses of its pods.
func (c *Cluster) Pause() error {
	c.outage.Lock()
	defer c.outage.Unlock()
	switch c.State() {
	case Paused:
		return nil
	case Killed:
		return fmt.Errorf("pause %s: the cluster is killed: start it first", c.Name())
	case Running:
	}
	c.endBeside()
	c.setState(Paused)
	return errors.Join(each(c.clients, (*child.Child).Pause), c.apiServer.Pause())
}

// Resume continues a paused control plane. It does nothing if the control plane is
// running.
func (c *Cluster) Resume() error {
	c.outage.Lock()
	defer c.outage.Unlock()
	switch c.State() {
	case Running:
		return nil
	case Killed:
		return fmt.Errorf("resume %s: the cluster is killed: start it", c.Name())
	case Paused:
	}
	c.setState(Running)
	if err := errors.Join(c.apiServer.Resume(), each(c.clients, (*child.Child).Resume)); err != nil {
		return err
	}
	c.startBeside()
	return nil
}

// Kill ends the API server with SIGKILL. It does nothing if the API server is killed.
func (c *Cluster) Kill() error {
	c.outage.Lock()
	defer c.outage.Unlock()
	if c.State() == Killed {
		return nil
	}
	c.endBeside()
	c.setState(Killed)
	return errors.Join(each(c.clients, (*child.Child).Pause), c.apiServer.Kill())
}

// State returns the state of the API server.
func (c *Cluster) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *Cluster) setState(s State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
}

// startBeside calls Config.Beside.
func (c *Cluster) startBeside() {
	if c.config.Beside == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.stopBeside = cancel
	c.beside.Go(func() { c.config.Beside(ctx, c) })
}

// endBeside ends the call of Config.Beside and waits for it.
func (c *Cluster) endBeside() {
	if c.stopBeside == nil {
		return
	}
	c.stopBeside()
	c.beside.Wait()
	c.stopBeside = nil
}

func each(programs []*child.Child, do func(*child.Child) error) error {
	var errs []error
	for _, p := range programs {
		errs = append(errs, do(p))
	}
	return errors.Join(errs...)
}

// Remove ends the cluster's programs and releases its address.
func (c *Cluster) Remove() error {
	err := c.Close()
	c.outage.Lock()
	defer c.outage.Unlock()
	c.setState(Killed)
	if c.apiServer != nil {
		err = errors.Join(err, c.apiServer.Kill())
	}
	return errors.Join(err, each(c.clients, (*child.Child).Kill))
}

// Close releases its address. Closing the group ends its programs.
func (c *Cluster) Close() error {
	c.outage.Lock()
	defer c.outage.Unlock()
	c.endBeside()
	return c.port.Close()
}

func (c *Cluster) file(name string) string { return filepath.Join(c.config.Dir, name) }

// start runs one of the cluster's programs.
func (c *Cluster) start(p build.Program) (*child.Child, error) {
	return c.config.Group.Start(child.Program{
		Name:  fmt.Sprintf("%s of %s", p, c.Name()),
		Path:  c.config.Paths[p],
		Args:  c.args(p),
		Env:   []string{"HOME=" + c.config.Dir, "PATH="},
		Dir:   c.config.Dir,
		Log:   filepath.Join(c.config.Logs, string(p)+".log"),
		Ended: c.config.Ended,
	})
}

func (c *Cluster) args(p build.Program) []string {
	client := []string{"--kubeconfig=" + c.file("kubeconfig")}
	switch p { //nolint:exhaustive // The other programs do not run in each cluster.
	case build.APIServer:
		return []string{
			"--etcd-servers=" + c.config.Etcd,
			"--etcd-prefix=/" + c.Name(),
			"--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", c.port.Number()),
			"--permit-port-sharing", // the port is shared with our reservation
			"--cert-dir=" + c.config.Dir,
			"--tls-cert-file=" + c.file("serving.crt"),
			"--tls-private-key-file=" + c.file("serving.key"),
			"--token-auth-file=" + c.file("tokens.csv"),
			"--authorization-mode=RBAC",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + c.file("service-account.key"),
			"--service-account-signing-key-file=" + c.file("service-account.key"),
			"--service-cluster-ip-range=10.0.0.0/16",
			"--endpoint-reconciler-type=none",
			// The plugin would refuse pods until a token controller had run,
			// and no pod here needs a token.
			"--disable-admission-plugins=ServiceAccount",
		}
	case build.ControllerManager:
		return append(client,
			"--leader-elect=false",
			"--secure-port=0",
			"--controllers="+strings.Join([]string{
				"deployment-controller",
				"endpointslice-controller",
				"garbage-collector-controller",
				"namespace-controller",
				// It also removes the not-ready taint of new nodes. Until
				// then no pod is scheduled.
				"node-lifecycle-controller",
				"replicaset-controller",
				"resourcequota-controller",
				"serviceaccount-controller",
			}, ","),
			// An outage or a busy machine must not evict pods: only the program
			// under test moves replicas.
			"--node-monitor-grace-period=10m",
		)
	case build.Scheduler:
		return append(client, "--leader-elect=false", "--secure-port=0")
	case build.Kwok:
		return append(client, "--config="+c.file("stages.yaml"), "--manage-all-nodes=true")
	}
	panic("cluster: no arguments for " + string(p))
}

// awaitAPIServer waits until the API server is ready.
func (c *Cluster) awaitAPIServer(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		return fmt.Errorf("wait for %s: %w", c.Name(), err)
	}
	return c.poll(ctx, "the API server", func(ctx context.Context) error {
		return client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

// register creates the nodes, which kwok then plays.
func (c *Cluster) register(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		return fmt.Errorf("register the nodes of %s: %w", c.Name(), err)
	}
	for i := range c.config.Nodes {
		_, err := client.CoreV1().Nodes().Create(ctx, node(c.config, i), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("register the nodes of %s: %w", c.Name(), err)
		}
	}
	return nil
}

// awaitNodes waits for the default namespace and until all nodes are ready.
func (c *Cluster) awaitNodes(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		return fmt.Errorf("wait for %s: %w", c.Name(), err)
	}
	return c.poll(ctx, "namespace default and ready nodes", func(ctx context.Context) error {
		if _, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{}); err != nil {
			return err
		}
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, n := range nodes.Items {
			if !ready(&n) {
				return fmt.Errorf("node %s is not ready", n.Name)
			}
		}
		return nil
	})
}

// poll repeats f until it succeeds or ctx ends.
func (c *Cluster) poll(ctx context.Context, what string, f func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, 250*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		last = f(ctx)
		return last == nil, nil
	})
	if ctx.Err() != nil {
		return fmt.Errorf("wait for %s of %s: %w", what, c.Name(), errors.Join(context.Cause(ctx), last))
	}
	return err
}
