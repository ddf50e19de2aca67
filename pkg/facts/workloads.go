package facts

import (
	"math"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/watch"
)

// maxGroups limits the ReplicaSets whose unscheduled pods are counted, because the owner
// of each may have to be requested. If more of them wait, the cluster is full, which the
// pods of these show as well.
const maxGroups = 5000

// workloads are the ReplicaSets and Deployments with our label, and all unschedulable
// pods of the cluster.
//
// Time comes in with the observations. advance finds the changes that depend only on
// time.
type workloads struct {
	byUID  map[types.UID]*workload
	byName map[federation.ObjectRef]*workload

	pods map[types.NamespacedName]pod
	// groups are the same pods by their ReplicaSet.
	groups map[types.UID]map[types.NamespacedName]pod
	// podsListed reports that pods are complete: before that, there would seem to be
	// fewer.
	podsListed bool

	owners owners // of the ReplicaSets in groups that are not ours
}

type workload struct {
	uid   types.UID
	label string      // the value of our label
	watch watch.Watch // that it came by
	pods  pods

	missing  missing
	capacity capacity
	fact     federation.Workload
	next     time.Time // when the fact changes with time; zero for never
}

// pod is an unschedulable pod.
type pod struct {
	set     replicaSet
	since   time.Time // when it became unschedulable, never later than we saw it
	written string    // the same, as the cluster writes it
	reason  untrusted.Text
}

// replicaSet identifies the ReplicaSet of a pod.
type replicaSet struct {
	uid             types.UID
	namespace, name string
}

func newWorkloads() *workloads {
	return &workloads{
		byUID:  map[types.UID]*workload{},
		byName: map[federation.ObjectRef]*workload{},
		pods:   map[types.NamespacedName]pod{},
		groups: map[types.UID]map[types.NamespacedName]pod{},
		owners: newOwners(),
	}
}

// put stores a workload and reports whether a fact has changed.
func (w *workloads) put(now time.Time, watch watch.Watch, label string, u *unstructured.Unstructured) bool {
	ref := federation.RefOf(u)
	if controller := metav1.GetControllerOf(u); controller != nil {
		// It has our label because its Deployment's pods do, and is counted there.
		changed := w.drop(ref, watch)
		return w.learn(now, u.GetUID(), ownerOf(u)) || changed
	}
	if label == "" {
		return w.drop(ref, watch)
	}
	one := w.byName[ref]
	fresh := one == nil || one.uid != u.GetUID()
	if fresh {
		if one != nil {
			delete(w.byUID, one.uid)
		}
		one = &workload{uid: u.GetUID(), fact: federation.Workload{Object: ref}}
		w.byName[ref], w.byUID[one.uid] = one, one
	}
	relabelled := one.label != label
	one.label, one.watch = label, watch
	one.pods.replicas = bounded(live.Number(u, 1, "spec", "replicas")) // 1 is the API's default
	scaled := isScaled(u)
	rescaled := one.fact.Scaled != scaled
	one.fact.Scaled = scaled
	one.pods.made = bounded(live.Number(u, 0, "status", "replicas"))
	one.pods.ready = bounded(live.Number(u, 0, "status", "readyReplicas"))
	one.missing.observe(now, max(0, one.pods.replicas-one.pods.ready-live.Unavailable(u, one.pods.replicas)))
	return w.judge(now, one) || relabelled || rescaled || fresh
}

// drop forgets a workload, if it came by this watch.
func (w *workloads) drop(ref federation.ObjectRef, by watch.Watch) bool {
	one := w.byName[ref]
	if one == nil || one.watch != by {
		return false
	}
	delete(w.byName, ref)
	delete(w.byUID, one.uid)
	return true
}

// dropAll forgets the workloads of a watch.
func (w *workloads) dropAll(by watch.Watch) bool {
	changed := false
	for ref := range w.byName {
		changed = w.drop(ref, by) || changed
	}
	return changed
}

// putPod stores a pod without a node.
func (w *workloads) putPod(now time.Time, u *unstructured.Unstructured) bool {
	key := watch.KeyOf(u)
	before, ok := w.pods[key]
	after, waits := readPod(now, u)
	changed := false
	switch {
	case !waits:
		return w.dropPod(now, key)
	case ok && before.set == after.set && before.written == after.written:
		if before.reason == after.reason {
			return false
		}
		after.since = before.since
	case ok:
		changed = w.dropPod(now, key)
	}
	group := w.groups[after.set.uid]
	if group == nil && len(w.groups) >= maxGroups {
		return changed
	}
	if group == nil {
		group = map[types.NamespacedName]pod{}
		w.groups[after.set.uid] = group
	}
	w.pods[key], group[key] = after, after
	return w.judgeOwner(now, after.set) || changed
}

func (w *workloads) dropPod(now time.Time, key types.NamespacedName) bool {
	before, ok := w.pods[key]
	if !ok {
		return false
	}
	delete(w.pods, key)
	group := w.groups[before.set.uid]
	delete(group, key)
	if len(group) == 0 {
		delete(w.groups, before.set.uid)
	}
	return w.judgeOwner(now, before.set)
}

// listPods records that all pods have been put.
func (w *workloads) listPods(now time.Time) bool {
	w.podsListed = true
	return w.judgeAll(now)
}

// dropPods forgets all pods: they are no longer watched, or may not be.
func (w *workloads) dropPods(now time.Time) bool {
	clear(w.pods)
	clear(w.groups)
	w.podsListed = false
	for _, one := range w.byUID {
		one.capacity = capacity{}
	}
	return w.judgeAll(now)
}

// learn records the owner of a ReplicaSet.
func (w *workloads) learn(now time.Time, set, owner types.UID) bool {
	w.owners.learn(set, owner)
	w.owners.forget(w.waits)
	one := w.byUID[owner]
	return one != nil && w.judge(now, one)
}

// answer records the result of a question about a ReplicaSet.
func (w *workloads) answer(now time.Time, set replicaSet, found metav1.Object, err error) bool {
	refused := w.owners.refused
	w.owners.answer(now, set, found, err)
	w.owners.forget(w.waits)
	// Workloads that do not own it need no longer wait for the answer.
	return w.judgeAll(now) || refused != w.owners.refused
}

// waits reports whether pods of a ReplicaSet wait for a node.
func (w *workloads) waits(set types.UID) bool { return len(w.groups[set]) > 0 }

// advance applies the changes that depend only on time.
func (w *workloads) advance(now time.Time) bool {
	changed := false
	for _, one := range w.byUID {
		if !one.next.IsZero() && !now.Before(one.next) {
			changed = w.judge(now, one) || changed
		}
	}
	return changed
}

// facts returns the facts of our workloads, sorted.
func (w *workloads) facts(ours func(label string) bool) []federation.Workload {
	list := make([]federation.Workload, 0, len(w.byName))
	for _, one := range w.byName {
		if ours(one.label) {
			list = append(list, one.fact)
		}
	}
	slices.SortFunc(list, func(a, b federation.Workload) int { return a.Object.Compare(b.Object) })
	return list
}

func (w *workloads) judgeAll(now time.Time) bool {
	changed := false
	for _, one := range w.byUID {
		changed = w.judge(now, one) || changed
	}
	return changed
}

// judgeOwner judges the workload that a ReplicaSet's pods belong to, and asks for the
// owner if it may be a Deployment.
func (w *workloads) judgeOwner(now time.Time, set replicaSet) bool {
	if !w.podsListed {
		return false // listPods judges all
	}
	if one := w.byUID[set.uid]; one != nil {
		return w.judge(now, one)
	}
	if owner, known := w.owners.of(set.uid); known {
		one := w.byUID[owner]
		return one != nil && w.judge(now, one)
	}
	for ref := range w.byName {
		if ref.Kind == live.KindDeployment && ref.Namespace == set.namespace && w.waits(set.uid) {
			w.owners.ask(set)
		}
	}
	return false
}

// judge updates the fact of a workload and reports whether it has changed.
func (w *workloads) judge(now time.Time, one *workload) bool {
	before := one.fact
	one.pods.waiting, one.pods.long = 0, 0
	one.fact.Reason, one.next = untrusted.Text{}, time.Time{}
	var oldest time.Time
	var oldestKey types.NamespacedName
	groups, certain := w.groupsOf(one)
	for _, group := range groups {
		for key, p := range group {
			one.pods.waiting++
			if due := p.since.Add(patienceWithPods); now.Before(due) {
				one.next = earliest(one.next, due)
			} else {
				one.pods.long++
			}
			if oldest.IsZero() || p.since.Before(oldest) ||
				p.since.Equal(oldest) && compareNames(key, oldestKey) < 0 {
				oldest, oldestKey, one.fact.Reason = p.since, key, p.reason
			}
		}
	}
	if w.podsListed && certain {
		one.capacity.observe(now, one.pods)
		one.next = earliest(one.next, one.capacity.next())
	}
	one.fact.Replicas, one.fact.Ready = one.pods.replicas, one.pods.ready
	one.fact.Current = max(0, one.pods.replicas-one.missing.least(now))
	one.fact.Limited, one.fact.Capacity = one.capacity.limited, one.capacity.most
	one.fact.Unschedulable = one.pods.waiting
	one.next = earliest(one.next, one.missing.next())
	return one.fact != before
}

// groupsOf returns the unschedulable pods of a workload, and asks about those that may be
// its own. The result is certain if no answer is awaited.
func (w *workloads) groupsOf(one *workload) (groups []map[types.NamespacedName]pod, certain bool) {
	if one.fact.Object.Kind != live.KindDeployment {
		return []map[types.NamespacedName]pod{w.groups[one.uid]}, true
	}
	certain = true
	for uid, group := range w.groups {
		set := setOf(group)
		if set.namespace != one.fact.Object.Namespace || w.byUID[uid] != nil {
			continue
		}
		switch owner, known := w.owners.of(uid); {
		case !known:
			certain = !w.owners.ask(set) && certain
		case owner == one.uid:
			groups = append(groups, group)
		}
	}
	return groups, certain
}

// setOf returns the ReplicaSet of a group, which has at least one pod.
func setOf(group map[types.NamespacedName]pod) replicaSet {
	for _, p := range group {
		return p.set
	}
	return replicaSet{}
}

// readPod reads an unschedulable pod of a ReplicaSet; false for any other.
func readPod(now time.Time, u *unstructured.Unstructured) (pod, bool) {
	controller := metav1.GetControllerOf(u)
	if controller == nil || controller.Kind != "ReplicaSet" || u.GetDeletionTimestamp() != nil ||
		live.Text(u, "spec", "nodeName") != "" || live.Text(u, "status", "phase") != "Pending" {
		return pod{}, false
	}
	for _, condition := range live.Objects(u, "status", "conditions") {
		c := &unstructured.Unstructured{Object: condition}
		if live.Text(c, "type") != "PodScheduled" || live.Text(c, "status") != "False" || live.Text(c, "reason") != "Unschedulable" {
			continue
		}
		p := pod{
			set:     replicaSet{uid: controller.UID, namespace: u.GetNamespace(), name: controller.Name},
			since:   now,
			written: live.Text(c, "lastTransitionTime"),
			reason:  untrusted.Excerpt(live.Text(c, "message")),
		}
		// The cluster's clock may be ahead of ours.
		if since, err := time.Parse(time.RFC3339, p.written); err == nil && since.Before(now) {
			p.since = since
		}
		return p, true
	}
	return pod{}, false
}

// replicasPath is the field that autoscalers set.
var replicasPath = fieldpath.MakePathOrDie("spec", "replicas")

// isScaled reports whether fedsync applied the workload without spec.replicas. Who has
// set the field since is not visible: the API server does not record all of its writers.
func isScaled(u *unstructured.Unstructured) bool {
	return slices.ContainsFunc(u.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		if entry.Manager != federation.FieldManager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			return false
		}
		var set fieldpath.Set
		return set.FromJSON(entry.FieldsV1.GetRawReader()) == nil && !set.Has(replicasPath)
	})
}

// bounded limits a number of pods to what the API allows: a cluster may report any
// number, and the numbers of all clusters are added up.
func bounded(n int64) int64 { return min(max(n, 0), math.MaxInt32) }
