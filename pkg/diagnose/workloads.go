package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// workloads reports where pods that should run do not.
func (x *diagnosis) workloads() {
	for _, m := range x.seen() {
		for _, w := range m.planned {
			if w.pods == nil || !divisible(w.Ref) {
				continue
			}
			runs, ok := m.facts.Workload(w.Ref)
			switch {
			case !ok:
			case runs.Limited:
				x.unschedulable(m, w, runs)
			default:
				x.noneReady(m, w, runs)
			}
		}
	}
}

// divisible reports whether it is a workload that has facts.
func divisible(o federation.ObjectRef) bool {
	return o.Group == "apps" && (o.Kind == "ReplicaSet" || o.Kind == "Deployment")
}

// unschedulable reports that the cluster has no room for pods.
func (x *diagnosis) unschedulable(m *member, w *planned, runs federation.Workload) {
	message := fmt.Sprintf("%d of %d pods are unschedulable; there is room for %d", runs.Unschedulable, runs.Replicas, runs.Capacity)
	if !runs.Reason.IsZero() {
		message += ": " + runs.Reason.String()
	}
	x.add(federation.Finding{
		ID: federation.FindingUnschedulable, Severity: federation.SeverityWarning,
		Cluster: m.name, App: w.app, Object: w.Ref, File: w.File,
		Message: untrusted.New(message),
		Remedy: untrusted.New("add nodes, or lower the requests in the pod template: " +
			m.kubectl("-n %s get pods --field-selector=status.phase=Pending -o wide", w.Ref.Namespace)),
	})
}

// noneReady reports that no pod is ready although some should be.
func (x *diagnosis) noneReady(m *member, w *planned, runs federation.Workload) {
	n := x.wanted(m, w)
	if n <= 0 || runs.Ready > 0 {
		return
	}
	x.await(federation.Finding{
		ID: federation.FindingNothingReady, Severity: federation.SeverityWarning,
		Cluster: m.name, App: w.app, Object: w.Ref, File: w.File,
		Message: untrusted.Textf("0 of %d ready", n),
		Remedy:  untrusted.New(m.describe(w.Ref)),
	}, x.seasoned(m, m.observation(w.Ref).Created))
}

// division reports where the division of replicas does not match Git, across clusters.
func (x *diagnosis) division() {
	for _, d := range x.Plan.Replicas {
		x.held(d)
		x.waiting(d)
	}
}

// held reports that clusters keep pods because their replacements elsewhere are not
// Ready. For a while, that is expected.
func (x *diagnosis) held(d federation.ReplicasDecision) {
	isHeld := func(s federation.ReplicasShare) bool { return s.Basis == federation.ShareHeld }
	if len(d.Waits) > 0 || !slices.ContainsFunc(d.Shares, isHeld) {
		return // nothing is lowered while facts are missing: another finding reports that
	}
	var keeps, lacks []string
	for _, s := range d.Shares {
		if isHeld(s) {
			keeps = append(keeps, fmt.Sprintf("%s keeps %d in addition to its %d", s.Cluster, s.Replicas-s.Share-s.Overflow, s.Share))
			continue
		}
		if m := x.member(s.Cluster); m != nil && m.now {
			if runs, _ := m.facts.Workload(d.Object); runs.Ready < s.Share {
				lacks = append(lacks, fmt.Sprintf("%s has %d of %d", s.Cluster, runs.Ready, s.Share))
			}
		}
	}
	message := strings.Join(keeps, ", ") + " until pods elsewhere are Ready"
	if len(lacks) > 0 {
		message += ": " + strings.Join(lacks, ", ")
	}
	x.found = append(x.found, found{patience: patience{grace: progressDeadline}, Finding: federation.Finding{
		ID: federation.FindingReplicasHeld, Severity: federation.SeverityWarning, App: d.App, Object: d.Object, File: d.File,
		Message: untrusted.New(message),
		Remedy:  untrusted.Const("check why the pods elsewhere do not become Ready; no replica is removed before they are"),
	}})
}

func (x *diagnosis) waiting(d federation.ReplicasDecision) {
	if len(d.Waits) == 0 {
		return
	}
	until, seasoned := x.until(d.Waits, false)
	x.await(federation.Finding{
		ID: federation.FindingReplicasWaiting, Severity: federation.SeverityWarning, App: d.App, Object: d.Object, File: d.File,
		Message: untrusted.Textf("its %d replicas are not divided again until %s", d.Total, until),
		Remedy:  untrusted.Const("repair the clusters that it waits for; declare one that is gone for good with state: Lost in " + federation.FileName),
	}, seasoned)
}

func (x *diagnosis) member(name string) *member {
	if x.byName == nil {
		x.byName = make(map[string]*member, len(x.members))
		for _, m := range x.members {
			x.byName[m.name] = m
		}
	}
	return x.byName[name]
}
