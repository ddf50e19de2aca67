package gcetest

import (
	"slices"
	"strings"

	compute "google.golang.org/api/compute/v1"
)

func healthChecks() *collection {
	c := collectionOf[compute.HealthCheck]("healthChecks", "healthChecks", "healthCheck", "global")
	c.immutable = []string{"type"}
	c.check = checkHealthCheck
	return c.readable().writable("patch", "update").testable()
}

// checkBlocks are the types of health checks, with the field of each.
var checkBlocks = map[string]string{
	"HTTP": "httpHealthCheck", "HTTPS": "httpsHealthCheck", "HTTP2": "http2HealthCheck", "TCP": "tcpHealthCheck",
}

func checkHealthCheck(d *draft) *refusal {
	for field, value := range map[string]int{"checkIntervalSec": 5, "timeoutSec": 5, "healthyThreshold": 2, "unhealthyThreshold": 2} {
		d.doc.setDefault(field, value)
	}
	kind := d.doc.text("type")
	block, ok := checkBlocks[kind]
	if !ok {
		return badField("type", kind, "Must be one of HTTP, HTTPS, HTTP2, TCP.")
	}
	for _, other := range []string{"httpHealthCheck", "httpsHealthCheck", "http2HealthCheck", "tcpHealthCheck", "sslHealthCheck", "grpcHealthCheck"} {
		if _, set := d.doc[other]; set && other != block {
			return badField(other, "…", "It does not match the type %s.", kind)
		}
	}
	d.doc.setDefault(block, map[string]any{})
	inner, _ := d.doc[block].(map[string]any)
	h := as[compute.HealthCheck](d.doc)
	if refused := checkTimes(h); refused != nil {
		return refused
	}
	return checkProbe(kind, block, inner)
}

func checkTimes(h *compute.HealthCheck) *refusal {
	for _, f := range []struct {
		name      string
		value, to int64
	}{
		{"checkIntervalSec", h.CheckIntervalSec, 300},
		{"timeoutSec", h.TimeoutSec, 300},
		{"healthyThreshold", h.HealthyThreshold, 10},
		{"unhealthyThreshold", h.UnhealthyThreshold, 10},
	} {
		if f.value < 1 || f.value > f.to {
			return badField(f.name, f.value, "Must be between 1 and %d.", f.to)
		}
	}
	if h.TimeoutSec > h.CheckIntervalSec {
		return badField("timeoutSec", h.TimeoutSec, "The timeout cannot be longer than checkIntervalSec, %d.", h.CheckIntervalSec)
	}
	return nil
}

func checkProbe(kind, block string, inner document) *refusal {
	if _, ok := inner["port"]; ok {
		inner.setDefault("portSpecification", "USE_FIXED_PORT")
	}
	inner.setDefault("portSpecification", "USE_FIXED_PORT")
	inner.setDefault("proxyHeader", "NONE")
	at := block + "."
	switch spec := inner.text("portSpecification"); spec {
	case "USE_FIXED_PORT":
		inner.setDefault("port", map[string]int{"HTTP": 80, "TCP": 80}[kind])
		if kind == "HTTPS" || kind == "HTTP2" {
			if equalJSON(inner["port"], 0) {
				inner["port"] = 443
			}
		}
	case "USE_SERVING_PORT":
		if _, ok := inner["port"]; ok {
			return badField(at+"port", inner["port"], "It cannot be combined with USE_SERVING_PORT.")
		}
	default:
		return badField(at+"portSpecification", spec, "Must be USE_FIXED_PORT or USE_SERVING_PORT.")
	}
	if kind == "TCP" {
		return nil
	}
	inner.setDefault("requestPath", "/")
	if path := inner.text("requestPath"); !strings.HasPrefix(path, "/") || len(path) > 2048 || strings.ContainsAny(path, " #") {
		return badField(at+"requestPath", path, "Must begin with a slash.")
	}
	if header := inner.text("proxyHeader"); !slices.Contains([]string{"NONE", "PROXY_V1"}, header) {
		return badField(at+"proxyHeader", header, "Must be NONE or PROXY_V1.")
	}
	return nil
}
