package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/bell"
	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/diagnose"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/metrics"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/render/worker"
	"github.com/fedsync/fedsync/pkg/review/reviewer"
	"github.com/fedsync/fedsync/pkg/roll"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/gitdir"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/contexts"
	"github.com/fedsync/fedsync/pkg/status/history"
	"github.com/fedsync/fedsync/pkg/status/post"
	"github.com/fedsync/fedsync/pkg/web"
	"github.com/fedsync/fedsync/pkg/web/gate"
	"github.com/fedsync/fedsync/pkg/wire"
)

// Options are what a Daemon needs in addition to its settings.
type Options struct {
	Version string
	Log     *zap.Logger

	secrets *secret.Set // the Daemon's own when nil
}

// Daemon keeps member clusters equal to a repository. It can run only once.
type Daemon struct {
	cfg     *config.Config
	options Options
	log     *zap.Logger
	// secrets are what is sent to the repository's server and the forge, and what the
	// forge signs with. Each cluster's connection has its own set.
	secrets *secret.Set

	source     *source.Source
	render     preview.RenderFunc
	before     beforeFunc     // the source's, unless a test replaces it
	renderer   *worker.Worker // behind render, unless a test replaces that
	kubeconfig *config.Kubeconfig
	forms      *object.Forms // what is sent to clusters; equal objects share one
	reports    *history.Reports
	poster     *post.Poster       // nil without commit statuses
	deployer   *post.Poster       // nil without deployments
	reviewer   *reviewer.Reviewer // nil without plans of pull requests
	claims     *claim.Writer      // which clusters this process may write to
	instance   string             // its display name
	duplicate  bool               // another process of this source runs on this machine
	outboxFile string             // the poster's
	deployedIn string             // the deployer's
	roster     roll.Roster        // the loop's
	rosterFile string             // where roster is stored
	registry   *prometheus.Registry
	metrics    *metrics.Metrics
	listener   net.Listener // nil if nothing is served

	// Tests make these shorter.
	grace     time.Duration // how long the diagnosis waits for a problem to go away by itself
	turnEvery time.Duration // the most time between two turns of the loop
	maxTurn   time.Duration // how long the loop may go without a turn

	pulse *pulse // the loop's

	events  inbox     // from source
	changed bell.Bell // rings when a member's outcome has changed
	reload  bell.Bell // rings when the kubeconfig was read again
}

// New checks the settings against the machine: it opens the repository, reads the
// kubeconfig and opens the address to listen on. It makes no request to a cluster.
func New(cfg *config.Config, o Options) (*Daemon, error) {
	d, err := newParts(cfg, o)
	if err != nil {
		return nil, err
	}
	if cfg.Listen != "" {
		if d.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("--listen %s: %w", cfg.Listen, err)
		}
	}
	if err := d.takeName(); err != nil {
		d.Close()
		return nil, err
	}
	if err := d.newPosters(); err != nil {
		d.Close()
		return nil, err
	}
	if d.reviewer, err = reviewer.New(reviewer.Options{
		Config: d.cfg, Source: d.source, Secrets: d.secrets, Log: d.log, Poster: d.poster, PublicURL: d.publicURL,
	}); err != nil {
		d.Close()
		return nil, fmt.Errorf("pull requests: %w", err)
	}
	return d, nil
}

// newPosters makes the posters of commit statuses and, if they are wanted, of deployments.
// A provider does one thing at a time, so each poster has its own.
func (d *Daemon) newPosters() error {
	provider, err := wire.NewProvider(d.cfg, d.source, d.secrets)
	if err != nil {
		return fmt.Errorf("commit statuses: %w", err)
	}
	if provider != nil {
		d.poster = post.New(provider, post.Options{
			PublicURL: d.publicURL(),
			Log:       d.log,
			OnPost:    d.metrics.CommitStatusPost,
			Details:   d.details,
			Outbox:    d.outboxFile,
			Grants:    contexts.Patterns(d.cfg.StatusContexts).Grants,
			Older:     d.source.Ancestors,
		})
	}
	if !d.cfg.Deployments {
		return nil
	}
	if provider, err = wire.NewProvider(d.cfg, d.source, d.secrets); err != nil {
		return fmt.Errorf("deployments: %w", err)
	}
	forge, ok := provider.(status.Deployer)
	if !ok {
		return fmt.Errorf("--deployments requires a forge with deployments in --commit-status, not %q", d.cfg.CommitStatus)
	}
	d.deployer = post.New(forge.Deployments(d.revisionURL), post.Options{
		Deployments: true,
		Log:         d.log,
		OnPost:      d.metrics.CommitStatusPost,
		Outbox:      d.deployedIn,
		Older:       d.source.Ancestors,
	})
	return nil
}

// posters returns the posters that exist.
func (d *Daemon) posters() []*post.Poster {
	return slices.DeleteFunc([]*post.Poster{d.poster, d.deployer}, func(p *post.Poster) bool { return p == nil })
}

// revisionURL returns the address of a commit's page; empty if there is no page.
func (d *Daemon) revisionURL(sha string) string {
	if d.publicURL() == "" {
		return ""
	}
	return strings.TrimSuffix(d.publicURL(), "/") + "/revisions/" + sha
}

// details returns what the newest report of a commit adds to its status. It is empty if
// the report has another state than the status, as for a superseded commit. For a
// proposed commit it is the plan.
func (d *Daemon) details(c status.Commit) status.Details {
	if d.reviewer != nil {
		if plan, ok := d.reviewer.Details(c); ok {
			return secret.Value(d.secrets, plan)
		}
	}
	r, ok := d.reports.Of(c.SHA)
	if !ok || r.State != c.State || c.Cluster != "" {
		return status.Details{}
	}
	return secret.Value(d.secrets, status.DetailsOf(*r))
}

// takeName gives this process its name and the lock that belongs to it.
func (d *Daemon) takeName() error {
	dir, err := config.CacheDir()
	if err != nil {
		return err
	}
	source, former := identity.Of(d.source, d.cfg.Revision, "")
	d.claims = claim.Open(claim.Options{
		Dir: dir, Source: source, Label: d.cfg.Instance, Version: d.options.Version,
		Words: func(err error) string { return untrusted.Line(err.Error()) },
		Log:   d.log,
	})
	if err := d.claims.Kept(); err != nil {
		d.log.Warn("instance not remembered: each start is a new instance", zap.Error(err))
	}
	d.instance, d.duplicate = d.claims.Label(), d.claims.Number() > 0
	d.outboxFile = outboxFile(dir, source, d.instance)
	d.deployedIn = filepath.Join(dir, "deployed-"+identity.Digest(source, d.instance, "")+".json")
	d.rosterFile = roll.RosterFile(dir, source)
	for _, earlier := range former {
		inherit(d.outboxFile, outboxFile(dir, earlier, d.instance))
		inherit(d.rosterFile, roll.RosterFile(dir, earlier))
	}
	d.roster = roll.ReadRoster(d.rosterFile)
	return nil
}

// outboxFile returns the file where one instance of one source stores what it has to
// post to the forge. Earlier versions stored the newest commit there, which the poster
// can read too.
func outboxFile(dir, source, instance string) string {
	return filepath.Join(dir, "told-"+identity.Digest(source, instance, "")+".json")
}

// inherit takes over the file that an earlier version stored under another name.
// It moves the file, so that no other repository inherits it as well.
func inherit(file, earlier string) {
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		_ = os.Rename(earlier, file) // usually there is none, and its loss does no harm
	}
}

// newParts makes what every command that reads clusters needs.
func newParts(cfg *config.Config, o Options) (*Daemon, error) {
	if o.secrets == nil {
		o.secrets = secret.New()
	}
	o.Log = o.secrets.Logger(o.Log)
	src, err := wire.NewSource(cfg, o.secrets, o.Log)
	if err != nil {
		return nil, err
	}
	kube, err := config.NewKubeconfig(cfg, o.Log)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics, err := metrics.New(registry, o.Version)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	renderer := wire.NewRenderer(cfg, o.Log)
	return &Daemon{
		cfg:        cfg,
		options:    o,
		log:        o.Log,
		secrets:    o.secrets,
		source:     src,
		render:     renderer.RenderInSteps,
		before:     src.Before,
		renderer:   renderer,
		kubeconfig: kube,
		forms:      object.NewForms(),
		reports:    history.New(),
		registry:   registry,
		metrics:    metrics,
		events:     newInbox(),
		changed:    bell.New(),
		reload:     bell.New(),
		grace:      diagnose.DefaultGrace,
		turnEvery:  turnInterval,
		maxTurn:    maxTurn,
		pulse:      newPulse(),
	}, nil
}

// Run follows the repository until ctx ends, and then waits for work under way to end.
func (d *Daemon) Run(ctx context.Context) error { return d.runLoop(ctx, newLoop(d, false)) }

func (d *Daemon) runLoop(ctx context.Context, l *loop) error {
	defer d.Close()
	if err := d.checkRepository(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	start := func(name string, f func(context.Context) error) {
		running.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	start("read the repository", func(ctx context.Context) error { return d.source.Run(ctx, d.events.put) })
	start("watch the kubeconfig", func(ctx context.Context) error { return d.kubeconfig.Watch(ctx, d.reload.Ring) })
	for _, p := range d.posters() {
		start("post to the forge", func(ctx context.Context) error { p.Run(ctx); return nil })
		start("probe the forge", func(ctx context.Context) error { p.Probe(ctx); return nil })
	}
	if d.reviewer != nil {
		start("plan pull requests", func(ctx context.Context) error { d.reviewer.Run(ctx); return nil })
	}
	if d.listener != nil {
		d.log.Info("listening", zap.String("address", d.listener.Addr().String()), zap.String("page", d.publicURL()))
		start("serve", d.serve)
	}
	start("keep the claim's token", func(ctx context.Context) error { d.claims.Run(ctx); return nil })
	d.log.Info("started", zap.String("version", d.options.Version), zap.String("repository", d.source.String()))
	l.run(ctx)
	l.members.wait()
	running.Wait()
	d.log.Info("stopped")
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// checkRepository returns an error if a local folder is not a repository, since that is
// a mistake in the settings. A remote that does not answer may answer later.
func (d *Daemon) checkRepository(ctx context.Context) error {
	if _, local := d.source.LocalPath(); !local {
		return nil
	}
	_, err := d.source.Snapshot(ctx, d.cfg.Revision)
	if wrong := (*gitdir.NotRepositoryError)(nil); errors.As(err, &wrong) {
		return wrong
	}
	return nil
}

// Close releases what New opened, for a Daemon that does not run. It does no harm after
// Run.
func (d *Daemon) Close() {
	if d.listener != nil {
		_ = d.listener.Close() // Serve closes it too
	}
	if d.claims != nil {
		_ = d.claims.Close() // the lock ends with the process at the latest
	}
	d.kubeconfig.Close()
	if d.renderer != nil {
		d.renderer.Close()
	}
	if d.reviewer != nil {
		d.reviewer.Close()
	}
}

// publicURL returns the address of the page as users reach it.
func (d *Daemon) publicURL() string {
	switch {
	case d.cfg.PublicURL != "":
		return d.cfg.PublicURL
	case d.listener != nil:
		return "http://" + d.listener.Addr().String()
	}
	return ""
}

// serve answers requests until ctx ends.
func (d *Daemon) serve(ctx context.Context) error {
	return gate.Serve(ctx, d.listener, d.page(), gate.Options{
		Limits: gate.Limits{Connections: d.cfg.MaxConnections, ConnectionsPerAddress: d.cfg.MaxConnectionsPerAddress},
		Counts: d.metrics,
		Log:    d.log,
	})
}

// A forge sends several webhooks for one push, and many pushes may come at once: the
// repository is polled once for all that come within nudgeQuiet of each other, and
// after nudgeMost at the latest.
const (
	nudgeQuiet = 50 * time.Millisecond
	nudgeMost  = 500 * time.Millisecond
)

// page returns the handler of everything that is served.
func (d *Daemon) page() http.Handler {
	return web.New(web.Options{
		Report:    d.reports.Newest,
		Revision:  d.reports.Of,
		Revisions: d.reports.Revisions,
		Plan:      d.planOf,
		Alive:     d.alive,
		Ready:     d.ready,
		Nudge:     bell.Gather(d.nudge, nudgeQuiet, nudgeMost),
		WebhookSecret: func() ([]byte, error) {
			text, err := wire.Credential(d.cfg.WebhookSecretFile)()
			d.secrets.Learn(text)
			return []byte(text), err
		},
		Gatherer:    d.registry,
		AnswerBytes: d.metrics.AnswerBytes,
		Log:         d.log,
		Version:     d.options.Version,
	})
}

// ready returns why the daemon cannot work yet: it has read no revision. After it has
// read one, it maintains that, whatever happens to the repository.
func (d *Daemon) ready() error {
	if r := d.reports.Newest(); r == nil || r.Revision.SHA == "" {
		if r != nil && !r.Source.IsZero() {
			return errors.New(r.Source.String())
		}
		return errors.New("the repository has not been read yet")
	}
	return nil
}
