package status

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// sourceFindings reports a repository that could not be read. While a revision is known
// this does not concern that revision, so it is a warning.
func (s *summary) sourceFindings() {
	isSource := func(f federation.Finding) bool { return f.ID == federation.FindingSource }
	if s.Source.IsZero() || slices.ContainsFunc(s.noted.findings, isSource) {
		return
	}
	severity := federation.SeverityWarning
	if s.Snapshot.Revision.SHA == "" {
		severity = federation.SeverityError
	}
	remedy := s.SourceRemedy
	if remedy.IsZero() {
		remedy = untrusted.Const("check the repository's address, its credentials and the network")
	}
	s.note(federation.Finding{
		ID: federation.FindingSource, Severity: severity,
		Message: untrusted.New("the repository cannot be read: " + s.Source.String()),
		Remedy:  untrusted.Textf("%s; the clusters stay unchanged until then", remedy),
	})
}

// renderingWait waits until a revision's files are rendered.
func (s *summary) renderingWait() {
	if !s.Rendering {
		return
	}
	s.waits = append(s.waits, wait{
		words: "rendering",
		finding: federation.Finding{
			ID:      federation.FindingRendering,
			Message: untrusted.Textf("%s is still being rendered", s.Snapshot.Revision),
			Remedy:  untrusted.Const("split large apps, above all kustomizations with thousands of objects"),
		},
	})
}

// maintainedNotes adds the findings of the revision in force, if that is not the
// report's, as notes.
func (s *summary) maintainedNotes() {
	if s.Maintained == nil {
		return
	}
	for _, f := range s.Maintained.Findings {
		if s.noted.contains(f) {
			continue // it holds whatever the revision
		}
		f.Severity = federation.SeverityNote
		f.Message = untrusted.Textf("%s, which is in force: %s", s.Maintained.Revision, f.Message)
		s.note(f)
	}
}

// isOneOfMany reports whether a failure belongs to many that share one finding of their
// cluster.
func isOneOfMany(err error) bool {
	var one interface{ OneOfMany() bool }
	return errors.As(err, &one) && one.OneOfMany()
}

// changeFindings adds a finding for each failed change that no stage explained. Failures
// in a cluster that does not answer need no further explanation.
func (s *summary) changeFindings() {
	for _, c := range s.report.Clusters {
		if c.State != federation.ClusterReady || !s.judges(c.Name) {
			continue
		}
		for _, change := range s.Clusters[c.Name].Changes {
			if change.Action != federation.ActionFailed || s.explained(c.Name, change.Object) || isOneOfMany(change.Err) {
				continue
			}
			message := "could not be applied"
			if change.Err != nil {
				message = change.Err.Error()
			}
			s.note(federation.Finding{
				ID: federation.FindingRefused, Severity: federation.SeverityError,
				Cluster: c.Name, App: change.App, Object: change.Object, Message: untrusted.New(message),
				Remedy: untrusted.Const("fix the object in Git, or what rejects it in the cluster; fedsync retries it"),
			})
		}
	}
}

// healthFindings judges the objects of visible clusters: degraded is an error,
// progressing is a wait. addressFindings checks the addresses of Ingresses.
func (s *summary) healthFindings() {
	for _, c := range s.report.Clusters {
		if !s.members[c.Name] || !c.Visible() || !s.judges(c.Name) {
			continue
		}
		for _, o := range c.Objects {
			waitsForAddress := o.Object.IsIngress() && len(o.Addresses) == 0 && o.Health != federation.Degraded
			if o.Health == federation.Healthy && !o.Message.IsZero() {
				s.note(federation.Finding{ID: federation.FindingHealth, Severity: federation.SeverityNote, Cluster: c.Name, App: o.App, Object: o.Object, Message: o.Message})
			}
			if o.Health == federation.Healthy || waitsForAddress {
				continue
			}
			f := federation.Finding{
				ID: federation.FindingHealth, Cluster: c.Name, App: o.App, Object: o.Object,
				Message: untrusted.New(cmp.Or(o.Message.String(), "is "+strings.ToLower(string(o.Health)))),
			}
			switch o.Health {
			case federation.Healthy:
			case federation.Degraded:
				f.Severity = federation.SeverityError
				f.Remedy = untrusted.New(describe(s.context(c.Name), o.Object))
				if !s.explained(c.Name, o.Object) {
					s.note(f)
				}
			case federation.Progressing, federation.Unknown:
				f.Message = untrusted.Textf("is still %s: %s", strings.ToLower(string(o.Health)), cmp.Or(o.Message.String(), "no reason given"))
				f.Remedy = untrusted.New(describe(s.context(c.Name), o.Object))
				s.waits = append(s.waits, wait{finding: f, words: place(f) + " " + strings.ToLower(string(o.Health))})
			}
		}
	}
}

// describe returns the command that shows a user the state of an object.
func describe(context string, o federation.ObjectRef) string {
	kind := strings.ToLower(o.Kind)
	if o.Group != "" {
		kind += "." + o.Group
	}
	if o.Namespace == "" {
		return untrusted.Command("kubectl --context=%s describe %s %s", context, kind, o.Name)
	}
	return untrusted.Command("kubectl --context=%s -n %s describe %s %s", context, o.Namespace, kind, o.Name)
}

// context returns the kubeconfig context of a cluster.
func (s *summary) context(cluster string) string {
	if s.contexts == nil {
		s.contexts = make(map[string]string, len(s.Federation.Clusters))
		for _, c := range s.Federation.Clusters {
			s.contexts[c.Name] = cmp.Or(c.Context, c.Name)
		}
	}
	return cmp.Or(s.contexts[cluster], cluster)
}

// clusterWaits waits for clusters that are not Ready, are not in sync with the newest
// plan, or do not show one of its objects yet.
func (s *summary) clusterWaits() {
	for _, c := range s.report.Clusters {
		if c.State != federation.ClusterReady {
			w := s.absent(c)
			if s.members[c.Name] {
				s.waits = append(s.waits, w)
			} else if !c.Lost && w.early {
				w.finding.Severity = federation.SeverityWarning
				s.add(w.finding)
			}
			continue
		}
		if !s.members[c.Name] {
			continue
		}
		if !c.Current {
			if s.Rendering || s.broken(c.Name) {
				continue // the error says more than "not in sync"
			}
			s.waits = append(s.waits, wait{finding: federation.Finding{
				ID: federation.FindingNotSynced, Cluster: c.Name,
				Message: untrusted.Textf("is not in sync with %s yet", s.Snapshot.Revision),
				Remedy:  untrusted.Const("see the log for the progress of its sync"),
			}})
			continue
		}
		s.unseen(c)
	}
}

// portWaits waits for node ports that cannot be chosen until every cluster has reported
// which of its ports are taken.
func (s *summary) portWaits() {
	if s.Plan == nil {
		return
	}
	for _, d := range s.Plan.Ports {
		if d.Basis != federation.PortWaiting {
			continue
		}
		f := federation.Finding{
			ID: federation.FindingPortWaiting, App: d.App, Object: d.Service, File: d.File,
			Message: untrusted.Textf("no node port for port %d/%s: %s", d.Port, d.Protocol, d.Reason),
			Remedy:  untrusted.Textf("bring the cluster back, declare it lost (state: Lost in %s), or pin a nodePort in the Service", federation.FileName),
		}
		s.waits = append(s.waits, wait{
			finding: f, early: true,
			words: fmt.Sprintf("%s waits for the ports of %s", d.Service, limit.List(d.Waits, ", ")),
		})
	}
}

// withheldWaits waits for objects that are withheld from a reachable cluster, if no
// finding explains that yet: a revision is no success without them.
func (s *summary) withheldWaits() {
	if s.Plan == nil {
		return
	}
	waiting := map[federation.ObjectRef]bool{}
	for _, d := range s.Plan.Ports {
		waiting[d.Service] = waiting[d.Service] || d.Basis == federation.PortWaiting
	}
	ready := map[string]bool{}
	for _, c := range s.report.Clusters {
		ready[c.Name] = s.members[c.Name] && c.State == federation.ClusterReady
	}
	for _, plan := range s.Plan.Clusters {
		if !ready[plan.Cluster] {
			continue
		}
		for _, app := range plan.Apps {
			for _, w := range app.Withheld {
				if waiting[w.Object] || s.explained(plan.Cluster, w.Object) || s.noted.errors[about{object: w.Object}] {
					continue
				}
				f := federation.Finding{
					ID: federation.FindingWithheld, Cluster: plan.Cluster, App: app.App, Object: w.Object, File: w.File,
					Message: untrusted.New("is withheld: " + w.Reason),
				}
				s.waits = append(s.waits, wait{finding: f, words: place(f) + " " + w.Reason})
			}
		}
	}
}

// unseen waits for objects of the plan that no watch has shown yet. Only kinds count
// whose health means more than existence.
func (s *summary) unseen(c Cluster) {
	seen := map[federation.ObjectRef]bool{}
	for _, o := range c.Objects {
		seen[o.Object] = true
	}
	for _, o := range s.planned(c.Name) {
		if seen[o.Ref] || !judged(o.Ref) || s.explained(c.Name, o.Ref) {
			continue
		}
		f := federation.Finding{
			ID: federation.FindingHealth, Cluster: c.Name, Object: o.Ref, File: o.File,
			Message: untrusted.Const("was applied but is still not visible in the cluster"),
			Remedy:  untrusted.New("check that fedsync may watch this kind: " + describe(s.context(c.Name), o.Ref)),
		}
		s.waits = append(s.waits, wait{finding: f, words: place(f) + " not visible yet"})
	}
}

func judged(o federation.ObjectRef) bool {
	if o.IsIngress() || o.IsGateway() || o.IsRoute() {
		return true
	}
	switch o.Kind {
	case "Service", "Pod":
		return o.Group == ""
	case "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet":
		return o.Group == "apps"
	}
	return false
}

// planned returns what a cluster should run, without apps that failed to render.
func (s *summary) planned(cluster string) []*federation.Object {
	if s.Plan == nil {
		return nil
	}
	if s.plans == nil {
		s.plans = make(map[string]int, len(s.Plan.Clusters))
		for i, plan := range s.Plan.Clusters {
			s.plans[plan.Cluster] = i
		}
	}
	i, has := s.plans[cluster]
	if !has {
		return nil
	}
	var objects []*federation.Object
	for _, app := range s.Plan.Clusters[i].Apps {
		if !app.Broken {
			objects = append(objects, app.Objects...)
		}
	}
	return objects
}

// contextFindings reports that there are too many clusters for contexts of their own.
func (s *summary) contextFindings() {
	if s.Federation == nil || !s.Federation.CommitStatus.PerCluster || counted(s.report.Clusters) <= perClusterLimit {
		return
	}
	s.note(federation.Finding{
		ID: federation.FindingPerClusterStatus, Severity: federation.SeverityWarning, File: s.Federation.File(),
		Message: untrusted.Textf("commitStatus.perCluster supports up to %d clusters, but %d are targeted: only the federation's own status is posted",
			perClusterLimit, counted(s.report.Clusters)),
		Remedy: untrusted.Const("set commitStatus.perCluster to false; the page shows every cluster"),
	})
}

// short formats a duration with one unit: "4m", "3h", "2d".
func short(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
