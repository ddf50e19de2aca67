package printer

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// Report prints a report as kubectl would: the outcome, a table for each
// cluster, how replicas are divided, and the findings.
func Report(w io.Writer, r *status.Report) {
	w = plain{w}
	fmt.Fprintf(w, "%s  %s  %s\n", r.Federation, r.Revision, r.State)
	if !r.Description.IsZero() {
		fmt.Fprintf(w, "%s\n", r.Description)
	}
	for _, c := range r.Clusters {
		fmt.Fprintf(w, "\n%s  %s\n", c.Name, ClusterLine(c))
		writeObjects(w, c, r)
	}
	writeBalancers(w, r)
	writeDivisions(w, r)
	if len(r.Findings) > 0 {
		fmt.Fprintln(w)
		_ = Findings(w, r.Findings) // the report's state decides the exit status
	}
}

// ClusterLine describes the state of a cluster in one line.
func ClusterLine(c status.Cluster) string {
	parts := []string{string(c.State)}
	switch {
	case c.Lost:
		parts = append(parts, "declared lost")
	case !c.Targeted:
		parts = append(parts, "no app goes here")
	case c.Current:
		parts = append(parts, "current")
	case c.Applied.SHA != "":
		parts = append(parts, "last "+c.Applied.String())
	}
	if c.Desired > 0 {
		parts = append(parts, fmt.Sprintf("%d/%d ready", c.Ready, c.Desired))
	}
	if !c.Error.IsZero() {
		parts = append(parts, string(c.Failure)+": "+c.Error.String())
	}
	return strings.Join(parts, "  ")
}

// writeObjects prints a cluster's objects, with a column for the traffic of its
// Ingresses if fedsync manages load balancers.
func writeObjects(w io.Writer, c status.Cluster, r *status.Report) {
	if len(c.Objects) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	const trafficAt = 5
	row := func(cells ...string) {
		if len(r.Balancers) == 0 {
			cells = slices.Delete(cells, trafficAt, trafficAt+1)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	row("NAME", "HOSTS", "ADDRESS", "PORTS", "READY", "TRAFFIC", "AGE")
	for _, o := range c.Objects {
		row(o.Object.String(), hosts(o), orNone(o.Addresses), ports(o.Ports), ready(o),
			traffic(r.Balancers, c.Name, o.Object), age(o.Created, r.Time))
	}
	_ = t.Flush() // an error of the writer, which cannot be reported
}

// hosts returns the hosts of an Ingress; "*" if it accepts every host, as in
// kubectl.
func hosts(o federation.Observation) string {
	if o.Object.Kind == "Ingress" && len(o.Hosts) == 0 {
		return "*"
	}
	return orNone(o.Hosts)
}

func orNone(items []string) string {
	if len(items) == 0 {
		return "-"
	}
	return strings.Join(items, ",")
}

// ports formats ports as kubectl does: 80:30061/TCP for a node port.
func ports(all []federation.Port) string {
	items := make([]string, len(all))
	for i, p := range all {
		items[i] = fmt.Sprint(p.Port)
		if p.NodePort != 0 {
			items[i] += fmt.Sprintf(":%d", p.NodePort)
		}
		if p.Protocol != "" {
			items[i] += "/" + p.Protocol
		}
	}
	return orNone(items)
}

func ready(o federation.Observation) string {
	text := string(o.Health)
	if o.Desired > 0 || o.Ready > 0 {
		text = fmt.Sprintf("%d/%d %s", o.Ready, o.Desired, o.Health)
	}
	return text
}

func age(created, now time.Time) string {
	if created.IsZero() {
		return "-"
	}
	return duration.HumanDuration(now.Sub(created))
}
