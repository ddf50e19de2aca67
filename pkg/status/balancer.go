package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// balancers adds the known load balancers to the report, each with the clusters that have
// served behind it for this revision.
func (s *summary) balancers() {
	s.balancer = make(map[federation.ObjectRef]*Balancer, len(s.Balancers))
	s.report.Balancers = make([]Balancer, 0, len(s.Balancers))
	for _, b := range s.Balancers {
		shown := Balancer{Balancer: b}
		for _, c := range b.Clusters {
			if c.State == federation.TrafficServing || s.served(b.Ingress, c.Cluster) {
				shown.Served = append(shown.Served, c.Cluster)
			}
		}
		slices.Sort(shown.Served)
		s.report.Balancers = append(s.report.Balancers, shown)
	}
	slices.SortStableFunc(s.report.Balancers, func(a, b Balancer) int { return a.Ingress.Compare(b.Ingress) })
	for i := range s.report.Balancers {
		s.balancer[s.report.Balancers[i].Ingress] = &s.report.Balancers[i]
	}
	s.report.Cloud = shownCloud(s.Cloud)
}

// served reports whether the cluster has taken traffic for the report's revision
// before.
func (s *summary) served(ingress federation.ObjectRef, cluster string) bool {
	if s.previous == nil {
		return false
	}
	i := slices.IndexFunc(s.previous.Balancers, func(b Balancer) bool { return b.Ingress == ingress })
	return i >= 0 && slices.Contains(s.previous.Balancers[i].Served, cluster)
}

// balancerFindings waits until every load balancer is as the revision wants it and each
// cluster behind it takes traffic. A cluster that took traffic and now has no healthy
// endpoint is a failure at once: the Poster delays the change from a success on the
// forge.
func (s *summary) balancerFindings() {
	if s.Cloud == nil || s.Rendering || s.Maintained != nil {
		return
	}
	if !s.Cloud.Error.IsZero() {
		s.cloudWait("Compute Engine cannot be read: "+s.Cloud.Error.String(), "check that fedsync has credentials for Google Cloud and the roles in docs/google-cloud.md; existing load balancers continue to serve")
	}
	if s.Cloud.Revision.SHA != s.Snapshot.Revision.SHA {
		if s.Cloud.Error.IsZero() && s.Federation != nil && s.Federation.Balances() {
			s.cloudWait("the load balancers of this revision have not been checked yet", "see the log for the current work on load balancers")
		}
		return
	}
	s.unseenBalancers()
	for i := range s.report.Balancers {
		b := &s.report.Balancers[i]
		switch {
		case !b.Refused.IsZero() && b.Waits:
			s.incomplete(b)
			continue
		case !b.Refused.IsZero():
			s.refused(b)
			continue
		case !b.Complete:
			s.incomplete(b)
		}
		for _, c := range b.Clusters {
			s.traffic(b, c)
		}
	}
}

// unseenBalancers waits for load balancers that the plan wants and that were not compared
// with Compute Engine yet: a plan of the same revision that was made before the clusters
// were read has no Ingress for them.
func (s *summary) unseenBalancers() {
	if s.Plan == nil || !s.Cloud.Error.IsZero() || s.Federation == nil || !s.Federation.Balances() {
		return
	}
	for _, d := range s.Plan.Ingresses {
		b := s.balancer[d.Ingress]
		unseen := slices.ContainsFunc(d.Clusters, func(c federation.IngressClass) bool {
			if c.Basis == federation.ClassUnknown || !s.members[c.Cluster] {
				return false
			}
			known := false
			if b != nil {
				_, known = b.Cluster(c.Cluster)
			}
			return !known
		})
		if !unseen {
			continue
		}
		f := federation.Finding{
			ID: federation.FindingBalancer, App: d.App, Object: d.Ingress, File: d.File,
			Message: untrusted.Const("load balancer has not been checked yet"),
			Remedy:  untrusted.Const("see the log for the current work on load balancers"),
		}
		s.waits = append(s.waits, wait{finding: f, words: place(federation.Finding{Object: d.Ingress}) + " load balancer not checked yet"})
	}
}

// cloudWait waits for Compute Engine to be read.
func (s *summary) cloudWait(message, remedy string) {
	f := federation.Finding{ID: federation.FindingCloud, Message: untrusted.New(message), Remedy: untrusted.New(remedy)}
	s.waits = append(s.waits, wait{finding: f, words: message, early: !s.Cloud.Error.IsZero()})
}

// refused reports that a load balancer is not built, unless a stage reported more.
func (s *summary) refused(b *Balancer) {
	if s.explainedAnywhere(b.Ingress) {
		return
	}
	s.note(federation.Finding{
		ID: federation.FindingBalancer, Severity: federation.SeverityError, App: b.App, Object: b.Ingress, File: b.File,
		Message: untrusted.New("load balancer is not built: " + b.Refused.String()),
	})
}

// incomplete waits for a load balancer that is being created or changed.
func (s *summary) incomplete(b *Balancer) {
	f := federation.Finding{
		ID: federation.FindingBalancer, App: b.App, Object: b.Ingress, File: b.File,
		Message: untrusted.Const("load balancer is still incomplete"),
		Remedy:  untrusted.Const("see the page for the actions on Compute Engine and their errors"),
	}
	words := place(federation.Finding{Object: b.Ingress}) + " load balancer is being set up"
	if b.Waits {
		f.Message = untrusted.Textf("%s: %s", f.Message, b.Refused.String())
		words = place(federation.Finding{Object: b.Ingress}) + " load balancer waits: " + b.Refused.String()
	}
	if a, ok := s.failing(b); ok {
		f.Message = untrusted.Textf("%s: %s %s: %s", f.Message, a.Verb, untrusted.Line(a.Resource), a.Error)
		words += fmt.Sprintf(": %s %s fails", a.Verb, untrusted.Line(a.Resource))
	}
	s.waits = append(s.waits, wait{finding: f, words: words})
}

// failing returns the newest action on a part of the load balancer if it failed.
func (s *summary) failing(b *Balancer) (CloudAction, bool) {
	for _, a := range s.Cloud.Done {
		if slices.Contains(b.Resources, a.Resource) {
			return a, a.Outcome == CloudFailed
		}
	}
	return CloudAction{}, false
}

// traffic waits for one cluster to take traffic.
func (s *summary) traffic(b *Balancer, c federation.BalancerCluster) {
	if !s.expectsTraffic(b, c) {
		return
	}
	f := federation.Finding{
		ID: federation.FindingTraffic, Severity: federation.SeverityError, Cluster: c.Cluster, App: b.App, Object: b.Ingress,
		Message: untrusted.New("takes no traffic: " + trafficWords(c)),
		Remedy:  untrusted.New(s.trafficRemedy(b, c)),
	}
	lost := c.State == federation.TrafficUnhealthy || c.State == federation.TrafficNone
	if lost && b.Complete && slices.Contains(b.Served, c.Cluster) {
		s.note(f)
		return
	}
	words := fmt.Sprintf("%s takes no traffic yet (%s)", c.Cluster, trafficWords(c))
	s.waits = append(s.waits, wait{finding: f, words: words})
}

// expectsTraffic reports whether a cluster that takes no traffic is worth reporting. It
// is not where the cluster does not count, is drained, or runs nothing that could answer.
// A cluster that is not Ready is reported as such.
func (s *summary) expectsTraffic(b *Balancer, c federation.BalancerCluster) bool {
	switch c.State {
	case federation.TrafficServing, federation.TrafficDraining, federation.TrafficDrained:
		return false
	case federation.TrafficWaiting, federation.TrafficUnhealthy, federation.TrafficNone, federation.TrafficUnknown:
	}
	if !s.members[c.Cluster] || s.drained(c.Cluster) || s.idle(b.App, c.Cluster) {
		return false
	}
	i := slices.IndexFunc(s.report.Clusters, func(m Cluster) bool { return m.Name == c.Cluster })
	if i >= 0 && s.report.Clusters[i].State != federation.ClusterReady {
		return false
	}
	return c.State != federation.TrafficUnknown || s.Cloud.Error.IsZero()
}

// drained reports whether fedsync.yaml drains the cluster.
func (s *summary) drained(cluster string) bool {
	return s.Federation != nil && slices.ContainsFunc(s.Federation.Clusters, func(c federation.Cluster) bool {
		return c.Name == cluster && c.Drain
	})
}

// idle reports whether the plan places no replica of an app in the cluster, so that
// nothing there can answer.
func (s *summary) idle(app, cluster string) bool {
	return s.Plan != nil && PlacedNowhere(s.Plan.Replicas, app, cluster)
}

// PlacedNowhere reports whether the decisions place no replica of an app in the cluster,
// so that no load balancer can expect an answer from it.
func PlacedNowhere(decisions []federation.ReplicasDecision, app, cluster string) bool {
	divided := false
	for _, d := range decisions {
		for _, share := range d.Shares {
			if d.App != app || share.Cluster != cluster {
				continue
			}
			if share.Share > 0 || share.Replicas > 0 {
				return false
			}
			divided = true
		}
	}
	return divided
}

// trafficWords returns why a cluster takes no traffic: "unhealthy: firewall?".
func trafficWords(c federation.BalancerCluster) string {
	words := map[federation.TrafficState]string{
		federation.TrafficServing:   "serving",
		federation.TrafficWaiting:   "waiting",
		federation.TrafficUnhealthy: "unhealthy",
		federation.TrafficNone:      "no endpoints",
		federation.TrafficUnknown:   "unknown",
		federation.TrafficDraining:  "draining",
		federation.TrafficDrained:   "drained",
	}[c.State]
	words = cmp.Or(words, untrusted.Line(string(c.State)))
	if reason := c.Reason.String(); reason != "" && reason != words {
		words += ": " + reason
	}
	return words
}

// trafficRemedy returns what to do about a cluster that takes no traffic.
func (s *summary) trafficRemedy(b *Balancer, c federation.BalancerCluster) string {
	switch c.State {
	case federation.TrafficUnhealthy:
		return fmt.Sprintf("check that its pods are ready (%s) and that health checks reach its nodes: fedsync firewall %s prints the rule",
			describe(s.context(c.Cluster), b.Ingress), untrusted.Quote(b.Ingress.Namespace+"/"+b.Ingress.Name))
	case federation.TrafficNone:
		return untrusted.Command("check its nodes: kubectl --context=%s get nodes -o wide", s.context(c.Cluster))
	case federation.TrafficWaiting, federation.TrafficUnknown, federation.TrafficServing,
		federation.TrafficDraining, federation.TrafficDrained:
	}
	return "see the page for the actions on Compute Engine and their errors"
}

// behind returns the clusters that count and are behind a load balancer, sorted.
func (s *summary) behind(b *Balancer) []string {
	clusters := []string{}
	for _, c := range b.Clusters {
		if s.members[c.Cluster] && c.State != federation.TrafficDrained {
			clusters = append(clusters, c.Cluster)
		}
	}
	slices.Sort(clusters)
	return clusters
}

// trafficOf returns the worst state of a cluster behind its load balancers in one word;
// empty if it is behind none.
func (s *summary) trafficOf(cluster string) string {
	worst, words := -1, ""
	order := []federation.TrafficState{
		federation.TrafficServing, federation.TrafficDrained, federation.TrafficDraining,
		federation.TrafficWaiting, federation.TrafficUnknown, federation.TrafficNone, federation.TrafficUnhealthy,
	}
	for i := range s.report.Balancers {
		c, ok := s.report.Balancers[i].Cluster(cluster)
		if rank := slices.Index(order, c.State); ok && rank > worst {
			worst, words = rank, trafficWords(federation.BalancerCluster{State: c.State})
		}
	}
	return words
}

// otherAddressFinding notes that an Ingress of ours has another address in members: that
// of a controller that served it before, or one that fedsync has yet to replace.
func (s *summary) otherAddressFinding(b *Balancer, byAddr map[string][]string, google bool) {
	others := map[string][]string{}
	for address, clusters := range byAddr {
		if address != b.Address {
			others[address] = clusters
		}
	}
	if b.Address == "" || len(others) == 0 {
		return
	}
	f := federation.Finding{
		ID: federation.FindingAddresses, Severity: federation.SeverityNote, App: b.App, Object: b.Ingress, File: b.File,
		Message: untrusted.Textf("fedsync's load balancer has the address %s; members also report another address: %s", b.Address, listAll(others)),
	}
	if google {
		f.Message = untrusted.Textf("fedsync's load balancer has the address %s; Google's controllers also serve this Ingress: %s", b.Address, listAll(others))
		f.Remedy = untrusted.Textf("point DNS at %s, and then set the annotation %s: %s",
			b.Address, federation.AnnotationMove, federation.MoveAllowed)
	}
	s.note(f)
}

// listAll names each address and its clusters, as list does, but also names the clusters
// of a single address.
func listAll(byAddr map[string][]string) string {
	if len(byAddr) != 1 {
		return list(byAddr)
	}
	for address, clusters := range byAddr {
		return address + " in " + strings.Join(slices.Sorted(slices.Values(clusters)), ", ")
	}
	return ""
}

// noTrafficWords returns "1/13 takes no traffic: gce-us-east1b (unhealthy: firewall?)"
// for the clusters that fail for one reason, and the number of further reasons.
func (s *summary) noTrafficWords(first federation.Finding, clusters []string, failed, more int) string {
	verb := "takes"
	if failed > 1 {
		verb = "take"
	}
	head := fmt.Sprintf("%d/%d %s no traffic: ", failed, counted(s.report.Clusters), verb)
	name := first.Cluster
	if len(clusters) > 1 {
		name = fmt.Sprintf("%s and %d more", first.Cluster, len(clusters)-1)
	}
	reason := strings.TrimPrefix(first.Message.String(), "takes no traffic: ")
	return head + withMore(fmt.Sprintf("%s (%s)", name, reason), more, wordsLimit-len(head))
}
