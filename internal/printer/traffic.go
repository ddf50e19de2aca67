package printer

import (
	"fmt"
	"io"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// writeBalancers prints the load balancers that fedsync manages, a line each, and
// below each the clusters that do not take traffic as they should.
func writeBalancers(w io.Writer, r *status.Report) {
	if len(r.Balancers) == 0 {
		return
	}
	fmt.Fprintf(w, "\nLOAD BALANCERS\n")
	for _, b := range r.Balancers {
		fmt.Fprintf(w, "%s  %s\n", b.Ingress, Indented(balancerLine(b), "  "))
		for _, c := range b.Clusters {
			if c.State != federation.TrafficServing || c.Healthy < c.Endpoints {
				fmt.Fprintf(w, "  %s  %s\n", c.Cluster, Indented(trafficLine(c), "    "))
			}
		}
	}
}

// balancerLine returns "203.0.113.10 (nginx)  complete  13/13 clusters take traffic".
func balancerLine(b status.Balancer) string {
	address := "no address yet"
	if b.Address != "" {
		address = b.Address
	}
	if b.AddressName != "" {
		address += " (" + b.AddressName + ")"
	}
	switch {
	case b.Waits:
		return address + "  waits: " + b.Refused.String()
	case !b.Refused.IsZero():
		return address + "  refused: " + b.Refused.String()
	}
	state := "being made"
	if b.Complete {
		state = "complete"
	}
	serving := 0
	for _, c := range b.Clusters {
		if c.State == federation.TrafficServing {
			serving++
		}
	}
	return fmt.Sprintf("%s  %s  %d/%d clusters take traffic", address, state, serving, len(b.Clusters))
}

// trafficLine returns "Unhealthy  0/6 healthy  firewall?".
func trafficLine(c federation.BalancerCluster) string {
	parts := []string{string(c.State), fmt.Sprintf("%d/%d healthy", c.Healthy, c.Endpoints)}
	if !c.Reason.IsZero() {
		parts = append(parts, c.Reason.String())
	}
	return strings.Join(parts, "  ")
}

// traffic returns the value of the column TRAFFIC for an object of a cluster.
func traffic(balancers []status.Balancer, cluster string, object federation.ObjectRef) string {
	for _, b := range balancers {
		if b.Ingress != object {
			continue
		}
		if c, ok := b.Cluster(cluster); ok {
			return fmt.Sprintf("%s %d/%d", c.State, c.Healthy, c.Endpoints)
		}
	}
	return "-"
}
