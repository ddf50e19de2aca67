package gce

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

func TestEveryKindIsCreatedAsWantedAndDeleted(t *testing.T) {
	_, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	f.build(t, c)
	seen := mustObserve(t, c, gcp.Scope{})
	for _, r := range f.all() {
		got, found := seen.Resources[r.ID]
		if !found {
			t.Errorf("%s is not seen", r.ID)
			continue
		}
		if fields := gcp.Differences(r.Spec, got.Spec); len(fields) > 0 || !standOwner.Owns(got.Mark) || got.Description != "" {
			t.Errorf("%s differs in %v, mark %+v, description %q", r.ID, fields, got.Mark, got.Description)
		}
	}
	group, _ := seen.Resources[f.group.ID].Spec.(gcp.Group)
	if diff := cmp.Diff(standEndpoints, group.Endpoints); diff != "" || group.Size != 2 {
		t.Errorf("size %d, endpoints -want +got:\n%s", group.Size, diff)
	}
	address, _ := seen.Resources[f.address.ID].Spec.(gcp.Address)
	rule, _ := seen.Resources[f.secure.ID].Spec.(gcp.Rule)
	if address.IP == "" || !address.InUse || rule.IP != address.IP || rule.Address != f.address.ID || rule.Scheme != convert.SchemeManaged {
		t.Errorf("address %+v, rule %+v", address, rule)
	}
	for _, kind := range gcp.Kinds {
		if !seen.Complete[kind] {
			t.Errorf("%s is not complete", kind)
		}
	}

	mustDo(t, c, gcp.Action{Verb: gcp.Detach, ID: f.group.ID, Want: f.group, Endpoints: standEndpoints[:1]})
	seen = mustObserve(t, c, gcp.Scope{Earlier: seen})
	if group, _ := seen.Resources[f.group.ID].Spec.(gcp.Group); !slices.Equal(group.Endpoints, standEndpoints[1:]) {
		t.Errorf("endpoints after one was detached: %v", group.Endpoints)
	}
	all := f.all()
	slices.Reverse(all)
	for _, r := range all {
		mustDo(t, c, gcp.Action{Verb: gcp.Delete, ID: r.ID, Want: seen.Resources[r.ID]})
		mustDo(t, c, gcp.Action{Verb: gcp.Delete, ID: r.ID, Want: seen.Resources[r.ID]}) // deleting it again is no error
	}
	if left := mustObserve(t, c, gcp.Scope{}).Resources; len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// fieldUpdate is a change of one field of a resource.
type fieldUpdate struct {
	field string
	want  gcp.Resource
}

func withSpec[S gcp.Spec](r gcp.Resource, edit func(*S)) gcp.Resource {
	spec, _ := r.Spec.(S)
	edit(&spec)
	r.Spec = spec
	return r
}

func updatesOf(t *testing.T, f frontend) []fieldUpdate {
	t.Helper()
	marked := func(r gcp.Resource) gcp.Resource {
		r.Mark.Rated = time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
		return r
	}
	chain, key := gcptest.NewKeyPair(t)
	other := gcp.Resource{ID: gcp.ID{Kind: gcp.KindCertificate, Name: "other-cert"}, Mark: gcptest.Mark, Spec: gcp.Certificate{Chain: chain, Key: key}}
	otherMap := gcp.Resource{ID: gcp.ID{Kind: gcp.KindURLMap, Name: "other-um"}, Mark: gcptest.Mark, Spec: gcp.URLMap{Default: gcp.Target{HTTPS: true}}}
	otherCheck := f.check
	otherCheck.ID.Name = "other-hc"
	otherProxy := gcp.Resource{ID: gcp.ID{Kind: gcp.KindHTTPProxy, Name: "other-tp"}, Mark: gcptest.Mark, Spec: gcp.Proxy{URLMap: otherMap.ID}}
	return []fieldUpdate{
		{"", other},
		{"", otherMap},
		{"", otherCheck},
		{"", otherProxy}, // created first
		{"sourceRanges", withSpec(f.firewall, func(s *gcp.Firewall) { s.Ranges = []string{"35.191.0.0/16"} })},
		{"allowed", withSpec(f.firewall, func(s *gcp.Firewall) { s.Ports = []int32{30090} })},
		{"targetTags", withSpec(f.firewall, func(s *gcp.Firewall) { s.Tags = []string{"gke-a-node", "gke-b-node"} })},
		{"description", marked(f.firewall)},
		{"requestPath", withSpec(f.check, func(s *gcp.HealthCheck) { s.Path = "/ready" })},
		{"host", withSpec(f.check, func(s *gcp.HealthCheck) { s.Host = "shop.example" })},
		{"checkIntervalSec", withSpec(f.check, func(s *gcp.HealthCheck) { s.Interval = 20 })},
		{"timeoutSec", withSpec(f.check, func(s *gcp.HealthCheck) { s.Timeout = 9 })},
		{"healthyThreshold", withSpec(f.check, func(s *gcp.HealthCheck) { s.Healthy = 2 })},
		{"unhealthyThreshold", withSpec(f.check, func(s *gcp.HealthCheck) { s.Unhealthy = 5 })},
		{"description", marked(f.check)},
		{"healthChecks", withSpec(f.service, func(s *gcp.Service) { s.HealthCheck = otherCheck.ID })},
		{"protocol", withSpec(f.service, func(s *gcp.Service) { s.Protocol = "HTTPS" })},
		{"timeoutSec", withSpec(f.service, func(s *gcp.Service) { s.Timeout = 90 })},
		{"connectionDraining", withSpec(f.service, func(s *gcp.Service) { s.Drain = 0 })},
		{"backends", withSpec(f.service, func(s *gcp.Service) { s.Backends = []gcp.Backend{{Group: f.group.ID, MaxRate: 7, Capacity: 0.5}} })},
		{"description", marked(f.service)},
		{"defaultRouteAction", withSpec(f.urlMap, func(s *gcp.URLMap) { s.Default.NotFound = false })},
		{"defaultUrlRedirect", withSpec(f.urlMap, func(s *gcp.URLMap) { s.Default = gcp.Target{HTTPS: true} })},
		{"hostRules", withSpec(f.urlMap, func(s *gcp.URLMap) { s.Hosts = nil })},
		{"pathMatchers", withSpec(f.urlMap, func(s *gcp.URLMap) {
			s.Hosts = []gcp.HostRule{{Host: "shop.example", Default: gcp.Target{HTTPS: true}}}
		})},
		{"description", marked(f.urlMap)},
		{"urlMap", withSpec(f.http, func(s *gcp.Proxy) { s.URLMap = otherMap.ID })},
		{"description", marked(f.http)},
		{"urlMap", withSpec(f.https, func(s *gcp.Proxy) { s.URLMap = otherMap.ID })},
		{"sslCertificates", withSpec(f.https, func(s *gcp.Proxy) { s.Certificates = []gcp.ID{other.ID} })},
		{"description", marked(f.https)},
		{"target", withSpec(f.plain, func(s *gcp.Rule) { s.Target = otherProxy.ID })},
	}
}

func TestEachFieldIsUpdatedByItself(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	f.build(t, c)
	for _, u := range updatesOf(t, f) {
		if u.field == "" {
			mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: u.want.ID, Want: u.want})
			continue
		}
		was := mustObserve(t, c, gcp.Scope{}).Resources[u.want.ID]
		for _, want := range []gcp.Resource{u.want, was} { // and back
			now := mustObserve(t, c, gcp.Scope{}).Resources[u.want.ID]
			fields := gcp.Differences(want.Spec, now.Spec)
			if want.Mark.Text() != now.Mark.Text() {
				fields = append(fields, "description")
			}
			if !slices.Contains(fields, u.field) {
				t.Fatalf("%s, %s: the update changes %v", want.ID, u.field, fields)
			}
			want.Fingerprint = now.Fingerprint
			mustDo(t, c, gcp.Action{Verb: gcp.Update, ID: want.ID, Fields: fields, Want: want})
			got := mustObserve(t, c, gcp.Scope{}).Resources[u.want.ID]
			if left := gcp.Differences(want.Spec, got.Spec); len(left) > 0 || want.Mark.Text() != got.Mark.Text() {
				t.Errorf("%s, %s: still differs in %v after the update of %v, mark %+v", want.ID, u.field, left, fields, got.Mark)
			}
		}
	}
	for path, changes := range server.History() {
		for _, change := range changes {
			if strings.HasSuffix(change.Method, ".patch") && len(change.Fields) > 4 {
				t.Errorf("%s of %s changed %v", change.Method, path, change.Fields)
			}
		}
	}
}

func TestTheTextOfAnAnswerHoldsNoKey(t *testing.T) {
	const key = "-----BEGIN PRIVATE KEY-----\nabc"
	if text := (answer{status: 400, message: "bad " + key}).text(); strings.Contains(text, "abc") {
		t.Errorf("the text holds the key: %s", text)
	}
}
