package keeper

import (
	"context"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// Permissions and quotas rarely change: they are read every surveyInterval, or after
// surveyRetry if a read failed.
const (
	surveyInterval = 10 * time.Minute
	surveyRetry    = time.Minute
)

// surveyor is a Cloud that reports permissions and quotas, as package gce's does.
type surveyor interface {
	Missing(ctx context.Context, permissions []string) ([]string, error)
	Quotas(ctx context.Context) ([]gcp.Quota, error)
}

// survey holds the last permissions and quotas that were read.
type survey struct {
	next    time.Time // when they are read again
	missing []string
	quotas  map[string]gcp.Quota
}

// verbsOf are the verbs of the permissions that a kind needs, by the kind's part of the
// permission's name.
var verbsOf = map[string][]string{
	"backendServices": {"get", "list", "create", "update", "delete", "use"},
	"urlMaps":         {"get", "list", "create", "update", "delete", "use"},
	"firewalls":       {"get", "list", "create", "update", "delete"},
}

// permissions returns those of the federation's permissions that can be tested.
func permissions(gcp *federation.GCP) []string {
	var all []string
	for _, part := range []string{"backendServices", "urlMaps", "firewalls"} {
		if part == "firewalls" && gcp.Firewall != federation.FirewallManaged {
			continue
		}
		for _, verb := range verbsOf[part] {
			all = append(all, "compute."+part+"."+verb)
		}
	}
	return all
}

// read reads permissions and quotas if that is due. If it cannot, the failures of later
// calls show what is missing.
func (s *survey) read(ctx context.Context, cloud gcp.Cloud, in *gcp.Input) {
	asks, ok := cloud.(surveyor)
	if !ok || in.Now.Before(s.next) {
		return
	}
	s.next = in.Now.Add(surveyInterval)
	missing, err := asks.Missing(ctx, permissions(in.Federation.GCP))
	if err == nil {
		s.missing = missing
	} else {
		s.next = in.Now.Add(surveyRetry)
	}
	quotas, err := asks.Quotas(ctx)
	if err == nil {
		s.quotas = map[string]gcp.Quota{}
		for _, q := range quotas {
			s.quotas[q.Metric] = q
		}
	} else {
		s.next = in.Now.Add(surveyRetry)
	}
}

// metrics are the quotas that apply to the creation of each kind.
var metrics = map[gcp.Kind]string{
	gcp.KindAddress: "STATIC_ADDRESSES", gcp.KindFirewall: "FIREWALLS", gcp.KindHealthCheck: "HEALTH_CHECKS",
	gcp.KindGroup: "NETWORK_ENDPOINT_GROUPS", gcp.KindService: "BACKEND_SERVICES", gcp.KindURLMap: "URL_MAPS",
	gcp.KindCertificate: "SSL_CERTIFICATES", gcp.KindHTTPProxy: "TARGET_HTTP_PROXIES",
	gcp.KindHTTPSProxy: "TARGET_HTTPS_PROXIES", gcp.KindRule: "FORWARDING_RULES",
}

// findings returns the missing permissions, and the quotas that the plan exceeds.
func (s *survey) findings(p gcp.Planned) []federation.Finding {
	var all []federation.Finding
	if len(s.missing) > 0 {
		all = append(all, federation.Finding{
			ID: federation.FindingCloud, Severity: federation.SeverityError,
			Message: untrusted.List("permissions are missing on Compute Engine: ", s.missing, ", "),
			Remedy:  untrusted.New(remedyOf(&gcp.Error{Class: gcp.ClassForbidden})),
		})
	}
	need := map[gcp.Kind]int{}
	for _, a := range p.Actions {
		if a.Verb == gcp.Create {
			need[a.ID.Kind]++
		}
	}
	for _, kind := range gcp.Kinds {
		q, known := s.quotas[metrics[kind]]
		room := int(q.Limit - q.Usage)
		if !known || need[kind] == 0 || need[kind] <= room {
			continue
		}
		all = append(all, federation.Finding{
			ID: federation.FindingCloud, Severity: federation.SeverityError,
			Message: untrusted.Textf("quota %s has room for %d of %d planned resources (%.0f of %.0f used)",
				metrics[kind], max(room, 0), need[kind], q.Usage, q.Limit),
			Remedy: untrusted.Const("request more quota, or delete resources that are not needed"),
		})
	}
	return all
}

// Survey returns the missing permissions and the quotas that are too small for the plan.
// What cannot be read is not in the result.
func Survey(ctx context.Context, cloud gcp.Cloud, in gcp.Input, planned gcp.Planned) []federation.Finding {
	var s survey
	s.read(ctx, cloud, &in)
	return s.findings(planned)
}
