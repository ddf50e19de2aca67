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

// sourceFindings speaks of a repository that could not be read. While a revision
// is known this says nothing about that revision, so it is a warning.
func (s *summary) sourceFindings() {
	said := func(f federation.Finding) bool { return f.ID == federation.FindingSource }
	if s.Source.IsZero() || slices.ContainsFunc(s.noted.findings, said) {
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
		Remedy:  untrusted.Textf("%s; what runs is kept as it is", remedy),
	})
}

// renderingWait waits for a revision's files to become objects.
func (s *summary) renderingWait() {
	if !s.Rendering {
		return
	}
	s.waits = append(s.waits, wait{
		words: "being rendered",
		finding: federation.Finding{
			ID:      federation.FindingRendering,
			Message: untrusted.Textf("%s is still being rendered", s.Snapshot.Revision),
			Remedy:  untrusted.Const("make its apps smaller, above all those with kustomizations of thousands of objects"),
		},
	})
}

// maintainedNotes tells what is wrong with the revision in force, which is not the
// report's.
func (s *summary) maintainedNotes() {
	if s.Maintained == nil {
		return
	}
	for _, f := range s.Maintained.Findings {
		if s.says(f) {
			continue // it holds whatever the revision
		}
		f.Severity = federation.SeverityNote
		f.Message = untrusted.Textf("%s, which is in force: %s", s.Maintained.Revision, f.Message)
		s.note(f)
	}
}

// isOneOfMany reports whether a failure is one of those that their cluster has one
// finding for.
func isOneOfMany(err error) bool {
	var one interface{ OneOfMany() bool }
	return errors.As(err, &one) && one.OneOfMany()
}

// changeFindings makes a finding of each failed change that no stage explained.
// What failed in a cluster that does not answer is explained by that.
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
				Remedy: untrusted.Const("correct the object in Git, or what refuses it in the cluster; it is tried again"),
			})
		}
	}
}

// healthFindings judges the objects of clusters that can be seen: degraded is an
// error, progressing is waited for. Whether an Ingress has its address is a
// question of its own.
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
				f.Remedy = untrusted.New(look(s.context(c.Name), o.Object))
				if !s.explained(c.Name, o.Object) {
					s.note(f)
				}
			case federation.Progressing, federation.Unknown:
				f.Message = untrusted.Textf("is still %s: %s", strings.ToLower(string(o.Health)), cmp.Or(o.Message.String(), "no reason given"))
				f.Remedy = untrusted.New(look(s.context(c.Name), o.Object))
				s.waits = append(s.waits, wait{finding: f, words: place(f) + " " + strings.ToLower(string(o.Health))})
			}
		}
	}
}

// look is the command that shows a person what an object is up to.
func look(context string, o federation.ObjectRef) string {
	kind := strings.ToLower(o.Kind)
	if o.Group != "" {
		kind += "." + o.Group
	}
	if o.Namespace == "" {
		return untrusted.Command("kubectl --context=%s describe %s %s", context, kind, o.Name)
	}
	return untrusted.Command("kubectl --context=%s -n %s describe %s %s", context, o.Namespace, kind, o.Name)
}

// context is the kubeconfig context of a cluster.
func (s *summary) context(cluster string) string {
	if s.contexts == nil {
		s.contexts = make(map[string]string, len(s.Federation.Clusters))
		for _, c := range s.Federation.Clusters {
			s.contexts[c.Name] = cmp.Or(c.Context, c.Name)
		}
	}
	return cmp.Or(s.contexts[cluster], cluster)
}

// clusterWaits waits for clusters that are not Ready, not equal to the newest
// plan, or do not show an object of it yet.
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
				continue // that says more than that it is not equal
			}
			s.waits = append(s.waits, wait{finding: federation.Finding{
				ID: federation.FindingNotSynced, Cluster: c.Name,
				Message: untrusted.Textf("is not equal to %s yet", s.Snapshot.Revision),
				Remedy:  untrusted.Const("the log says what its sync is busy with"),
			}})
			continue
		}
		s.unseen(c)
	}
}

// portWaits waits for node ports that cannot be chosen before every cluster has
// said which of its own are taken.
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

// withheldWaits waits for objects that are not written to a cluster which could be,
// where nothing says yet why: a revision is no success without them.
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
					Message: untrusted.New("is not written: " + w.Reason),
				}
				s.waits = append(s.waits, wait{finding: f, words: place(f) + " " + w.Reason})
			}
		}
	}
}

// unseen waits for objects of the plan that no watch has shown yet. Only kinds
// count whose health says more than that they exist.
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
			Message: untrusted.Const("was applied and is still not seen in the cluster"),
			Remedy:  untrusted.New("check that fedsync may watch this kind: " + look(s.context(c.Name), o.Ref)),
		}
		s.waits = append(s.waits, wait{finding: f, words: place(f) + " not seen yet"})
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

// planned gives what a cluster should run, apart from apps whose rendering
// failed.
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

// contextFindings says that there are too many clusters for contexts of their
// own.
func (s *summary) contextFindings() {
	if s.Federation == nil || !s.Federation.CommitStatus.PerCluster || counted(s.report.Clusters) <= perClusterLimit {
		return
	}
	s.note(federation.Finding{
		ID: federation.FindingPerClusterStatus, Severity: federation.SeverityWarning, File: s.Federation.File(),
		Message: untrusted.Textf("commitStatus.perCluster is for up to %d clusters, %d are targeted: only the federation's own status is posted",
			perClusterLimit, counted(s.report.Clusters)),
		Remedy: untrusted.Const("set commitStatus.perCluster to false; the page shows every cluster"),
	})
}

// short gives a duration as a reader wants it: "4m", "3h", "2d".
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
