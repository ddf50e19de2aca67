package keeper

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// surveyed answers what a test sets.
type surveyed struct {
	gcp.Cloud
	missing []string
	quotas  []gcp.Quota
	err     error
	asked   int
}

func (c *surveyed) Missing(context.Context, []string) ([]string, error) {
	c.asked++
	return c.missing, c.err
}
func (c *surveyed) Quotas(context.Context) ([]gcp.Quota, error) { return c.quotas, c.err }

func TestSurveyReportsMissingPermissionsAndSmallQuotas(t *testing.T) {
	in := &gcp.Input{Federation: &federation.Federation{GCP: &federation.GCP{Firewall: federation.FirewallManaged}}, Now: time.Unix(1000, 0)}
	cloud := &surveyed{
		missing: []string{"compute.urlMaps.update"},
		quotas:  []gcp.Quota{{Metric: "BACKEND_SERVICES", Limit: 9, Usage: 8}, {Metric: "URL_MAPS", Limit: 9, Usage: 8}},
	}
	create := func(kind gcp.Kind, name string) gcp.Action {
		return gcp.Action{Verb: gcp.Create, ID: gcp.ID{Kind: kind, Name: name}}
	}
	planned := planOf(create(gcp.KindService, "a"), create(gcp.KindService, "b"), create(gcp.KindURLMap, "c"))

	var s survey
	s.read(t.Context(), cloud, in)
	found := s.findings(planned)
	if len(found) != 2 || !strings.Contains(found[0].Message.String(), "compute.urlMaps.update") ||
		!strings.Contains(found[1].Message.String(), "BACKEND_SERVICES has room for 1 of 2") {
		t.Errorf("found %v", found)
	}
	s.read(t.Context(), cloud, in)
	if cloud.asked != 1 {
		t.Errorf("asked %d times within a moment", cloud.asked)
	}
	// If a read fails, its last result remains; a new grant is noticed.
	in.Now = in.Now.Add(surveyInterval)
	cloud.err = errors.New("503")
	s.read(t.Context(), cloud, in)
	if len(s.findings(planned)) != 2 {
		t.Error("an answer that was lost granted something")
	}
	in.Now = in.Now.Add(surveyRetry)
	cloud.err, cloud.missing, cloud.quotas = nil, nil, nil
	s.read(t.Context(), cloud, in)
	if found := s.findings(planned); len(found) != 0 {
		t.Errorf("after it was granted: %v", found)
	}
}
