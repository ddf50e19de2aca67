package apply

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/internal/raced"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

// theJob returns the Job in the cluster; nil if there is none.
func (s *simulated) theJob() *unstructured.Unstructured {
	s.Helper()
	u, err := s.somebody.Resource(jobs).Namespace("default").Get(s.Context(), "migrate", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		s.Fatal(err)
	}
	return u
}

// recorded returns the rendering for which the inventory records that the Job ended.
func (s *simulated) recorded() string {
	s.Helper()
	u, err := s.somebody.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Get(s.Context(), inventory.ParentName("web", "web"), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return ""
	}
	if err != nil {
		s.Fatal(err)
	}
	return inventory.Read(u).Ended["job.default.migrate"].Digest
}

// knowsEnd reports whether it is known that the Job ended for the rendering in Git.
func (s *simulated) knowsEnd() (known bool) {
	s.WithState(func(t *state.State) {
		r := t.Rows[federation.ObjectRef{Group: "batch", Kind: "Job", Namespace: "default", Name: "migrate"}]
		if r == nil || r.Want == nil {
			return
		}
		digest, a := r.Want.Object.Digest, t.App(r.Want.App)
		known = r.Ended.Digest == digest || a.Parent.Exists() && a.Parent.Ended[inventory.EndedKey(r.Ref)].Digest == digest
	})
	return known
}

// A Job with a TTL runs one time for each rendering, whatever history of ends,
// deletions, faults and restarts it has, unless it ended and was deleted while its end
// could not be recorded.
func TestAJobRunsOnceForEachRendering(t *testing.T) {
	for seed := range uint64(raced.Share(60)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playJob(simulate(t, seed), rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func playJob(s *simulated, random *rand.Rand) {
	defer func() { s.stop() }()
	version, faulty := 0, false
	var story []string
	manifest := func() string {
		return strings.ReplaceAll(migration(fmt.Sprint(version), ttl), "NAMESPACE", "default")
	}
	push := func() {
		s.push(manifest())
	}
	image := func(u *unstructured.Unstructured) string {
		containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
		image, _, _ := unstructured.NestedString(containers[0].(map[string]any), "image")
		return image
	}
	uids, excused := map[string]types.UID{}, map[string]bool{}
	look := func() {
		u := s.theJob()
		if u == nil {
			return
		}
		if before := uids[image(u)]; before != "" && before != u.GetUID() && !excused[image(u)] {
			s.Fatalf("%s runs again after %q", image(u), story)
		}
		uids[image(u)], excused[image(u)] = u.GetUID(), false
	}
	ended := func(u *unstructured.Unstructured) bool { return u != nil && object.EndOf(u) != object.Runs }
	gone := "" // the image of the Job that ended and is gone, while it is the newest
	push()
	s.completeWithin(time.Minute)
	for range 40 {
		look()
		u := s.theJob()
		switch step := random.IntN(6); {
		case step == 0 && u != nil && !ended(u):
			story = append(story, "end")
			patch := `{"status":{"conditions":[{"type":"Complete","status":"True"}]}}`
			if _, err := s.somebody.Resource(jobs).Namespace("default").Patch(s.Context(), "migrate", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
				s.Fatal(err)
			}
		case step == 1 && ended(u):
			story = append(story, "delete")
			gone = image(u)
			excused[gone] = !s.knowsEnd() // the end was not observed
			if err := s.somebody.Resource(jobs).Namespace("default").Delete(s.Context(), "migrate", metav1.DeleteOptions{}); err != nil {
				s.Fatal(err)
			}
		case step == 2:
			story = append(story, "restart")
			s.stop()
			if u == nil && gone != "" && s.recorded() != s.plan.Apps[0].Objects[0].Digest {
				excused[gone] = true // the end could not be recorded
			}
			s.start()
		case step == 3:
			faulty = !faulty
			story = append(story, fmt.Sprintf("faults %v", faulty))
			s.store.SetFaults()
			if faulty {
				fault := objectstore.Action{Drop: true}
				if random.IntN(2) == 0 {
					fault = objectstore.Action{LoseAnswer: true}
				}
				s.store.SetFaults(forApplier(func(*objectstore.Request) objectstore.Action { return fault }))
			}
		case step == 4 && u == nil && s.knowsEnd():
			version++
			story = append(story, "push")
			push()
		}
		s.after(time.Duration(random.IntN(5000)) * time.Millisecond)
	}
	s.store.SetFaults()
	look()
	s.completeWithin(2 * time.Minute)
	look()
	here := s.Standing(time.Now())
	told := fmt.Sprint(s.Ended())
	s.stop()
	s.start()
	s.completeWithin(2 * time.Minute)
	look()
	fresh := s.Standing(time.Now())
	if fmt.Sprint(here.Findings) != fmt.Sprint(fresh.Findings) || here.Complete != fresh.Complete || told != fmt.Sprint(s.Ended()) {
		s.Errorf("before a restart: %v %v, after it: %v %v; %q", here.Findings, told, fresh.Findings, s.Ended(), story)
	}
	s.push(configMapText)
	s.completeWithin(2 * time.Minute)
	if digest := s.recorded(); digest != "" {
		s.Errorf("the inventory records the Job after it left Git; %q", story)
	}
}

const configMapText = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: left, namespace: NAMESPACE}\ndata: {v: x}"

// A Job may end and be deleted between two events: the last one shows how it ended.
func TestAJobThatGoesWithTheEventThatShowsItsEndIsNotRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, 1)
		defer func() { s.stop() }()
		s.push(strings.ReplaceAll(migration("1", ttl), "NAMESPACE", "default"))
		s.completeWithin(time.Minute)
		s.blind()
		u := s.theJob()
		if err := s.somebody.Resource(jobs).Namespace("default").Delete(t.Context(), "migrate", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := unstructured.SetNestedSlice(u.Object, []any{map[string]any{"type": "Failed", "status": "True"}}, "status", "conditions"); err != nil {
			t.Fatal(err)
		}
		u.SetResourceVersion(u.GetResourceVersion() + "0") // of the deletion
		if d := s.Observe(object.Event{Resource: jobs, Object: u, Deleted: true}); d.Repair {
			t.Errorf("Observe = %+v, want nothing to repair", d)
		}
		s.after(time.Minute)
		if s.theJob() != nil || s.recorded() == "" {
			t.Errorf("the Job is there %v, its record is %q; want it gone and recorded", s.theJob() != nil, s.recorded())
		}
		if ended := s.Ended(); len(ended) != 1 || ended[0].Health != federation.Degraded {
			t.Errorf("Ended = %v, want the failure", ended)
		}
	})
}

// jobNamed returns a Job's manifest.
func jobNamed(name string) string {
	return strings.NewReplacer("NAMESPACE", "default", "name: migrate", "name: "+name).Replace(migration("1", ttl))
}

// has reports whether the cluster has a Job.
func (s *simulated) has(job string) bool {
	s.Helper()
	_, err := s.somebody.Resource(jobs).Namespace("default").Get(s.Context(), job, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		s.Fatal(err)
	}
	return err == nil
}

// writeEnded creates an inventory, written by another fedsync, that records that Jobs
// ended.
func (s *simulated) writeEnded(p inventory.Parent, jobs ...string) {
	s.Helper()
	space := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": federation.SystemNamespace}}
	_, err := s.somebody.Resource(object.Namespaces).Create(s.Context(), &unstructured.Unstructured{Object: space}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		s.Fatal(err)
	}
	p.Ended = map[string]inventory.Ended{}
	for _, name := range jobs {
		o := s.objects(jobNamed(name))[0]
		p.Add(o.Ref)
		p.Ended[inventory.EndedKey(o.Ref)] = inventory.Ended{Digest: o.Digest}
	}
	if _, err := s.somebody.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Create(s.Context(), p.Object(""), metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
}

// After a rename, a federation runs with its new name before its inventories have it.
func TestAJobThatEndedUnderTheFormerNameIsNotRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, 1)
		defer func() { s.stop() }()
		s.writer.FollowsAs = func(name, source string) bool { return name == "shop" && source == "source-shop" }
		s.writeEnded(inventory.Parent{Federation: "shop", App: "web", Source: "source-shop"}, "migrate")
		s.writeEnded(inventory.Parent{Federation: "blog", App: "web", Source: "source-blog"}, "seed")
		s.push(jobNamed("migrate"), jobNamed("seed"))
		s.completeWithin(time.Minute)
		if s.has("migrate") || s.recorded() == "" {
			t.Errorf("the Job that ended runs %v, its record is %q; want it gone and recorded", s.has("migrate"), s.recorded())
		}
		if !s.has("seed") {
			t.Error("the Job that ended for another source is missing")
		}
	})
}

// An app is renamed, or a Job moved to another one.
func TestAJobThatEndedInAnotherAppIsNotRunAgain(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted %v", restarted), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := simulate(t, 1)
				defer func() { s.stop() }()
				s.writeEnded(inventory.Parent{Federation: "web", App: "web", Source: "source-1"}, "migrate")
				s.push(jobNamed("migrate"))
				s.completeWithin(time.Minute)
				if restarted {
					s.stop()
				}
				s.push(jobNamed("migrate"))
				s.plan.Apps[0].App = "shop"
				s.plan.Apps = append(s.plan.Apps, federation.AppPlan{App: "web", Prune: federation.PruneAllowed})
				if d, err := s.Diff(t.Context(), s.plan); err != nil || len(d) != 0 {
					t.Errorf("Diff = %v, %v, want none", d, err)
				}
				if restarted {
					s.start()
				} else {
					s.Want(s.plan)
				}
				s.completeWithin(time.Minute)
				if s.has("migrate") {
					t.Error("the Job runs again")
				}
			})
		})
	}
}

// A quota or a policy refuses a creation before the API server sees that the object
// exists.
func TestAnInventoryThatCouldNotBeListedIsReadBeforeAnythingIsDoneWithoutOne(t *testing.T) {
	for _, source := range []string{"source-1", "another"} {
		t.Run(source, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := simulate(t, 1)
				defer func() { s.stop() }()
				s.writeEnded(inventory.Parent{Federation: "web", App: "web", Source: source}, "migrate")
				s.store.SetFaults(func(r *objectstore.Request) objectstore.Action {
					if r.Resource.Resource == "configmaps" && r.Verb == "list" {
						return objectstore.Action{Drop: true}
					}
					return objectstore.Action{}
				}, forApplier(objectstore.Forbid("fedsync", "configmaps", "create")))
				s.push(jobNamed("migrate"), jobNamed("seed"))
				s.after(time.Minute)
				if s.has("migrate") {
					t.Error("the Job that ended runs again")
				}
				if ours := source == "source-1"; s.has("seed") != ours {
					t.Errorf("the other Job is there %v, want %v", !ours, ours)
				}
			})
		})
	}
}

// A user copies an inventory from before it belonged to this source.
func TestACopyOfAnInventoryIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, 1)
		defer func() { s.stop() }()
		s.push(jobNamed("seed"))
		s.completeWithin(time.Minute)
		old := inventory.Parent{Federation: "web", App: "web", Source: "another"}.Object("")
		old.SetName("fedsync-web-web-copy")
		if _, err := s.somebody.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Create(t.Context(), old, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		s.after(time.Second)
		s.push(jobNamed("seed"), configMapText)
		s.completeWithin(time.Minute)
	})
}
