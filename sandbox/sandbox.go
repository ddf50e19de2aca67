// Package sandbox runs a whole federation on one machine: real Kubernetes control
// planes, a Git repository to push to and, when asked, a real forge.
//
// Its input is the programs that package build made and a number of clusters. Its
// output is a [Description] with everything that a test or a user needs to reach them.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/sandbox/build"
	"github.com/fedsync/fedsync/sandbox/child"
	"github.com/fedsync/fedsync/sandbox/cluster"
	"github.com/fedsync/fedsync/sandbox/control"
	"github.com/fedsync/fedsync/sandbox/faults"
	"github.com/fedsync/fedsync/sandbox/forge"
	"github.com/fedsync/fedsync/sandbox/gcp"
	"github.com/fedsync/fedsync/sandbox/ingress"
)

// Options configure a sandbox.
type Options struct {
	Clusters int
	Nodes    int // per cluster
	Forge    bool
	GCP      *GCP    // nil means no stand-in for Compute Engine, and nodes that do not answer
	NoGLBC   bool    // run no stand-in for GLBC: the test plays it
	Faulty   bool    // the kubeconfig points to proxies of package faults
	Webhook  Webhook // registered with the forge if it has a URL
	Dir      string  // holds all files and is removed at the end; empty means a new temporary directory
	Logs     string  // directory for the programs' output; empty means below Dir
	Paths    build.Paths
	Warden   []string  // the command that calls child.Warden
	Progress io.Writer // receives progress messages
}

// Webhook is the receiver of the forge's push events.
type Webhook struct{ URL, Secret string }

// Sandbox is a running federation.
type Sandbox struct {
	Description Description

	options   Options
	dir       string
	group     *child.Group
	etcd      *etcd // the store that all clusters share
	addresses *ingress.Addresses
	clusters  []*cluster.Cluster
	machines  *machines   // nil unless Options.GCP is set
	engine    *gcp.Engine // nil unless Options.GCP is set
	fronts    *faults.Fronts
	faulty    *faultPort // nil unless Options.Faulty is set
	control   *control.Server
	forge     *forge.Forge // nil unless Options.Forge is set

	failed context.Context // ends when the sandbox cannot continue
	fail   context.CancelCauseFunc
}

// Up starts everything and returns when it can be used. If it returns an error, it
// has stopped everything that it started.
func Up(ctx context.Context, options Options) (*Sandbox, error) {
	dir, err := folder(options.Dir)
	if err != nil {
		return nil, err
	}
	if options.Logs == "" {
		options.Logs = filepath.Join(dir, "logs")
	}
	group, err := child.NewGroup(dir, options.Warden...)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	s := &Sandbox{options: options, dir: dir, group: group, addresses: ingress.NewAddresses()}
	s.failed, s.fail = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := s.up(ctx); err != nil {
		if cause := context.Cause(s.failed); cause != nil {
			err = cause // err is only a consequence of it
		}
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Sandbox) up(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.failed, func() { cancel(context.Cause(s.failed)) })()
	var err error
	if s.etcd, err = startEtcd(s.group, s.options, "etcd", filepath.Join(s.dir, "etcd"), s.fail); err != nil {
		return err
	}
	if err := s.prepareClusters(); err != nil {
		return err
	}
	if err := s.prepareFronts(); err != nil {
		return err
	}
	if err := s.startGCP(); err != nil {
		return err
	}
	if err := s.writeKubeconfigs(); err != nil {
		return err
	}
	if !s.options.NoGLBC {
		s.report("Ingresses of class gce get addresses from a stand-in, which neither calls Compute Engine nor creates load balancers")
	}
	repository := filepath.Join(s.dir, "repository.git")
	if err := initRepository(ctx, s.dir, repository); err != nil {
		return err
	}
	starting, ctx := errgroup.WithContext(ctx)
	for _, c := range s.clusters {
		starting.Go(func() error {
			if err := c.Up(ctx); err != nil {
				return err
			}
			s.report("%s is ready after %s", c.Name(), time.Since(began).Round(100*time.Millisecond))
			return nil
		})
	}
	if s.options.Forge {
		starting.Go(func() error {
			if err := s.startForge(ctx); err != nil {
				return err
			}
			s.report("the forge is ready after %s", time.Since(began).Round(100*time.Millisecond))
			return nil
		})
	}
	if err := starting.Wait(); err != nil {
		return err
	}
	if s.control, err = control.Listen(filepath.Join(s.dir, "control.sock"), s.subjects()); err != nil {
		return err
	}
	s.Description = s.describe(repository)
	return s.Description.write()
}

// Wait returns nil when ctx ends, or an error when a program exits by itself: tests
// would get misleading results from such a sandbox.
func (s *Sandbox) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.failed.Done():
		return context.Cause(s.failed)
	case <-s.group.Lost():
		return errors.New("the warden was killed: stopping now, while cleanup is still guaranteed")
	}
}

// Close stops everything and removes the directory.
func (s *Sandbox) Close() error {
	var errs []error
	if s.control != nil {
		errs = append(errs, s.control.Close())
	}
	if s.faulty != nil {
		errs = append(errs, s.faulty.close())
	}
	if s.fronts != nil {
		errs = append(errs, s.fronts.Close())
	}
	for _, c := range s.clusters {
		errs = append(errs, c.Close())
	}
	s.stopGCP()
	errs = append(errs, s.group.Close())
	s.fail(nil)
	if s.etcd != nil {
		errs = append(errs, s.etcd.port.Close())
	}
	return errors.Join(errs...)
}

// report writes a progress message. A failed write does not stop the sandbox.
func (s *Sandbox) report(format string, args ...any) {
	_, _ = fmt.Fprintf(s.options.Progress, format+"\n", args...)
}

func (s *Sandbox) startForge(ctx context.Context) error {
	f, err := forge.Up(ctx, forge.Config{
		Dir:   filepath.Join(s.dir, "forge"),
		Log:   filepath.Join(s.options.Logs, "gitea.log"),
		Paths: s.options.Paths,
		Group: s.group,
		Ended: s.fail,
	})
	if err != nil {
		return err
	}
	s.forge = f
	if hook := s.options.Webhook; hook.URL != "" {
		return f.AddWebhook(ctx, hook.URL, hook.Secret)
	}
	return nil
}

func (s *Sandbox) prepareClusters() error {
	zones, err := cluster.Zones(s.options.Clusters)
	if err != nil {
		return err
	}
	for i, zone := range zones {
		c, err := cluster.New(cluster.Config{
			Zone:   zone,
			Index:  i,
			Nodes:  s.options.Nodes,
			Dir:    filepath.Join(s.dir, "clusters", zone.Name()),
			Logs:   filepath.Join(s.options.Logs, zone.Name()),
			Etcd:   s.etcd.url(),
			Paths:  s.options.Paths,
			Group:  s.group,
			Ended:  s.fail,
			Beside: s.runBeside,

			Outside: s.options.GCP != nil && i >= s.options.Clusters-s.options.GCP.Outside,
		})
		if err != nil {
			return err
		}
		s.clusters = append(s.clusters, c)
	}
	return nil
}

// writeKubeconfigs writes the kubeconfig that points straight to the API servers, and
// the one for users, which may point to proxies.
func (s *Sandbox) writeKubeconfigs() error {
	kubeconfig := clientcmdapi.NewConfig()
	for _, c := range s.clusters {
		c.AddTo(kubeconfig)
	}
	kubeconfig.CurrentContext = s.clusters[0].Name()
	if err := clientcmd.WriteToFile(*kubeconfig, s.direct()); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	if s.faulty != nil {
		for name, server := range s.faulty.front.Servers() {
			kubeconfig.Clusters[name].Server = server
		}
	}
	if err := clientcmd.WriteToFile(*kubeconfig, s.kubeconfig()); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	return nil
}

// subjects returns what the control socket controls.
func (s *Sandbox) subjects() control.Subjects {
	subjects := control.Subjects{Clusters: s.clusters, Fronts: s.fronts}
	if s.engine != nil {
		subjects.Nodes, subjects.GCP = s.machines, s.engine
	}
	return subjects
}

// runBeside plays what a cluster has in addition to its control plane.
func (s *Sandbox) runBeside(ctx context.Context, c *cluster.Cluster) {
	var playing sync.WaitGroup
	if !s.options.NoGLBC {
		playing.Go(func() { s.playGLBC(ctx, c) })
	}
	if s.machines != nil {
		playing.Go(func() { s.playNodes(ctx, c) })
	}
	playing.Wait()
}

// playGLBC plays GLBC in a cluster.
func (s *Sandbox) playGLBC(ctx context.Context, c *cluster.Cluster) {
	log, err := openLog(c.Logs(), "ingress.log")
	if err != nil {
		s.fail(fmt.Errorf("start the stand-in for GLBC in %s: %w", c.Name(), err))
		return
	}
	defer func() { _ = log.Close() }()
	glbc, err := ingress.New(c.Name(), c.RESTConfig(), s.addresses, log)
	if err != nil {
		s.fail(err)
		return
	}
	glbc.Run(ctx)
}

func (s *Sandbox) kubeconfig() string { return filepath.Join(s.dir, "kubeconfig") }
func (s *Sandbox) direct() string     { return filepath.Join(s.dir, "kubeconfig.direct") }

// folder makes the directory that is removed at the end. It refuses one that is not
// empty, since the files in it are not the sandbox's to remove.
func folder(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "fedsync-sandbox-")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the sandbox's directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("read the sandbox's directory: %w", err)
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty, and the sandbox removes its directory when it ends: use a new or empty directory", dir)
	}
	return dir, nil
}

// Description describes how to reach a running sandbox. The secrets in it are useless
// after the sandbox's end.
type Description struct {
	Dir        string            `json:"dir"`
	Pid        int               `json:"pid"`
	Kubeconfig string            `json:"kubeconfig"`       // through the proxies of a faulty sandbox
	Direct     string            `json:"directKubeconfig"` // past the proxies
	Clusters   []string          `json:"clusters"`
	Restricted map[string]string `json:"restrictedTokens"` // by cluster: the token of a user without permissions
	Repository string            `json:"repository"`       // a bare Git repository, empty
	Control    string            `json:"control"`          // the Unix socket of package control
	Faults     string            `json:"faults,omitempty"` // of a faulty sandbox: the URL of its front, served by package faults
	GCP        *gcp.Description  `json:"gcp,omitempty"`
	Forge      *forge.Forge      `json:"forge,omitempty"`
}

// FileName is the name of the description in the sandbox's directory.
const FileName = "sandbox.json"

func (s *Sandbox) describe(repository string) Description {
	d := Description{
		Dir:        s.dir,
		Pid:        os.Getpid(),
		Kubeconfig: s.kubeconfig(),
		Direct:     s.direct(),
		Restricted: map[string]string{},
		Repository: repository,
		Control:    s.control.Address(),
		Forge:      s.forge,
	}
	if s.faulty != nil {
		d.Faults = s.faulty.url()
	}
	if s.engine != nil {
		d.GCP = s.engine.Describe()
	}
	for _, c := range s.clusters {
		d.Clusters = append(d.Clusters, c.Name())
		d.Restricted[c.Name()] = c.RestrictedToken()
	}
	return d
}

// write writes the description to [FileName], whole or not at all.
func (d Description) write() error {
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("describe the sandbox: %w", err)
	}
	path := filepath.Join(d.Dir, FileName)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("describe the sandbox: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("describe the sandbox: %w", err)
	}
	return nil
}
