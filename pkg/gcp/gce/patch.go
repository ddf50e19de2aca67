package gce

import (
	"reflect"
	"slices"
	"strings"

	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
)

// fieldSet holds Compute Engine's names of the fields that an update changes.
type fieldSet []string

// has reports whether the set holds one of the fields, or a part of one, which follows a
// dot: "httpHealthCheck.requestPath".
func (f fieldSet) has(names ...string) bool {
	return slices.ContainsFunc(f, func(field string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			return field == name || strings.HasPrefix(field, name+".") || strings.HasSuffix(field, "."+name)
		})
	})
}

func patchFirewall(r gcp.Resource, spec gcp.Firewall, now *compute.Firewall, fields fieldSet) *compute.Firewall {
	full, patch := convert.ToFirewall(r, spec), &compute.Firewall{}
	if fields.has("description") {
		patch.Description = full.Description
	}
	if fields.has("network") {
		patch.Network = full.Network
	}
	if fields.has("sourceRanges") {
		patch.SourceRanges = full.SourceRanges
	}
	if fields.has("targetTags") {
		patch.TargetTags = full.TargetTags
	}
	if fields.has("disabled") {
		patch.Disabled = false
		patch.ForceSendFields = append(patch.ForceSendFields, "Disabled")
	}
	if fields.has("allowed") {
		patch.Allowed = full.Allowed
	}
	// These conditions, which fedsync never sets, narrow or widen the rule.
	for _, name := range []string{"SourceTags", "SourceServiceAccounts", "TargetServiceAccounts", "DestinationRanges"} {
		if !reflect.ValueOf(now).Elem().FieldByName(name).IsZero() {
			patch.NullFields = append(patch.NullFields, name)
		}
	}
	return patch
}

func patchHealthCheck(r gcp.Resource, spec gcp.HealthCheck, now *compute.HealthCheck, fields fieldSet) *compute.HealthCheck {
	full, patch := convert.ToHealthCheck(r, spec), &compute.HealthCheck{}
	if fields.has("description") {
		patch.Description = full.Description
	}
	if fields.has("checkIntervalSec") {
		patch.CheckIntervalSec = full.CheckIntervalSec
	}
	if fields.has("timeoutSec") {
		patch.TimeoutSec = full.TimeoutSec
	}
	if fields.has("healthyThreshold") {
		patch.HealthyThreshold = full.HealthyThreshold
	}
	if fields.has("unhealthyThreshold") {
		patch.UnhealthyThreshold = full.UnhealthyThreshold
	}
	if fields.has("type", "requestPath", "host", "port", "portSpecification",
		"httpHealthCheck", "httpsHealthCheck", "http2HealthCheck", "tcpHealthCheck") {
		patch.Type = full.Type
		patch.HttpHealthCheck, patch.HttpsHealthCheck = full.HttpHealthCheck, full.HttpsHealthCheck
		patch.Http2HealthCheck, patch.TcpHealthCheck = full.Http2HealthCheck, full.TcpHealthCheck
		patch.NullFields = dropped(now, patch, "HttpHealthCheck", "HttpsHealthCheck", "Http2HealthCheck",
			"TcpHealthCheck", "SslHealthCheck", "GrpcHealthCheck", "GrpcTlsHealthCheck")
		const fields = "RequestPath Host Port PortName Request Response"
		dropIn(now.HttpHealthCheck, patch.HttpHealthCheck, fields)
		dropIn(now.HttpsHealthCheck, patch.HttpsHealthCheck, fields)
		dropIn(now.Http2HealthCheck, patch.Http2HealthCheck, fields)
		dropIn(now.TcpHealthCheck, patch.TcpHealthCheck, fields)
	}
	return patch
}

func (c *Client) patchService(r gcp.Resource, spec gcp.Service, now *compute.BackendService, fields fieldSet) *compute.BackendService {
	full := convert.ToService(r, spec, c.project)
	patch := &compute.BackendService{Fingerprint: now.Fingerprint}
	if fields.has("description") {
		patch.Description = full.Description
	}
	if fields.has("protocol") {
		patch.Protocol = full.Protocol
	}
	if fields.has("healthChecks") {
		patch.HealthChecks = full.HealthChecks
	}
	if fields.has("timeoutSec") {
		patch.TimeoutSec = full.TimeoutSec
	}
	if fields.has("connectionDraining") {
		patch.ConnectionDraining = full.ConnectionDraining
	}
	if fields.has("backends") {
		kept := convert.ForeignBackends(now.Backends, spec.Backends, c.project, c.isOurs)
		patch.Backends = slices.Concat(kept, convert.MergeBackends(now.Backends, spec.Backends, c.project))
		if len(patch.Backends) == 0 {
			patch.ForceSendFields = append(patch.ForceSendFields, "Backends")
		}
	}
	return patch
}

// isOurs reports whether an endpoint group is known to bear the owner's mark.
func (c *Client) isOurs(group gcp.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, found := c.groups[group]
	return found
}

// routeFields are the fields of a URL map that are always changed together.
var routeFields = []string{"defaultService", "defaultRouteAction", "defaultUrlRedirect", "hostRules", "pathMatchers"}

func patchURLMap(r gcp.Resource, spec gcp.URLMap, now *compute.UrlMap, fields fieldSet, project string) *compute.UrlMap {
	full, patch := convert.ToURLMap(r, spec, project), &compute.UrlMap{Fingerprint: now.Fingerprint}
	if fields.has("description") {
		patch.Description = full.Description
	}
	if fields.has(routeFields...) {
		patch.DefaultService, patch.DefaultRouteAction = full.DefaultService, full.DefaultRouteAction
		patch.DefaultUrlRedirect = full.DefaultUrlRedirect
		patch.HostRules, patch.PathMatchers = full.HostRules, full.PathMatchers
		patch.NullFields = dropped(now, patch, "DefaultService", "DefaultRouteAction", "DefaultUrlRedirect",
			"HostRules", "PathMatchers")
		dropIn(now.DefaultRouteAction, patch.DefaultRouteAction, everyField)
		dropIn(now.DefaultUrlRedirect, patch.DefaultUrlRedirect, everyField)
	}
	return patch
}

// dropped returns those of the fields that are set now and not wanted: a patch has to set
// them to null. Both arguments are pointers to the same struct type. Fields that it does
// not have are ignored.
func dropped(now, want any, fields ...string) []string {
	n, w := reflect.ValueOf(now).Elem(), reflect.ValueOf(want).Elem()
	var out []string
	for _, name := range fields {
		if f := n.FieldByName(name); f.IsValid() && !f.IsZero() && w.FieldByName(name).IsZero() {
			out = append(out, name)
		}
	}
	return out
}

// everyField stands for all fields of a part.
const everyField = ""

// dropIn makes a patch replace the given fields in a part of a resource instead of
// merging them. Either argument may be nil.
func dropIn[T any](now, want *T, fields string) {
	if now == nil || want == nil {
		return
	}
	w := reflect.ValueOf(want).Elem()
	names := strings.Fields(fields)
	if fields == everyField {
		for _, f := range reflect.VisibleFields(w.Type()) {
			if f.Name != "ForceSendFields" && f.Name != "NullFields" {
				names = append(names, f.Name)
			}
		}
	}
	w.FieldByName("NullFields").Set(reflect.ValueOf(dropped(now, want, names...)))
}
