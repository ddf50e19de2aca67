package doctor

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/gitdir"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/wire"
)

// Examination is what is known about an installation, whatever state it is in.
type Examination struct {
	Repository  string                 // URL or path, without credentials
	Snapshot    federation.Snapshot    // its Revision is empty if none could be read
	Federation  *federation.Federation // nil if none could be read
	Plan        federation.Plan        // by the facts of the clusters, if they could be queried
	Comparison  *preview.Comparison    // nil if the clusters were not queried
	Permitted   int                    // how many clusters were asked what they allow
	Findings    []federation.Finding   // sorted
	Uncommitted preview.Uncommitted

	secrets    *secret.Set // of the repository's server
	log        *zap.Logger
	source     *source.Source // nil if the settings name none
	kubeconfig *config.Kubeconfig
}

// A LookFunc asks every cluster what it runs, and what an apply of a snapshot would change
// there, for at most the timeout. If it returns preview.ErrNoAnswer, the Comparison holds
// what is known nevertheless.
type LookFunc func(ctx context.Context, snapshot federation.Snapshot, timeout time.Duration) (*preview.Comparison, error)

// Options are what an examination needs in addition to the settings.
type Options struct {
	Timeout time.Duration // of the clusters' answers
	Log     *zap.Logger
	Secrets *secret.Set // receives the credentials for the repository's server
	Look    LookFunc
}

// Examine examines everything that Look does, and everything that Look presupposes. Each
// broken part is a finding, and the other parts are still examined. It also asks every
// cluster what the credentials allow. It changes nothing.
func Examine(ctx context.Context, cfg *config.Config, o Options) (*Examination, error) {
	e := &Examination{Repository: untrusted.URL(cfg.Repository), secrets: o.Secrets, log: o.Secrets.Logger(o.Log)}
	var kubeErr error
	if e.kubeconfig, kubeErr = config.NewKubeconfig(cfg, e.log); kubeErr == nil {
		defer e.kubeconfig.Close()
	} else {
		e.find(federation.Finding{
			ID: federation.FindingNoContext, Severity: federation.SeverityError, Message: untrusted.New(kubeErr.Error()),
			Remedy: untrusted.Const("provide a kubeconfig that has a context for each member cluster: --kubeconfig FILE, or $KUBECONFIG"),
		})
	}
	e.read(ctx, cfg)
	switch {
	case e.Federation == nil:
	case kubeErr != nil:
		// Mistakes in the repository can be reported without the clusters.
		r, err := preview.Of(ctx, cfg, e.Snapshot, e.Federation, federation.Facts{})
		if err != nil {
			return nil, err
		}
		e.Plan = r.Plan
		e.find(r.Findings...)
	default:
		if err := e.ask(ctx, cfg, o); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(e.Findings, federation.Finding.Compare)
	e.Findings = slices.CompactFunc(e.Findings, func(x, y federation.Finding) bool {
		return x.Object == federation.ObjectRef{} && x.Compare(y) == 0 // the same finding for several objects
	})
	e.Findings = secret.Value(e.secrets, federation.ShortFindings(e.Findings))
	return e, ctx.Err()
}

func (e *Examination) find(findings ...federation.Finding) {
	e.Findings = append(e.Findings, findings...)
}

// read reads the repository's fedsync.yaml.
func (e *Examination) read(ctx context.Context, cfg *config.Config) {
	src, err := wire.NewSource(cfg, e.secrets, e.log)
	if err != nil {
		e.find(federation.Finding{
			ID: federation.FindingNoContext, Severity: federation.SeverityError, Message: untrusted.New(err.Error()),
			Remedy: untrusted.Const("correct --repo and the settings of its credentials"),
		})
		return
	}
	e.source = src
	snapshot, err := src.Snapshot(ctx, cfg.Revision)
	if err != nil {
		e.find(sourceFinding(err))
		return
	}
	e.Snapshot = snapshot
	f, err := render.Load(snapshot)
	if err != nil {
		e.find(preview.Refusal(snapshot, err)...)
		return
	}
	e.Federation = f
	e.Uncommitted = preview.UncommittedFiles(src, f)
}

// sourceFinding reports why the repository cannot be read.
func sourceFinding(err error) federation.Finding {
	f := federation.Finding{
		ID: federation.FindingSource, Severity: federation.SeverityError, Message: untrusted.New(err.Error()),
		Remedy: untrusted.Const("correct --repo or --revision"),
	}
	if wrong, ok := errors.AsType[*gitdir.NotRepositoryError](err); ok {
		f.Message, f.Remedy = untrusted.Textf("read %s: %s", wrong.Path, wrong.Reason), untrusted.New(wrong.Remedy)
	}
	if _, gone := errors.AsType[*source.RefError](err); gone {
		f.Remedy = SourceRemedy(err)
	}
	if failed, ok := errors.AsType[*source.Error](err); ok {
		short := *failed
		short.Remedy = ""
		f.Message = untrusted.New(short.Error())
		f.Remedy = untrusted.New(cmp.Or(failed.Remedy, "check the repository's address, its credentials and the network"))
	}
	if errors.Is(err, source.ErrUnauthorised) || errors.Is(err, source.ErrCredentials) {
		f.ID = federation.FindingCredentials
	}
	return f
}

// SourceRemedy returns the remedy of a daemon's operator for an error that does not state
// one; empty if none is known.
func SourceRemedy(err error) untrusted.Text {
	if _, gone := errors.AsType[*source.RefError](err); gone {
		return untrusted.Const("push the branch again, or set --revision to an existing one")
	}
	if failed, ok := errors.AsType[*source.Error](err); ok && failed.Remedy != "" {
		return untrusted.New(failed.Remedy)
	}
	return untrusted.Text{}
}

// ask queries the clusters.
func (e *Examination) ask(ctx context.Context, cfg *config.Config, o Options) error {
	c, err := o.Look(ctx, e.Snapshot, o.Timeout)
	if err != nil && !errors.Is(err, preview.ErrNoAnswer) {
		return err
	}
	c.Uncommitted = e.Uncommitted
	e.Comparison, e.Plan = c, c.Plan
	e.find(c.Report.Findings...)
	e.judgeSource(ctx, cfg)
	for _, cluster := range c.Report.Clusters {
		for _, difference := range c.Differences[cluster.Name] {
			if f, refused := difference.Finding(); refused {
				e.find(f)
			}
		}
		e.judge(cluster, o.Timeout)
	}
	e.judgeCloud()
	return e.permissions(ctx, cfg, o.Timeout)
}

// judge reports what a daemon would wait for: an examination cannot wait.
func (e *Examination) judge(c status.Cluster, timeout time.Duration) {
	differences, compared := e.Comparison.Differences[c.Name]
	differ := 0 // without the refused ones, which are findings already
	for _, d := range differences {
		if d.Err == nil {
			differ++
		}
	}
	f := federation.Finding{Cluster: c.Name, Severity: federation.SeverityWarning, Since: c.Since}
	switch {
	case c.Lost || !c.Targeted:
		return
	case c.State == federation.ClusterPending:
		f.ID, f.Severity = federation.FindingNotReady, federation.SeverityError
		f.Message = untrusted.Textf("no answer within %s", timeout)
		f.Remedy = untrusted.Const("check the network between here and the API server, or wait longer: --timeout")
	case c.State != federation.ClusterReady:
		for i := range e.Findings {
			if found := &e.Findings[i]; found.Cluster == c.Name && slices.Contains(absence, found.ID) {
				found.Severity = federation.SeverityError
			}
		}
		return
	case !compared && e.broken(c.Name):
		return // the error states why
	case !compared:
		f.ID = federation.FindingNotSynced
		f.Message = untrusted.Textf("was not compared with %s within %s", e.Snapshot.Revision, timeout)
		f.Remedy = untrusted.Const("wait longer: --timeout")
	case differ > 0:
		f.ID = federation.FindingNotSynced
		f.Message = untrusted.Textf("does not match %s: fedsync would change %d of its objects", e.Snapshot.Revision, differ)
		f.Remedy = untrusted.Const("fedsync diff prints the differences; a running fedsync corrects them")
	default:
		return
	}
	e.find(f)
}

// absence are the findings that state why a cluster does not answer.
var absence = []string{federation.FindingNoContext, federation.FindingCredentials, federation.FindingUnreachable, federation.FindingNotReady}

// broken reports whether the cluster has an error.
func (e *Examination) broken(cluster string) bool {
	return slices.ContainsFunc(e.Findings, func(f federation.Finding) bool {
		return f.Cluster == cluster && f.Severity == federation.SeverityError
	})
}
