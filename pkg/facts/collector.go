package facts

import (
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/watch"
)

// CollectorOptions configure a Collector.
type CollectorOptions struct {
	// Label is the key of the label of our objects: "applyset.kubernetes.io/part-of".
	Label string
	// Ours reports whether objects with this value of the label are ours. Its answer may
	// change: each call of Facts and of Watches calls it again. It must not call the
	// Collector.
	Ours func(label string) bool
	// Changed is called by many goroutines when a fact or the set of wanted watches has
	// changed. It must not block. Nil is allowed.
	Changed func()
	// ReplicaSet reads one ReplicaSet's metadata, to find the Deployment of its pods; see
	// ReplicaSets. Run calls it.
	ReplicaSet Lookup
}

// Collector derives one cluster's facts from watch events: the node ports, the workloads,
// and the data for the diagnosis. It remembers numbers, names and digests, but no
// objects.
//
// While a watch fails, for any reason, its data stays unchanged: an object that cannot be
// seen is not necessarily gone. Changes that depend only on time are suspended as well.
// Only the end of a watch makes the collector forget.
type Collector struct {
	options CollectorOptions

	asked chan struct{} // wakes Run: one token suffices for any number of questions

	mu     sync.Mutex      // protects what follows
	labels map[string]bool // the result of Ours for each value seen
	// manyLabels is the number at which unused labels are dropped.
	manyLabels int
	listed     map[watch.Watch]bool         // those that have listed since they are wanted
	failed     map[watch.Watch]*watch.Error // those that fail now
	facts      federation.ClusterFacts      // as last refreshed; its slices are shared
	names      []types.NamespacedName       // the Secrets to watch
	uid        federation.IngressUID        // as last seen
	work       *workloads                   // ReplicaSets, Deployments and pods
	workStale  bool                         // facts are older than work
	services   shelf[liveService]
	routes     shelf[ingress]
	slices     shelf[slice]
	quotas     shelf[federation.Quota]
	nodes      shelf[node]
	certs      shelf[federation.Certificate]
	scalers    shelf[scaler]
	// claims are the label values of claims that wait for a volume: while any of them is
	// ours, storage is watched.
	claims  shelf[string]
	storage shelf[federation.StorageClass]
	classes shelf[federation.IngressController]
	// waits reports that claims of ours wait, and routed that there are Ingresses of
	// ours.
	waits, routed bool
	// blindStale reports that facts are older than listed and failed.
	blindStale bool
}

// firstManyLabels is more than the number of federations that share a cluster.
const firstManyLabels = 64

const ingressUIDName = "ingress-uid"

var (
	servicesResource    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	podsResource        = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	nodesResource       = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	secretsResource     = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	configMapsResource  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	quotasResource      = schema.GroupVersionResource{Version: "v1", Resource: "resourcequotas"}
	ingressesResource   = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}
	slicesResource      = schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}
	replicaSetsResource = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
	deploymentsResource = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

	scalersResource        = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	claimsResource         = schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}
	storageClassesResource = schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"}
	ingressClassesResource = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingressclasses"}

	servicesWatch  = watch.Watch{Resource: servicesResource}
	podsWatch      = watch.Watch{Resource: podsResource, FieldSelector: "spec.nodeName=,status.phase=Pending"}
	ingressesWatch = watch.Watch{Resource: ingressesResource}
	quotasWatch    = watch.Watch{Resource: quotasResource}
	nodesWatch     = watch.Watch{Resource: nodesResource}
	scalersWatch   = watch.Watch{Resource: scalersResource}
	storageWatch   = watch.Watch{Resource: storageClassesResource}
	classesWatch   = watch.Watch{Resource: ingressClassesResource}
	uidWatch       = oneObject(configMapsResource, types.NamespacedName{Namespace: "kube-system", Name: ingressUIDName})
)

// oneObject returns the watch of a single object, which may not exist.
func oneObject(resource schema.GroupVersionResource, name types.NamespacedName) watch.Watch {
	return watch.Watch{Resource: resource, Namespace: name.Namespace, FieldSelector: "metadata.name=" + name.Name}
}

// NewCollector returns a collector without data.
func NewCollector(o CollectorOptions) *Collector {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &Collector{
		options: o,
		asked:   make(chan struct{}, 1),
		labels:  map[string]bool{},

		manyLabels: firstManyLabels,
		listed:     map[watch.Watch]bool{},
		failed:     map[watch.Watch]*watch.Error{},
		work:       newWorkloads(),
	}
}

// Required returns the watches without which no decision is possible; the remaining ones
// serve the diagnosis.
func (c *Collector) Required() []watch.Watch { return []watch.Watch{servicesWatch, podsWatch} }

// Watches returns the watches that the collector needs now, in a stable order. In
// addition it needs the watches of our ReplicaSets, Deployments and
// PersistentVolumeClaims, which apply requests.
func (c *Collector) Watches() []watch.Watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refresh()
	list := append(c.Required(), ingressesWatch, c.slicesWatch(), uidWatch, quotasWatch, nodesWatch, scalersWatch)
	if c.waits {
		list = append(list, storageWatch)
	}
	if c.routed {
		list = append(list, classesWatch)
	}
	for _, name := range c.names {
		list = append(list, oneObject(secretsResource, name))
	}
	return list
}

// slicesWatch returns the watch of our Services' endpoints: their controller copies the
// labels of the Service to its slices.
func (c *Collector) slicesWatch() watch.Watch {
	return watch.Watch{Resource: slicesResource, LabelSelector: c.options.Label}
}

// Observe processes a watch event, and ignores an unrelated one. It is called by many
// goroutines and does not block.
func (c *Collector) Observe(e watch.Event) {
	c.mu.Lock()
	changed := c.observe(time.Now(), e)
	asks := len(c.work.owners.questions) > 0
	c.mu.Unlock()
	if asks {
		c.wake()
	}
	if changed {
		c.options.Changed()
	}
}

func (c *Collector) observe(now time.Time, e watch.Event) bool {
	changed := false
	switch w := e.Watch; {
	case w == servicesWatch:
		changed = c.services.take(e, readService)
	case w == podsWatch:
		changed = c.observePods(now, e)
	case w == ingressesWatch:
		changed = c.routes.take(e, func(u *unstructured.Unstructured) (ingress, bool) {
			return readIngress(u, c.label(u)), true
		})
	case w == c.slicesWatch():
		changed = c.slices.take(e, func(u *unstructured.Unstructured) (slice, bool) {
			return readSlice(u, c.label(u)), true
		})
	case w == uidWatch:
		changed = c.observeUID(e)
	case w == quotasWatch:
		changed = c.quotas.take(e, readQuota)
	case w == nodesWatch:
		changed = c.nodes.take(e, readNode)
	case w == scalersWatch:
		changed = c.scalers.take(e, func(u *unstructured.Unstructured) (scaler, bool) { return readScaler(u, c.label(u)) })
	case w == storageWatch:
		changed = c.storage.take(e, readStorageClass)
	case w == classesWatch:
		changed = c.classes.take(e, readIngressClass)
	case c.isClaims(w):
		changed = c.claims.take(e, c.readClaim)
	case isSecret(w):
		changed = c.observeSecret(e)
	case c.isWorkload(w):
		changed = c.observeWorkload(now, e)
	default:
		return false
	}
	return c.note(e) || changed
}

// isSecret reports whether a watch is one of a Secret that Ingresses name.
func isSecret(w watch.Watch) bool {
	return w.Resource == secretsResource && w.LabelSelector == "" && w.FieldSelector != ""
}

// isWorkload reports whether a watch is one of our workloads.
func (c *Collector) isWorkload(w watch.Watch) bool {
	return w.LabelSelector == c.options.Label && (w.Resource == replicaSetsResource || w.Resource == deploymentsResource)
}

// isClaims reports whether a watch is the one of our claims.
func (c *Collector) isClaims(w watch.Watch) bool {
	return w == watch.Watch{Resource: claimsResource, LabelSelector: c.options.Label}
}

// readClaim returns the value of our label of a waiting claim; false for any other.
func (c *Collector) readClaim(u *unstructured.Unstructured) (string, bool) {
	return c.label(u), live.ClaimOf(u).AwaitsConsumer
}

func (c *Collector) observePods(now time.Time, e watch.Event) bool {
	changed := false
	switch e.Type {
	case watch.Upserted:
		changed = c.work.putPod(now, e.Object)
	case watch.Deleted:
		changed = c.work.dropPod(now, watch.KeyOf(e.Object))
	case watch.Listed:
		changed = c.work.listPods(now)
	case watch.Stopped:
		changed = c.work.dropPods(now)
	case watch.Restored, watch.Failed:
	}
	c.workStale = c.workStale || changed
	return changed
}

func (c *Collector) observeWorkload(now time.Time, e watch.Event) bool {
	changed := false
	switch e.Type {
	case watch.Upserted:
		changed = c.work.put(now, e.Watch, c.label(e.Object), e.Object)
	case watch.Deleted:
		changed = c.work.drop(federation.RefOf(e.Object), e.Watch)
	case watch.Stopped:
		changed = c.work.dropAll(e.Watch)
	case watch.Listed, watch.Restored, watch.Failed:
	}
	c.workStale = c.workStale || changed
	return changed
}

func (c *Collector) observeUID(e watch.Event) bool {
	before := c.uid
	switch e.Type {
	case watch.Upserted:
		c.uid = readIngressUID(e.Object)
	case watch.Deleted, watch.Stopped:
		c.uid = federation.IngressUID{}
	case watch.Listed, watch.Restored, watch.Failed:
	}
	return c.uid != before
}

func (c *Collector) observeSecret(e watch.Event) bool {
	if e.Type == watch.Stopped { // of one Secret
		_, name, _ := strings.Cut(e.Watch.FieldSelector, "=")
		return c.certs.drop(types.NamespacedName{Namespace: e.Watch.Namespace, Name: name})
	}
	return c.certs.take(e, func(u *unstructured.Unstructured) (federation.Certificate, bool) {
		return readCertificate(u), true
	})
}

// label returns the value of our label, and has Ours check it from now on.
func (c *Collector) label(u *unstructured.Unstructured) string {
	value := u.GetLabels()[c.options.Label]
	if _, known := c.labels[value]; !known && value != "" {
		c.forgetLabels()
		c.labels[value] = c.options.Ours(value)
	}
	return value
}

// note remembers whether a watch works, and reports whether that is new and affects the
// facts.
func (c *Collector) note(e watch.Event) bool {
	w := e.Watch
	listed, failed := c.listed[w], c.failed[w]
	switch e.Type {
	case watch.Listed:
		c.listed[w] = true
		delete(c.failed, w)
	case watch.Failed:
		c.failed[w] = e.Err
	case watch.Stopped:
		delete(c.listed, w)
		delete(c.failed, w)
	case watch.Upserted, watch.Deleted, watch.Restored:
		return false
	}
	if listed == c.listed[w] && failed == c.failed[w] {
		return false
	}
	c.blindStale = true
	return true
}

// complete reports whether the data of a watch is complete: it has listed, and may still
// be watched.
func (c *Collector) complete(w watch.Watch) bool {
	err := c.failed[w]
	return c.listed[w] && (err == nil || !err.Blocked())
}

// suspended reports whether time is suspended for pods and workloads, because their state
// is unknown.
func (c *Collector) suspended() bool {
	for w := range c.failed {
		if w == podsWatch || c.isWorkload(w) {
			return true
		}
	}
	return false
}
