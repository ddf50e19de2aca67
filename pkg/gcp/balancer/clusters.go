package balancer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp/balancer/readiness"
)

// clusterView is what is known of one cluster that is, or was, behind a load balancer.
type clusterView struct {
	name    string
	cluster federation.Cluster
	facts   federation.ClusterFacts
	member  bool // of the federation

	// leaving is why it loses its traffic, whatever it runs; empty if it does not.
	// drained is set if the reason is `drain: true`.
	leaving string
	drained bool
	// blind is why its nodes are not known: its groups and backends stay.
	blind string
	// mute is why an object that its plan lacks may still exist.
	mute string
	// provisional is set if its plan mixes apps of two revisions.
	provisional bool

	ingresses map[federation.ObjectRef]placed
	services  map[federation.ObjectRef]placed
	withheld  map[federation.ObjectRef]federation.Withheld
	pods      map[string][]readiness.Template // by namespace
	broken    []string                        // apps that could not be rendered

	nodes clusterNodes
}

// placed is an object of the plan and the app that it belongs to.
type placed struct {
	app    string
	object *federation.Object
}

// readClusters lists the clusters, and notes which of them leave or cannot be read.
func (b *builder) readClusters() {
	for _, c := range b.in.Federation.Clusters {
		view := &clusterView{name: c.Name, cluster: c, member: true, facts: b.in.Facts.Of(c.Name)}
		view.blind = Blindness(view.facts)
		switch {
		case c.Lost:
			view.leaving = "it is declared lost"
		case c.Drain:
			view.leaving, view.drained = "it is drained", true
		}
		b.addCluster(view)
	}
	left := map[string]bool{}
	for _, r := range b.ours("") {
		if r.Mark.Cluster != "" && b.byName[r.Mark.Cluster] == nil {
			left[r.Mark.Cluster] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		b.addCluster(&clusterView{
			name: name, leaving: "it is no longer a member of the federation",
			blind: "it is no longer a member of the federation",
		})
	}
}

func (b *builder) addCluster(c *clusterView) {
	c.ingresses, c.services = map[federation.ObjectRef]placed{}, map[federation.ObjectRef]placed{}
	c.withheld = map[federation.ObjectRef]federation.Withheld{}
	c.pods = map[string][]readiness.Template{}
	c.mute = "there is no plan for it"
	b.clusters = append(b.clusters, c)
	b.byName[c.name] = c
}

// Blindness returns why the known nodes of a cluster may be out of date; empty if they
// are current.
func Blindness(f federation.ClusterFacts) string {
	switch {
	case f.Away():
		return "the cluster does not answer"
	case f.State == federation.ClusterUnknown:
		return "fedsync cannot read the cluster"
	case !f.Seen || !f.Synced:
		return "the cluster has not been read yet"
	case !f.NodesKnown:
		return "its Nodes cannot be listed"
	}
	return ""
}

// readPlan collects the plan's objects that load balancers depend on.
func (b *builder) readPlan() {
	if len(b.in.Plan.Clusters) == 0 {
		b.unclean = "there is no plan yet"
	}
	for _, plan := range b.in.Plan.Clusters {
		c := b.byName[plan.Cluster]
		if c == nil || !c.member {
			continue // it has left the federation
		}
		c.mute = plan.Excluded
		b.judgePlan(c, plan)
		for _, app := range plan.Apps {
			if app.Broken {
				c.broken = append(c.broken, app.App)
				b.markUnclean(fmt.Sprintf("app %s cannot be rendered for cluster %s", app.App, c.name))
			}
			for _, w := range app.Withheld {
				c.withheld[withNamespace(w.Object)] = w
			}
			for _, o := range app.Objects {
				b.readObject(c, app.App, o)
			}
		}
	}
	for _, c := range b.clusters {
		if c.member && c.mute != "" {
			b.markUnclean(fmt.Sprintf("cluster %s: %s", c.name, c.mute))
		}
	}
}

// judgePlan notes whether the plan of a cluster is final.
func (b *builder) judgePlan(c *clusterView, plan federation.ClusterPlan) {
	switch {
	case plan.Provisional:
		c.mute, c.provisional = "its plan is provisional", true
	case plan.Early && !c.facts.Away():
		b.markUnclean(fmt.Sprintf("the plan of cluster %s was made before its facts were known", c.name))
	}
}

// markUnclean notes why the absence of an Ingress proves nothing. The first reason counts.
func (b *builder) markUnclean(reason string) { b.unclean = cmp.Or(b.unclean, reason) }

func (b *builder) readObject(c *clusterView, app string, o *federation.Object) {
	ref := withNamespace(o.Ref)
	switch {
	case ref.IsIngress():
		c.ingresses[ref] = placed{app, o}
	case ref.Group == "" && ref.Kind == "Service":
		c.services[ref] = placed{app, o}
	case ref.Group == "apps" || ref.Group == "" && ref.Kind == "Pod":
		if t, ok := b.template(o); ok {
			c.pods[ref.Namespace] = append(c.pods[ref.Namespace], t)
		}
	}
}

// withNamespace sets the namespace that the API server sets for an object without one.
// All objects here are namespaced.
func withNamespace(ref federation.ObjectRef) federation.ObjectRef {
	ref.Namespace = cmp.Or(ref.Namespace, metav1.NamespaceDefault)
	return ref
}

// template returns the pod template of an object; false if it has none.
func (b *builder) template(o *federation.Object) (readiness.Template, bool) {
	t := readiness.Template{Workload: withNamespace(o.Ref)}
	switch o.Ref.Kind {
	case "Pod":
		pod, err := parse[readiness.Pod](b, o)
		if err != nil {
			return t, false
		}
		t.Labels, t.Spec = pod.Metadata.Labels, pod.Spec
		return t, true
	case "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet":
		// All of them have spec.template in the same place.
		workload, err := parse[readiness.Workload](b, o)
		if err != nil {
			return t, false
		}
		t.Labels, t.Spec = workload.Spec.Template.Metadata.Labels, workload.Spec.Template.Spec
		return t, true
	}
	return t, false
}

// templates returns the templates of the pods behind a Service in a cluster.
func (c *clusterView) templates(service *corev1.Service) []readiness.Template {
	if len(service.Spec.Selector) == 0 {
		return nil
	}
	selector := labels.SelectorFromSet(service.Spec.Selector)
	var found []readiness.Template
	for _, t := range c.pods[cmp.Or(service.Namespace, metav1.NamespaceDefault)] {
		if selector.Matches(t.Labels) {
			found = append(found, t)
		}
	}
	return found
}

// parse decodes an object. Clusters share objects, so each is decoded only one time.
func parse[T any](b *builder, o *federation.Object) (*T, error) {
	key := o.Digest + o.Ref.String()
	if known, ok := b.parsed[key].(*T); ok {
		return known, nil
	}
	content := new(T)
	if err := json.Unmarshal(o.JSON, content); err != nil {
		return nil, fmt.Errorf("decode %s of %s: %w", o.Ref, o.File, err)
	}
	b.parsed[key] = content
	return content, nil
}

// ingress returns the Ingress that the plan has for a cluster.
func (b *builder) ingress(c *clusterView, ref federation.ObjectRef) (*networkingv1.Ingress, error) {
	p, ok := c.ingresses[ref]
	if !ok {
		return nil, errNotPlaced
	}
	return parse[networkingv1.Ingress](b, p.object)
}

// service returns the Service that the plan has for a cluster.
func (b *builder) service(c *clusterView, ref federation.ObjectRef) (*corev1.Service, error) {
	p, ok := c.services[ref]
	if !ok {
		return nil, errNotPlaced
	}
	return parse[corev1.Service](b, p.object)
}

// brokenApp reports whether one of the apps could not be rendered for the cluster.
func (c *clusterView) brokenApp(app string) bool { return slices.Contains(c.broken, app) }

// unpruned returns why an object that has left the plan stays in the cluster: its
// deletion waits, or is not allowed. It is empty if the object is deleted.
func (b *builder) unpruned(c *clusterView, ref federation.ObjectRef) string {
	for _, plan := range b.in.Plan.Clusters {
		if plan.Cluster != c.name {
			continue
		}
		for _, app := range plan.Apps {
			if app.Prune != federation.PruneAllowed && slices.Contains(c.facts.Inventory[app.App], ref) {
				return fmt.Sprintf("%s is still in cluster %s: its deletion is not allowed (%s)", ref, c.name, strings.ToLower(string(app.Prune)))
			}
		}
	}
	return ""
}
