package federation_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

func flood(id, app string, n int, severity federation.Severity) []federation.Finding {
	all := make([]federation.Finding, n)
	for i := range all {
		all[i] = federation.Finding{ID: id, App: app, Severity: severity, Line: i, Message: untrusted.New(fmt.Sprint(i))}
	}
	return all
}

func TestShortFindingsKeepsTheCountAndEveryKind(t *testing.T) {
	all := flood("render", "hog", 600_000, federation.SeverityError)
	all = append(all, flood("D05", "", 3, federation.SeverityError)...)
	all = append(all, federation.Finding{ID: "D05", Cluster: "z", Severity: federation.SeverityError, Message: untrusted.New(strings.Repeat("x", 1_000_000))})
	all = append(all, flood("annotation", "a", 5000, federation.SeverityWarning)...)
	short := federation.ShortFindings(all)
	if len(short) > limit.Findings {
		t.Errorf("%d findings, want at most %d", len(short), limit.Findings)
	}
	if got, want := federation.CountFindings(short), len(all); got != want {
		t.Errorf("they represent %d findings, want %d", got, want)
	}
	ids := map[string]int{}
	for i, f := range short {
		ids[f.ID]++
		if len(f.Message.String()) > 2*limit.MessageBytes {
			t.Errorf("finding %d has a message of %d bytes", i, len(f.Message.String()))
		}
	}
	if ids["D05"] != 4 || ids["annotation"] == 0 || ids["render"] < 700 {
		t.Errorf("findings by ID are %v: a flood hides the others", ids)
	}
	last := short[len(short)-2:]
	if last[0].Severity != federation.SeverityError || !strings.HasPrefix(last[0].Message.String(), "and 599,") || !strings.HasSuffix(last[0].Message.String(), "more errors") {
		t.Errorf("the last error is %q", last[0].Message)
	}
	again := federation.ShortFindings(append(short, flood("D05", "", 10, federation.SeverityError)...))
	if got, want := federation.CountFindings(again), len(all)+10; got != want {
		t.Errorf("shortened twice, they represent %d findings, want %d", got, want)
	}
}

func TestShortFindingsLeavesFewFindingsUnchanged(t *testing.T) {
	all := flood("render", "a", limit.Findings, federation.SeverityWarning)
	if got := federation.ShortFindings(all); len(got) != len(all) || got[7] != all[7] {
		t.Errorf("%d findings became %d", len(all), len(got))
	}
}

func TestGatheringCountsTheFindingsThatItDrops(t *testing.T) {
	var g federation.Gathering
	g.Add(flood("policy", "hog", 50_000, federation.SeverityError)...)
	g.Add(flood("policy", "other", 3, federation.SeverityError)...)
	g.Add(federation.Finding{ID: federation.FindingMore, Severity: federation.SeverityError, Count: 7})
	all := g.Findings()
	if got, want := len(all), limit.Findings+3+1; got != want {
		t.Errorf("%d findings, want %d", got, want)
	}
	if got, want := federation.CountFindings(all), 50_010; got != want {
		t.Errorf("they represent %d findings, want %d", got, want)
	}
}
