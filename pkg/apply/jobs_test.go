package apply

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

var jobs = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}

// migration is a Job that no pod can run: the tests act as its controller.
func migration(image, ttl string) string {
	return fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: NAMESPACE}
spec:
  %s
  backoffLimit: 0
  managedBy: example.com/test
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: "registry.example.org/migrate:%s"}]}`, ttl, image)
}

const ttl = "ttlSecondsAfterFinished: 3600"

// finishJob ends a Job like its controller.
func (f *fixture) finishJob(how object.End) {
	f.Helper()
	now := time.Now().UTC().Format(time.RFC3339)
	condition := func(kind string) string {
		return fmt.Sprintf(`{"type":%q,"status":"True","reason":"Test","lastTransitionTime":%q,"lastProbeTime":%q}`, kind, now, now)
	}
	counts, conditions := `"succeeded":1,"completionTime":"`+now+`",`, condition("SuccessCriteriaMet")+","+condition("Complete")
	if how == object.Failed {
		counts, conditions = `"failed":1,`, condition("FailureTarget")+","+condition("Failed")
	}
	patch := `{"status":{"startTime":"` + now + `",` + counts + `"uncountedTerminatedPods":{},"conditions":[` + conditions + `]}}`
	if _, err := f.admin.Resource(jobs).Namespace(f.namespace).Patch(f.Context(), "migrate", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
		f.Fatalf("finish the Job: %v", err)
	}
}

func (f *fixture) deleteJob() {
	f.Helper()
	background := metav1.DeletePropagationBackground
	err := f.admin.Resource(jobs).Namespace(f.namespace).Delete(f.Context(), "migrate", metav1.DeleteOptions{PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) { // its TTL was faster
		f.Fatal(err)
	}
}

// see waits until the Applier has seen that the Job ended, or that it is gone.
func (f *fixture) see(end object.End, there bool) {
	f.Helper()
	f.until(fmt.Sprintf("the Job is there %v, and shows the end %d", there, end), func() bool {
		seen := false
		f.WithState(func(t *state.State) {
			r := t.Rows[federation.ObjectRef{Group: "batch", Kind: "Job", Namespace: f.namespace, Name: "migrate"}]
			seen = r != nil && (r.Live != nil) == there && (!there || r.Live.End == end)
		})
		return seen
	})
}

// records returns the ended Jobs in the inventory of the app web.
func (f *fixture) records() map[string]inventory.Ended { return inventory.Read(f.parent()).Ended }

// wantOver checks that a Job counts as present, for this Applier and for a fresh one.
func (f *fixture) wantOver(app federation.AppPlan, health federation.Health) {
	f.Helper()
	for _, life := range []string{"the Applier that saw it", "a fresh one"} {
		if life != "the Applier that saw it" {
			f.start("one")
		}
		r := f.sync(app)
		f.wantRequests()
		if !r.Complete || !r.Tried {
			f.Errorf("%s: complete %v, tried %v, findings %v", life, r.Complete, r.Tried, r.Findings)
		}
		if f.exists(jobs, "migrate") {
			f.Errorf("%s: the Job runs again", life)
		}
		ended := f.Ended()
		if len(ended) != 1 || ended[0].Object.Name != "migrate" || ended[0].App != "web" || ended[0].Health != health || !strings.Contains(ended[0].Message.String(), "TTL removed it") {
			f.Errorf("%s: Ended = %+v, want the Job, %s", life, ended, health)
		}
		failed := health == federation.Degraded
		if got := strings.Contains(fmt.Sprint(r.Findings), "it failed, and its TTL removed it"); got != failed {
			f.Errorf("%s: findings = %v, want one of a failure: %v", life, r.Findings, failed)
		}
		if !failed && len(r.Findings) > 0 {
			f.Errorf("%s: findings = %v, want none", life, r.Findings)
		}
		differences, err := f.Diff(f.Context(), f.plan)
		if err != nil || len(differences) > 0 {
			f.Errorf("%s: Diff = %v, %v, want no difference", life, differences, err)
		}
	}
}

func TestAJobThatEndedIsNotRunAgainWhenItsTTLDeletesIt(t *testing.T) {
	for _, c := range []struct {
		name   string
		how    object.End
		health federation.Health
	}{{"completed", object.Completed, federation.Healthy}, {"failed", object.Failed, federation.Degraded}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			app := f.app("web", migration("1", ttl))
			f.mustSync(app)
			for range 3 {
				f.finishJob(c.how)
				f.see(c.how, true)
				f.settle()
				want := map[string]inventory.Ended{"job." + f.namespace + ".migrate": {Failed: c.how == object.Failed, Digest: app.Objects[0].Digest}}
				if got := f.records(); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("records = %v, want %v", got, want)
				}
				f.deleteJob()
				f.see(c.how, false)
				f.wantOver(app, c.health)
				// A user runs it again.
				f.patchOwn(object.ConfigMaps, inventory.ParentName(f.federation, "web"), `{"data":{"job.`+f.namespace+`.migrate":null}}`)
				f.until("it is due", func() bool { return len(f.due()) == 1 })
				f.wantChanges(f.settle().Changes, "created Job/migrate")
			}
			f.finishJob(c.how)
			f.see(c.how, true)
			f.settle()
			f.deleteJob()
			f.see(c.how, false)
			// Another rendering runs.
			f.mustSync(f.app("web", migration("2", ttl)))
			if !f.exists(jobs, "migrate") {
				t.Error("the changed Job does not run")
			}
			f.finishJob(object.Completed)
			f.see(object.Completed, true)
			f.settle()
			f.deleteJob()
			f.see(object.Completed, false)
			f.wantOver(f.app("web", migration("2", ttl)), federation.Healthy)
			// A Job that leaves Git leaves the inventory.
			f.mustSync(f.app("web", nginx))
			if got := f.records(); len(got) != 0 {
				t.Errorf("records = %v after the Job left Git, want none", got)
			}
		})
	}
}

// The Job ends and is deleted while no request can be made. Its end is recorded later.
func TestAJobThatEndsAndGoesAtOnceIsNotRunAgain(t *testing.T) {
	f := newFixture(t)
	app := f.app("web", migration("1", "ttlSecondsAfterFinished: 0"))
	f.mustSync(app)
	f.finishJob(object.Completed)
	f.deleteJob()
	f.see(object.Runs, false)
	if got := f.records(); len(got) != 0 {
		t.Fatalf("records = %v, want none yet", got)
	}
	f.settle()
	if got := f.records(); len(got) != 1 {
		t.Fatalf("records = %v, want the Job's", got)
	}
	f.wantOver(app, federation.Healthy)
}

func TestAJobThatEndedBeforeARestartIsRecorded(t *testing.T) {
	f := newFixture(t)
	app := f.app("web", migration("1", ttl))
	f.mustSync(app)
	f.stop()
	f.finishJob(object.Completed)
	f.start("one")
	f.mustSync(app)
	f.deleteJob()
	f.see(object.Runs, false)
	f.wantOver(app, federation.Healthy)
}

// It ended, and a finalizer blocks its deletion: a fresh Applier records its end.
func TestAJobHeldByAFinalizerCountsAsPresent(t *testing.T) {
	f := newFixture(t)
	app := f.app("web", migration("1", ttl))
	f.mustSync(app)
	f.patchAs("somebody", jobs, "migrate", `{"metadata":{"finalizers":["example.com/slow"]}}`)
	f.stop()
	f.finishJob(object.Completed)
	f.deleteJob()
	f.start("one")
	r := f.sync(app)
	f.wantFinding(r.Findings, "deleting", "it ended and is not created again")
	if !r.Complete {
		t.Errorf("not complete: %v", r.Findings)
	}
	f.patchAs("somebody", jobs, "migrate", `{"metadata":{"finalizers":null}}`)
	f.see(object.Runs, false)
	f.wantOver(app, federation.Healthy)
}

func TestAnEndThatCannotBeRecordedIsReportedAndRecordedLater(t *testing.T) {
	f := newFixture(t)
	app := f.app("web", migration("1", ttl))
	f.mustSync(app)
	f.finishJob(object.Completed)
	f.see(object.Completed, true)
	f.counter.between(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/configmaps/") {
			return forbidden(r), nil
		}
		return next.RoundTrip(r)
	})
	r := f.settle()
	f.wantFinding(r.Findings, "inventory", "which Jobs ended")
	f.deleteJob()
	f.see(object.Runs, false)
	f.settle()
	if f.exists(jobs, "migrate") {
		t.Error("the Job runs again")
	}
	f.counter.between(nil)
	f.open.Store(true)
	f.Wake()
	f.untilWithin(time.Minute, "the end is written down", func() bool { return len(f.records()) == 1 })
	f.settle()
	f.wantOver(app, federation.Healthy)
}

// Deleting a Job without a TTL makes it run again.
func TestAJobWithoutATTLRunsAgainWhenSomebodyDeletesIt(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", migration("1", "suspend: false")))
	for i := range state.FightFlips {
		f.finishJob(object.Completed)
		f.deleteJob()
		f.until("it is gone", func() bool { return len(f.Inventory()["web"]) == 0 })
		if got := f.records(); len(got) != 0 {
			t.Errorf("records = %v, want none", got)
		}
		if i < state.FightFlips-1 {
			f.wantChanges(f.repair(), "created Job/migrate (deleted)")
		}
	}
	f.wantFinding(f.settle().Findings, "fight", "somebody keeps deleting it: it is not created again until")
}

func TestAJobThatDidNotEndIsMadeAgain(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", migration("1", ttl)))
	f.deleteJob()
	f.wantChanges(f.repair(), "created Job/migrate (deleted)")
}

// A broken app may still have the Job: its record stays.
func TestTheEndOfAJobIsRememberedWhileItIsNotKnownWhatTheAppHas(t *testing.T) {
	f := newFixture(t)
	app := f.app("web", migration("1", ttl), nginx)
	f.mustSync(app)
	f.finishJob(object.Completed)
	f.see(object.Completed, true)
	f.settle()
	f.deleteJob()
	f.see(object.Runs, false)
	for _, change := range []func(*federation.AppPlan){
		func(p *federation.AppPlan) { p.Broken = true },
		func(p *federation.AppPlan) { p.Prune = federation.PruneWaiting },
		func(p *federation.AppPlan) { p.Prune = federation.PruneHeld },
	} {
		f.start("one")
		less := f.app("web", nginx)
		change(&less)
		f.sync(less)
		if got := f.records(); len(got) != 1 {
			t.Errorf("plan %+v: records = %v, want the Job's", less.Prune, got)
		}
	}
	f.start("one")
	f.sync(app)
	if f.exists(jobs, "migrate") {
		t.Error("the Job runs again")
	}
}
