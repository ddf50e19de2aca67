package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/keeper"
	"github.com/fedsync/fedsync/pkg/member"
	"github.com/fedsync/fedsync/pkg/wire"
)

// googleCloud maintains the load balancers on Google Cloud outside the loop, for a
// federation that wants them. The loop owns it. None of its methods but wait blocks.
type googleCloud struct {
	newCloud func(project string) gcp.Cloud
	mayWrite func() bool  // nil for read-only
	gone     atomic.Value // of []string: the clusters that are declared lost
	secrets  keeper.KeyReader
	log      *zap.Logger
	changed  <-chan struct{} // of the keeper; nil without one

	project string
	keeper  *keeper.Keeper
	stop    func()
	running sync.WaitGroup

	// A read-only loop has no keeper: it reads once at the end, into seen.
	readOnly bool
	seen     keeper.State

	// behind has what was left on Compute Engine since the start, by project, and is no
	// longer maintained.
	behind map[string]federation.Finding
}

// newGoogleCloud makes a googleCloud, which reads Compute Engine only for a federation
// that wants it.
func (d *Daemon) newGoogleCloud(readOnly bool) *googleCloud {
	g := &googleCloud{newCloud: d.compute, secrets: secretReader{d.connect(readOnly), d.options.Version}, log: d.log, readOnly: readOnly}
	if claims := d.claims; claims != nil && !readOnly {
		g.mayWrite = func() bool {
			gone, _ := g.gone.Load().([]string)
			return claims.HoldsMost(time.Now(), gone...)
		}
	}
	return g
}

// want hands over what the load balancers should be. For a federation without load
// balancers it ends the keeper and leaves what exists unchanged.
func (g *googleCloud) want(ctx context.Context, in gcp.Input) {
	if g.readOnly || !in.Federation.Balances() {
		g.leave()
		return
	}
	if g.keeper == nil || g.project != in.Federation.GCP.Project {
		g.leave()
		g.begin(ctx, in.Federation.GCP.Project)
	}
	var gone []string
	for _, c := range in.Federation.Clusters {
		if c.Lost {
			gone = append(gone, c.Name)
		}
	}
	g.gone.Store(gone)
	g.keeper.Want(&in)
}

func (g *googleCloud) begin(ctx context.Context, project string) {
	ctx, g.stop = context.WithCancel(ctx)
	k := keeper.New(keeper.Options{
		Cloud: g.newCloud(project), MayWrite: g.mayWrite, Keys: g.secrets,
		Log: g.log.With(zap.String("project", project)),
	})
	g.project, g.keeper, g.changed = project, k, k.Changed()
	delete(g.behind, project)
	g.running.Go(func() { k.Run(ctx) })
}

// leave ends the keeper when the project or the mode has changed, and records what is
// left there.
func (g *googleCloud) leave() {
	if g.keeper == nil {
		return
	}
	if f, stays := leftBehind(g.project, g.keeper.State().Balancers); stays {
		if g.behind == nil {
			g.behind = map[string]federation.Finding{}
		}
		g.behind[g.project] = f
	}
	g.end()
}

// leftBehind returns the finding about the load balancers that are left in a project;
// false if there are none.
func leftBehind(project string, balancers []federation.Balancer) (federation.Finding, bool) {
	var serving []string
	for _, b := range balancers {
		if b.Address != "" {
			serving = append(serving, fmt.Sprintf("%s/%s at %s", b.Ingress.Namespace, b.Ingress.Name, b.Address))
		}
	}
	if len(serving) == 0 {
		return federation.Finding{}, false
	}
	shown := untrusted.Some(serving, 3)
	return federation.Finding{
		ID: federation.FindingCloud, Severity: federation.SeverityWarning,
		Message: untrusted.Textf("load balancers in project %s are no longer maintained and are left unchanged: %s; they continue to serve their present endpoints", project, shown),
		Remedy:  untrusted.Const("move DNS, then delete the resources that bear fedsync's mark there; or restore spec.gcp in " + federation.FileName),
	}, true
}

func (g *googleCloud) end() {
	if g.keeper == nil {
		return
	}
	g.stop()
	g.project, g.keeper, g.changed = "", nil, nil
}

// state returns what is known of Compute Engine; zero if it is not read.
func (g *googleCloud) state() keeper.State {
	state := g.seen
	if g.keeper != nil {
		state = g.keeper.State()
	}
	for _, project := range slices.Sorted(maps.Keys(g.behind)) {
		state.Findings = append(slices.Clip(state.Findings), g.behind[project])
	}
	return state
}

// wait returns when everything has ended. The caller must have ended ctx.
func (g *googleCloud) wait() {
	g.end()
	g.running.Wait()
}

// secretReader reads certificates from member clusters.
type secretReader struct {
	connect func(context string) (member.Connection, error)
	version string
}

// secretTimeout is how long a cluster may take to return a Secret.
const secretTimeout = 10 * time.Second

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// TLSSecret implements gcp.KeyReader.
func (r secretReader) TLSSecret(ctx context.Context, cluster federation.Cluster, namespace, name string) (chain, key []byte, err error) {
	connection, err := r.connect(cluster.Context)
	if err != nil {
		return nil, nil, err
	}
	client, err := member.NewClient(connection.REST, member.ClientOptions{Version: r.version})
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	u, err := client.Dynamic.Resource(secrets).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, errors.New(untrusted.Line(err.Error()))
	}
	var secret corev1.Secret
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &secret); err != nil {
		return nil, nil, errors.New("the Secret cannot be decoded") // err may quote it
	}
	chain, key = secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	if len(chain) == 0 || len(key) == 0 {
		return nil, nil, errors.New("the Secret has no tls.crt or no tls.key")
	}
	return chain, key, nil
}

// compute returns the Compute Engine of a project.
func (d *Daemon) compute(project string) gcp.Cloud {
	return wire.NewCompute(d.cfg, project, d.options.Version, d.secrets, d.log)
}
