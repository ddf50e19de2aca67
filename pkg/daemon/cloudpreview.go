package daemon

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// CloudPreview is what Compute Engine has, what it should have, and what would be done
// there.
type CloudPreview struct {
	Wanted   gcp.Wanted
	Observed gcp.Observed // with the errors of what could not be read
	Planned  gcp.Planned
}

// SourceDigest returns what tells the source of the settings from any other: names and
// marks on Compute Engine hold it.
func SourceDigest(cfg *Config, federation string) (string, error) {
	src, err := newSource(cfg, zap.NewNop())
	if err != nil {
		return "", err
	}
	digest, _ := sourceDigests(src, cfg.Revision, federation)
	return digest, nil
}

// PreviewCloud looks at Compute Engine once and changes nothing. Of the input, the
// federation, the source, the plan and the facts are needed; its GCP is not nil. Without
// usable credentials it is an error, which holds no secret.
func PreviewCloud(ctx context.Context, cfg *Config, in gcp.Input, log *zap.Logger) (*CloudPreview, error) {
	cloud, err := gcp.NewCompute(ctx, gcp.Options{
		Project: in.Federation.GCP.Project, Endpoint: cfg.GCPEndpoint, QPS: cfg.GCPRate,
		UserAgent: "fedsync", Log: log,
	})
	if err != nil {
		return nil, err
	}
	p := previewCloud(ctx, cloud, in)
	return &p, ctx.Err()
}

func previewCloud(ctx context.Context, cloud gcp.Cloud, in gcp.Input) CloudPreview {
	in.Now = time.Now()
	var p CloudPreview
	p.Wanted, p.Observed, p.Planned = gcp.Preview(ctx, cloud, in)
	return p
}

// lookAtCloudOnce looks at Compute Engine for a loop that has looked at everything else
// and has ended, for at most the timeout: reports of the loop then speak of it.
func (l *loop) lookAtCloudOnce(ctx context.Context, timeout time.Duration) {
	f := l.live.federation
	if !f.Balances() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	source, _ := sourceDigests(l.source, l.cfg.Revision, f.Name)
	in := gcp.Input{Federation: f, Source: source, Plan: l.live.plan, Facts: l.members.facts}
	cloud := l.cloud.newCloud(f.GCP.Project)
	p := previewCloud(ctx, cloud, in)
	p.Observed.Health = askHealth(ctx, cloud, p)
	state := gcp.State{
		Looked: p.Observed.At, Revision: l.live.plan.Revision, Error: lookErrors(p.Observed, timeout),
		Findings: slices.Concat(p.Wanted.Findings, p.Planned.Findings, gcp.Survey(ctx, cloud, in, p.Planned)),
		Pending:  p.Planned.Actions, Settled: p.Planned.Settled,
	}
	if !p.Observed.At.IsZero() {
		state.Balancers = gcp.Traffic(in, p.Wanted, p.Observed, p.Planned)
	}
	l.cloud.project, l.cloud.seen = f.GCP.Project, state
	l.lookAtCloud()
}

// lookErrors says what could not be read, in one line; empty where all was.
func lookErrors(seen gcp.Observed, timeout time.Duration) string {
	var all []string
	for _, e := range seen.Errors {
		all = append(all, e.What+": "+e.Err.Error())
	}
	if seen.At.IsZero() && len(all) == 0 {
		return fmt.Sprintf("no answer within %s", timeout)
	}
	return strings.Join(all, "; ")
}

// healthAsked is how many groups are asked for at the same time.
const healthAsked = 8

// askHealth asks every backend service for the health of its groups. What cannot be
// asked before the context ends is not in the answer.
func askHealth(ctx context.Context, cloud gcp.Cloud, p CloudPreview) map[gcp.ID]map[gcp.ID]gcp.GroupHealth {
	type pair struct{ service, group gcp.ID }
	pairs := map[pair]bool{}
	for id, r := range p.Wanted.Resources {
		service, ok := p.Observed.Resources[id].Spec.(gcp.Service)
		if !ok || r.ID.Kind != gcp.KindService {
			continue
		}
		for _, b := range service.Backends {
			pairs[pair{id, b.Group}] = true
		}
	}
	var mu sync.Mutex // protects health
	health := map[gcp.ID]map[gcp.ID]gcp.GroupHealth{}
	places := make(chan struct{}, healthAsked) // as many as ask at the same time
	var asking sync.WaitGroup
	for _, q := range slices.SortedFunc(maps.Keys(pairs), func(a, b pair) int {
		return cmp.Or(a.service.Compare(b.service), a.group.Compare(b.group))
	}) {
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			h, err := cloud.Health(ctx, q.service, q.group)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if health[q.service] == nil {
				health[q.service] = map[gcp.ID]gcp.GroupHealth{}
			}
			health[q.service][q.group] = h
		})
	}
	asking.Wait()
	return health
}

// judgeCloud makes findings of what a daemon would wait for on Google Cloud: a single
// look has no later.
func (e *Examination) judgeCloud() {
	r := e.Comparison.Report
	if r.Cloud == nil {
		return
	}
	if r.Cloud.Error != "" {
		for i := range e.Findings {
			if f := &e.Findings[i]; f.ID == "cloud" && f.Cluster == "" && f.Object == (federation.ObjectRef{}) {
				f.Severity = federation.SeverityError
			}
		}
		return
	}
	if n := len(r.Cloud.Pending); n > 0 {
		e.find(federation.Finding{
			ID: "balancer", Severity: federation.SeverityWarning,
			Message: fmt.Sprintf("fedsync would make %d changes on Compute Engine", n),
			Remedy:  "fedsync diff prints them; a running fedsync makes them",
		})
	}
	for _, b := range r.Balancers {
		for _, c := range b.Clusters {
			if !b.Complete || c.State != federation.TrafficUnhealthy && c.State != federation.TrafficNone {
				continue
			}
			e.find(federation.Finding{
				ID: "traffic", Severity: federation.SeverityWarning, Cluster: c.Cluster, App: b.App, Object: b.Ingress, File: b.File,
				Message: strings.TrimSuffix(fmt.Sprintf("takes no traffic: %s: %s", c.State, c.Reason), ": "),
			})
		}
	}
}
