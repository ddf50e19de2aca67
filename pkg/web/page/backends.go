package page

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// endpointsRow are the endpoints behind one Service.
type endpointsRow struct {
	Namespace string
	Name      string
	State     badge // empty if some are ready
	Ready     int
	NotReady  int
	Addresses string // "10.152.1.3:8080, 10.152.2.4:8080 and 3 more"
}

// ingressRow is how one Ingress routes requests, as kubectl describe shows it.
type ingressRow struct {
	Object string
	TLS    []string // the Secrets for TLS
	Rules  []ruleRow
}

type ruleRow struct {
	Host, Path string
	Backend    string // "echoheaders-https:80"
	Addresses  string // of the endpoints behind it; empty if not known
	State      badge  // of a backend without a ready endpoint
}

func endpointsRows(c status.Cluster) ([]endpointsRow, int) {
	shown := c.Endpoints[:min(maxObjects, len(c.Endpoints))]
	rows := make([]endpointsRow, 0, len(shown))
	for _, e := range shown {
		rows = append(rows, endpointsRow{
			Namespace: e.Namespace,
			Name:      e.Service,
			State:     endpointsBadge(e),
			Ready:     e.Ready,
			NotReady:  e.NotReady,
			Addresses: endpointAddresses(e),
		})
	}
	return rows, len(c.Endpoints) - len(shown)
}

// endpointsBadge is empty if there is a ready endpoint for the load balancer.
func endpointsBadge(e federation.Endpoints) badge {
	if e.Ready > 0 {
		return badge{}
	}
	return badge{"warn", "triangle", "None ready"}
}

func endpointAddresses(e federation.Endpoints) string {
	if len(e.Addresses) == 0 {
		return ""
	}
	return untrusted.Shorten(untrusted.SomeOf(e.Addresses, e.Ready), maxText)
}

// ingressRows returns the Ingresses with at most a page of rules, and how many Ingresses
// it leaves out.
func ingressRows(c status.Cluster) (rows []ingressRow, left int) {
	rules := 0
	for _, o := range c.Objects {
		if len(o.Rules) == 0 && len(o.TLS) == 0 {
			continue
		}
		if rules+len(o.Rules)+len(o.TLS) > maxRules {
			left++
			continue
		}
		rules += len(o.Rules) + len(o.TLS)
		row := ingressRow{Object: o.Object.String()}
		for _, secret := range o.TLS {
			row.TLS = append(row.TLS, untrusted.Shorten(secret, maxName))
		}
		for _, r := range o.Rules {
			row.Rules = append(row.Rules, newRuleRow(r, o.Object.Namespace, c.Endpoints))
		}
		rows = append(rows, row)
	}
	return rows, left
}

func newRuleRow(r federation.Rule, namespace string, endpoints []federation.Endpoints) ruleRow {
	row := ruleRow{
		Host:    untrusted.Shorten(cmp.Or(r.Host, "*"), maxName),
		Path:    untrusted.Shorten(cmp.Or(r.Path, "*"), maxText),
		Backend: untrusted.Shorten(r.Service+":"+r.Port, maxText),
	}
	i, known := slices.BinarySearchFunc(endpoints, r.Service, func(e federation.Endpoints, service string) int {
		return cmp.Or(strings.Compare(e.Namespace, namespace), strings.Compare(e.Service, service))
	})
	if known {
		row.Addresses, row.State = endpointAddresses(endpoints[i]), endpointsBadge(endpoints[i])
	}
	return row
}
