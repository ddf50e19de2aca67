package keeper

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

func quickOperations(o *gcetest.Options) {
	o.OperationTime = func(string) time.Duration { return 200 * time.Millisecond }
}

// handwork is another client, such as an operator at a console.
type handwork struct {
	l   *lab
	api *compute.Service
}

// done waits for an operation of the other client.
func (h handwork) done(op *compute.Operation, err error) {
	h.l.t.Helper()
	if err != nil {
		h.l.t.Fatalf("by hand: %v", err)
	}
	for op.Status != "DONE" {
		if op.Zone != "" {
			op, err = h.api.ZoneOperations.Wait(labProject, lastPart(op.Zone), op.Name).Do()
		} else {
			op, err = h.api.GlobalOperations.Wait(labProject, op.Name).Do()
		}
		if err != nil {
			h.l.t.Fatalf("by hand: %v", err)
		}
	}
}

func lastPart(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

func (h handwork) firewall() *compute.Firewall { return h.l.server.Snapshot().Firewalls[0] }
func (h handwork) check() *compute.HealthCheck { return h.l.server.Snapshot().HealthChecks[0] }
func (h handwork) service() *compute.BackendService {
	return h.l.server.Snapshot().BackendServices[0]
}
func (h handwork) urlMap() *compute.UrlMap         { return h.l.server.Snapshot().URLMaps[0] }
func (h handwork) proxy() *compute.TargetHttpProxy { return h.l.server.Snapshot().HTTPProxies[0] }
func (h handwork) rule() *compute.ForwardingRule   { return h.l.server.Snapshot().ForwardingRules[0] }

func (h handwork) patchFirewall(edit *compute.Firewall) {
	h.done(h.api.Firewalls.Patch(labProject, h.firewall().Name, edit).Do())
}

func (h handwork) patchCheck(edit *compute.HealthCheck) {
	h.done(h.api.HealthChecks.Patch(labProject, h.check().Name, edit).Do())
}

func (h handwork) patchService(edit *compute.BackendService) {
	edit.Fingerprint = h.service().Fingerprint
	h.done(h.api.BackendServices.Patch(labProject, h.service().Name, edit).Do())
}

func (h handwork) patchMap(edit *compute.UrlMap) {
	edit.Fingerprint = h.urlMap().Fingerprint
	h.done(h.api.UrlMaps.Patch(labProject, h.urlMap().Name, edit).Do())
}

// other creates a backend service and a URL map of another owner.
func (h handwork) other() (service, urlMap, proxy string) {
	const to = "projects/" + labProject + "/global/"
	h.done(h.api.HealthChecks.Insert(labProject, &compute.HealthCheck{Name: "their-check", Type: "TCP", TcpHealthCheck: &compute.TCPHealthCheck{Port: 80}}).Do())
	h.done(h.api.BackendServices.Insert(labProject, &compute.BackendService{
		Name: "their-service", LoadBalancingScheme: "EXTERNAL_MANAGED", HealthChecks: []string{to + "healthChecks/their-check"},
	}).Do())
	h.done(h.api.UrlMaps.Insert(labProject, &compute.UrlMap{Name: "their-map", DefaultService: to + "backendServices/their-service"}).Do())
	h.done(h.api.TargetHttpProxies.Insert(labProject, &compute.TargetHttpProxy{Name: "their-proxy", UrlMap: to + "urlMaps/their-map"}).Do())
	return to + "backendServices/their-service", to + "urlMaps/their-map", to + "targetHttpProxies/their-proxy"
}

const theirs = "projects/" + labProject + "/global/"

// handEdits are what another client may do to a load balancer of ours.
var handEdits = map[string]func(h handwork){
	"firewall: ports":          func(h handwork) { h.patchFirewall(&compute.Firewall{Allowed: tcp("22")}) },
	"firewall: one port more":  func(h handwork) { h.patchFirewall(&compute.Firewall{Allowed: tcp("22", "30080")}) },
	"firewall: ranges":         func(h handwork) { h.patchFirewall(&compute.Firewall{SourceRanges: []string{"0.0.0.0/0"}}) },
	"firewall: narrowed range": func(h handwork) { h.patchFirewall(&compute.Firewall{SourceRanges: []string{"130.211.0.0/22"}}) },
	"firewall: tags":           func(h handwork) { h.patchFirewall(&compute.Firewall{TargetTags: []string{"gke-c1-node"}}) },
	"firewall: disabled":       func(h handwork) { h.patchFirewall(&compute.Firewall{Disabled: true}) },
	"firewall: source tags":    func(h handwork) { h.patchFirewall(&compute.Firewall{SourceTags: []string{"bastion"}}) },
	"firewall: deleted":        func(h handwork) { h.done(h.api.Firewalls.Delete(labProject, h.firewall().Name).Do()) },
	"check: path": func(h handwork) {
		h.patchCheck(&compute.HealthCheck{HttpHealthCheck: &compute.HTTPHealthCheck{RequestPath: "/other"}})
	},
	"check: host": func(h handwork) {
		h.patchCheck(&compute.HealthCheck{HttpHealthCheck: &compute.HTTPHealthCheck{Host: "other.example"}})
	},
	"check: interval":   func(h handwork) { h.patchCheck(&compute.HealthCheck{CheckIntervalSec: 60}) },
	"check: thresholds": func(h handwork) { h.patchCheck(&compute.HealthCheck{HealthyThreshold: 9, UnhealthyThreshold: 9}) },
	"group: an endpoint detached": func(h handwork) {
		h.moveEndpoint("c1", func(group *compute.NetworkEndpointGroup, e *compute.NetworkEndpoint) {
			h.done(h.api.NetworkEndpointGroups.DetachNetworkEndpoints(labProject, lastPart(group.Zone), group.Name,
				&compute.NetworkEndpointGroupsDetachEndpointsRequest{NetworkEndpoints: []*compute.NetworkEndpoint{e}}).Do())
		})
	},
	"group: an endpoint at another port": func(h handwork) {
		h.moveEndpoint("c1", func(group *compute.NetworkEndpointGroup, e *compute.NetworkEndpoint) {
			e.Port = 22
			h.done(h.api.NetworkEndpointGroups.AttachNetworkEndpoints(labProject, lastPart(group.Zone), group.Name,
				&compute.NetworkEndpointGroupsAttachEndpointsRequest{NetworkEndpoints: []*compute.NetworkEndpoint{e}}).Do())
		})
	},
	"service: timeout":  func(h handwork) { h.patchService(&compute.BackendService{TimeoutSec: 5}) },
	"service: protocol": func(h handwork) { h.patchService(&compute.BackendService{Protocol: "HTTPS"}) },
	"service: draining": func(h handwork) {
		h.patchService(&compute.BackendService{ConnectionDraining: &compute.ConnectionDraining{DrainingTimeoutSec: 7}})
	},
	"service: a backend removed": func(h handwork) {
		h.patchService(&compute.BackendService{Backends: h.service().Backends[1:]})
	},
	"service: all backends removed": func(h handwork) {
		h.patchService(&compute.BackendService{NullFields: []string{"Backends"}})
	},
	"service: capacity": func(h handwork) {
		backends := h.service().Backends
		backends[0].CapacityScaler, backends[0].ForceSendFields = 0, []string{"CapacityScaler"}
		h.patchService(&compute.BackendService{Backends: backends})
	},
	"service: health check": func(h handwork) {
		h.other()
		h.patchService(&compute.BackendService{HealthChecks: []string{theirs + "healthChecks/their-check"}})
	},
	"map: default service": func(h handwork) {
		service, _, _ := h.other()
		h.patchMap(&compute.UrlMap{DefaultService: service})
	},
	"map: a host more": func(h handwork) {
		h.patchMap(&compute.UrlMap{
			HostRules:    []*compute.HostRule{{Hosts: []string{"evil.example"}, PathMatcher: "evil"}},
			PathMatchers: []*compute.PathMatcher{{Name: "evil", DefaultUrlRedirect: &compute.HttpRedirectAction{HostRedirect: "evil.example"}}},
		})
	},
	"proxy: URL map": func(h handwork) {
		_, urlMap, _ := h.other()
		h.done(h.api.TargetHttpProxies.SetUrlMap(labProject, h.proxy().Name, &compute.UrlMapReference{UrlMap: urlMap}).Do())
	},
	"rule: target": func(h handwork) {
		_, _, proxy := h.other()
		h.done(h.api.GlobalForwardingRules.SetTarget(labProject, h.rule().Name, &compute.TargetReference{Target: proxy}).Do())
	},
	"rule: deleted":                    func(h handwork) { h.delete(1) },
	"proxy and above: deleted":         func(h handwork) { h.delete(2) },
	"map and above: deleted":           func(h handwork) { h.delete(3) },
	"service and above: deleted":       func(h handwork) { h.delete(4) },
	"health check and above: deleted":  func(h handwork) { h.delete(5) },
	"groups and above: deleted":        func(h handwork) { h.delete(6) },
	"everything but the address: gone": func(h handwork) { h.delete(7) },
}

func tcp(ports ...string) []*compute.FirewallAllowed {
	return []*compute.FirewallAllowed{{IPProtocol: "tcp", Ports: ports}}
}

// moveEndpoint attaches or detaches one endpoint of a cluster.
func (h handwork) moveEndpoint(cluster string, do func(*compute.NetworkEndpointGroup, *compute.NetworkEndpoint)) {
	s := h.l.server.Snapshot()
	for _, group := range s.EndpointGroups {
		if endpoints := s.Endpoints[group.SelfLink]; len(endpoints) > 1 && gcp.ReadMark(group.Description).Cluster == cluster {
			do(group, endpoints[0])
			return
		}
	}
	h.l.t.Fatal("no group of " + cluster + " with two endpoints")
}

// delete deletes the resources of this many kinds, from the forwarding rule downwards.
func (h handwork) delete(kinds int) {
	steps := []func(){
		func() { h.done(h.api.GlobalForwardingRules.Delete(labProject, h.rule().Name).Do()) },
		func() { h.done(h.api.TargetHttpProxies.Delete(labProject, h.proxy().Name).Do()) },
		func() { h.done(h.api.UrlMaps.Delete(labProject, h.urlMap().Name).Do()) },
		func() { h.done(h.api.BackendServices.Delete(labProject, h.service().Name).Do()) },
		func() { h.done(h.api.HealthChecks.Delete(labProject, h.check().Name).Do()) },
		func() {
			for _, group := range h.l.server.Snapshot().EndpointGroups {
				h.done(h.api.NetworkEndpointGroups.Delete(labProject, lastPart(group.Zone), group.Name).Do())
			}
		},
		func() { h.done(h.api.Firewalls.Delete(labProject, h.firewall().Name).Do()) },
	}
	for _, step := range steps[:kinds] {
		step()
	}
}

// ownEnd returns the end state without the resources that the other client created.
func (l *lab) ownEnd() string {
	h := handwork{l, l.hand}
	s := l.server.Snapshot()
	if !slices.ContainsFunc(s.HealthChecks, func(c *compute.HealthCheck) bool { return c.Name == "their-check" }) {
		return l.end()
	}
	for _, m := range s.URLMaps {
		if m.Name != "their-map" && strings.Contains(m.DefaultService, "their-service") {
			return "the URL map leads to their service"
		}
	}
	for _, b := range s.BackendServices {
		if b.Name != "their-service" && strings.Contains(strings.Join(b.HealthChecks, " "), "their-check") {
			return "the backend service has their health check"
		}
	}
	for _, p := range s.HTTPProxies {
		if p.Name != "their-proxy" && strings.Contains(p.UrlMap, "their-map") {
			return "the proxy leads to their URL map"
		}
	}
	for _, r := range s.ForwardingRules {
		if strings.Contains(r.Target, "their-proxy") {
			return "the forwarding rule leads to their proxy"
		}
	}
	h.done(h.api.TargetHttpProxies.Delete(labProject, "their-proxy").Do())
	h.done(h.api.UrlMaps.Delete(labProject, "their-map").Do())
	h.done(h.api.BackendServices.Delete(labProject, "their-service").Do())
	h.done(h.api.HealthChecks.Delete(labProject, "their-check").Do())
	return l.end()
}

// Whatever another client changes, narrows, disables or deletes is restored within one
// read.
func TestHandEditsArePutBack(t *testing.T) {
	for name, edit := range handEdits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, 2, quickOperations)
				defer l.close()
				l.start()
				l.healthy()
				l.settle()
				before := l.end()
				edit(handwork{l, l.hand})
				if l.end() == before {
					t.Fatal("nothing was changed by hand")
				}
				began := time.Now()
				got := ""
				for got != before && time.Since(began) < 13*time.Second {
					time.Sleep(250 * time.Millisecond)
					got = l.ownEnd()
				}
				if took := time.Since(began); got != before || took > 11*time.Second+operationsOf(name) {
					t.Errorf("not put back after %s: %s\n%s", took, firstDifference(got, before), l.status())
				}
				l.settle()
				if got := l.end(); got != before {
					t.Errorf("it did not last: %s", firstDifference(got, before))
				}
			})
		})
	}
}

// operationsOf returns the total time of the successive operations that undo an edit.
func operationsOf(string) time.Duration { return 1500 * time.Millisecond }

// A resource that another client changes back three times within ten minutes is reported
// and left unchanged, while everything else is maintained.
func TestAFightIsReportedAndLeftAlone(t *testing.T) {
	for _, name := range []string{"firewall: narrowed range", "service: timeout", "rule: deleted", "check: path", "group: an endpoint detached"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, 2, quickOperations)
				defer l.close()
				l.start()
				l.healthy()
				l.settle()
				before := l.end()
				edits := 0
				for range 20 {
					if l.end() == before {
						edits++
						handEdits[name](handwork{l, l.hand})
					}
					time.Sleep(15 * time.Second)
				}
				if edits != fightRepairs+1 {
					t.Errorf("edited %d times; want %d, of which the last one stays\n%s", edits, fightRepairs+1, l.status())
				}
				found := slices.ContainsFunc(l.keeper.State().Findings, func(f federation.Finding) bool {
					return f.Severity == federation.SeverityError && strings.Contains(f.Message.String(), "changed by another client")
				})
				if !found {
					t.Errorf("the fight is not reported:\n%s", l.status())
				}
				// A push ends it.
				l.Edit("Service/nginx", "nodePort: 30080", "nodePort: 30081")
				l.Edit("ReplicaSet/nginx", "path: /healthz", "path: /ready")
				l.want()
			})
		})
	}
}

// Fields of our resources that fedsync does not own are left unchanged, even when it
// changes other fields.
func TestForeignFieldsAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 2, quickOperations)
		defer l.close()
		l.start()
		l.healthy()
		l.settle()
		h := handwork{l, l.hand}
		h.patchFirewall(&compute.Firewall{
			Priority: 900, LogConfig: &compute.FirewallLogConfig{Enable: true},
		})
		h.patchService(&compute.BackendService{
			EnableCDN: true, CustomRequestHeaders: []string{"X-Region: {client_region}"},
			LogConfig: &compute.BackendServiceLogConfig{Enable: true, SampleRate: 0.5}, SessionAffinity: "CLIENT_IP",
		})
		rule := h.rule()
		h.done(h.api.GlobalForwardingRules.SetLabels(labProject, rule.Name, &compute.GlobalSetLabelsRequest{
			LabelFingerprint: rule.LabelFingerprint, Labels: map[string]string{"team": "shop"},
		}).Do())
		check := func(when string) {
			t.Helper()
			f, s, r := h.firewall(), h.service(), h.rule()
			if f.Priority != 900 || f.LogConfig == nil || !f.LogConfig.Enable {
				t.Errorf("%s: the firewall rule has priority %d, logging %v", when, f.Priority, f.LogConfig)
			}
			if !s.EnableCDN || len(s.CustomRequestHeaders) != 1 || s.LogConfig == nil || s.LogConfig.SampleRate != 0.5 || s.SessionAffinity != "CLIENT_IP" {
				t.Errorf("%s: the backend service has CDN %v, headers %v, logging %v, affinity %s", when, s.EnableCDN, s.CustomRequestHeaders, s.LogConfig, s.SessionAffinity)
			}
			if r.Labels["team"] != "shop" {
				t.Errorf("%s: the forwarding rule has labels %v", when, r.Labels)
			}
		}
		began := time.Now()
		time.Sleep(time.Minute)
		if n := l.changes(began); len(n) > 0 {
			t.Errorf("foreign fields led to changes: %v", n)
		}
		check("by themselves")
		l.Edit("Service/nginx", "nodePort: 30080", "nodePort: 30081")
		l.Edit("ReplicaSet/nginx", "path: /healthz", "path: /ready")
		l.want()
		l.settle()
		check("after a push")
		h.patchFirewall(&compute.Firewall{Allowed: tcp("22")})
		h.patchService(&compute.BackendService{TimeoutSec: 5})
		time.Sleep(12 * time.Second)
		check("after a repair")
	})
}
