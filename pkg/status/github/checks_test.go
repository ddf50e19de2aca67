package github_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
)

func remarks(n int) []status.Annotation {
	var all []status.Annotation
	for i := range n {
		all = append(all, status.Annotation{File: "apps/web/service.yaml", Line: i + 1, Level: status.LevelError, Title: "D10", Message: fmt.Sprintf("remark %d", i)})
	}
	return all
}

func TestAnAppPostsACheckAndNoStatus(t *testing.T) {
	f := newForge(t)
	app := f.AddApp(t, "fedsync", everything)
	p := mustNew(t, f.asApp(app)).(status.Checker)
	details := status.Details{Summary: "## All is *well*", Annotations: remarks(3)}
	for range 2 {
		if err := p.PostCheck(t.Context(), f.commit(status.Pending, "0/2 synced"), details); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.PostCheck(t.Context(), f.commit(status.Failure, "1/2 failed"), details); err != nil {
		t.Fatal(err)
	}
	checks := f.Checks(f.first, "fedsync/web")
	if len(checks) != 1 || checks[0].Conclusion != "failure" || checks[0].Summary != details.Summary || len(checks[0].Annotations) != 3 {
		t.Errorf("checks: %+v, want one with the summary and 3 annotations", checks)
	}
	if n := len(f.Statuses(f.first, "fedsync/web")); n != 0 {
		t.Errorf("%d statuses were posted in addition to the check", n)
	}
}

func TestAnnotationsAreSentInParts(t *testing.T) {
	f := newForge(t)
	p := mustNew(t, f.asApp(f.AddApp(t, "fedsync", everything))).(status.Checker)
	for range 2 { // again, as after a lost answer
		if err := p.PostCheck(t.Context(), f.commit(status.Failure, "failed"), status.Details{Annotations: remarks(120)}); err != nil {
			t.Fatal(err)
		}
	}
	checks := f.Checks(f.first, "fedsync/web")
	if len(checks) != 1 || len(checks[0].Annotations) != 120 {
		t.Fatalf("%d checks, the first with %d annotations; want one with 120", len(checks), len(checks[0].Annotations))
	}
	for i, a := range checks[0].Annotations {
		if a.Message != fmt.Sprintf("remark %d", i) || a.Level != "failure" || a.StartLine != i+1 {
			t.Errorf("annotation %d: %+v", i, a)
		}
	}
}

func TestAChangedOutcomeIsAnotherRun(t *testing.T) {
	f := newForge(t)
	p := mustNew(t, f.asApp(f.AddApp(t, "fedsync", everything)))
	for _, state := range []status.State{status.Failure, status.Pending, status.Pending, status.Success, status.Success} {
		if err := p.Post(t.Context(), f.commit(state, string(state))); err != nil {
			t.Fatal(err)
		}
	}
	checks := f.Checks(f.first, "fedsync/web")
	if len(checks) != 2 || checks[0].Conclusion != "failure" || checks[1].Conclusion != "success" {
		t.Errorf("checks: %+v, want a failure and then a success", checks)
	}
	list, err := p.List(t.Context(), f.first, "fedsync/web")
	if err != nil || len(list) != 2 || list[0].State != status.Success || list[1].State != status.Failure {
		t.Errorf("List = %+v, %v", list, err)
	}
}

func TestATokenCannotPostChecks(t *testing.T) {
	f := newForge(t)
	app := f.AddApp(t, "fedsync", map[string]string{"statuses": "write"})
	err := mustNew(t, f.asApp(app)).Post(t.Context(), f.commit(status.Success, "well"))
	if !errors.Is(err, status.ErrUnauthorized) || !strings.Contains(err.Error(), "checks=write") {
		t.Errorf("Post without the permission = %v, want its name", err)
	}
}

func TestAnAppThatIsInstalledAgainWorks(t *testing.T) {
	f := newForge(t)
	app := f.AddApp(t, "fedsync", everything)
	p := mustNew(t, f.asApp(app))
	if err := p.Post(t.Context(), f.commit(status.Pending, "before")); err != nil {
		t.Fatal(err)
	}
	f.Uninstall(app)
	for range 2 {
		if err := p.Post(t.Context(), f.commit(status.Success, "while it is gone")); !errors.Is(err, status.ErrUnauthorized) {
			t.Fatalf("Post with a removed App = %v, want ErrUnauthorized", err)
		}
	}
	f.Install(app, everything)
	if err := p.Post(t.Context(), f.commit(status.Success, "after")); err != nil {
		t.Errorf("Post with a reinstalled App = %v", err)
	}
}
