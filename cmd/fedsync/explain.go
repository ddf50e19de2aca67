package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/federation"
)

// explanation has the decisions and their reasons, in the form of its JSON.
type explanation struct {
	Revision  federation.Revision           `json:"revision"`
	Ports     []federation.PortDecision     `json:"ports"`
	Replicas  []federation.ReplicasDecision `json:"replicas"`
	Ingresses []federation.IngressDecision  `json:"ingresses,omitempty"`
}

// newExplanation returns the decisions of a plan or, with a cluster, those that concern
// it. In that case, plans holds only that cluster's plan.
func newExplanation(plan federation.Plan, plans []federation.ClusterPlan, cluster string) explanation {
	e := explanation{Revision: plan.Revision, Ports: []federation.PortDecision{}, Replicas: []federation.ReplicasDecision{}}
	if cluster == "" {
		e.Ports = append(e.Ports, plan.Ports...)
		e.Replicas = append(e.Replicas, plan.Replicas...)
		e.Ingresses = plan.Ingresses
		return e
	}
	there := map[federation.ObjectRef]bool{}
	for _, p := range plans {
		for _, app := range p.Apps {
			for _, o := range app.Objects {
				there[o.Ref] = true
			}
			for _, w := range app.Withheld {
				there[w.Object] = true
			}
		}
	}
	for _, d := range plan.Ports {
		if there[d.Service] {
			d.Clashes = slices.DeleteFunc(slices.Clone(d.Clashes), func(c federation.PortClash) bool { return c.Cluster != cluster })
			d.Moves = slices.DeleteFunc(slices.Clone(d.Moves), func(m federation.PortMove) bool { return m.Cluster != cluster })
			e.Ports = append(e.Ports, d)
		}
	}
	for _, d := range plan.Replicas {
		d.Shares = slices.DeleteFunc(slices.Clone(d.Shares), func(s federation.ReplicasShare) bool { return s.Cluster != cluster })
		if len(d.Shares) > 0 {
			e.Replicas = append(e.Replicas, d)
		}
	}
	for _, d := range plan.Ingresses {
		d.Clusters = slices.DeleteFunc(slices.Clone(d.Clusters), func(c federation.IngressClass) bool { return c.Cluster != cluster })
		if len(d.Clusters) > 0 {
			e.Ingresses = append(e.Ingresses, d)
		}
	}
	return e
}

func (e explanation) print(w io.Writer, format string) error {
	switch format {
	case "json":
		return printer.JSON(w, e)
	case "yaml":
		return printer.YAML(w, e)
	}
	e.write(printer.Plain(w))
	return nil
}

// write prints the decisions as text.
func (e explanation) write(w io.Writer) {
	fmt.Fprintf(w, "%s\n", e.Revision)
	if len(e.Ports) == 0 && len(e.Replicas) == 0 && len(e.Ingresses) == 0 {
		fmt.Fprintln(w, "no decisions on node ports or replica counts were needed")
	}
	for i, d := range e.Ports {
		if i == 0 || d.Service != e.Ports[i-1].Service {
			fmt.Fprintf(w, "\n%s\n", place(d.Service, d.File))
		}
		writePort(w, d)
	}
	for _, d := range e.Replicas {
		fmt.Fprintf(w, "\n%s\n", place(d.Object, d.File))
		writeReplicas(w, d)
	}
	for _, d := range e.Ingresses {
		fmt.Fprintf(w, "\n%s\n", place(d.Ingress, d.File))
		writeClasses(w, d)
	}
}

func place(ref federation.ObjectRef, file string) string {
	return strings.TrimSuffix(ref.String()+"  "+file, "  ")
}

// writePort prints "  80/TCP  node port 30036, pinned in …" and the obstacles.
func writePort(w io.Writer, d federation.PortDecision) {
	const margin = "      "
	port := "no node port"
	if d.NodePort != 0 {
		port = fmt.Sprintf("node port %d", d.NodePort)
	}
	why := printer.Indented(d.Reason, margin)
	switch basis := string(d.Basis); {
	case why == "":
		why = basis
	case !strings.HasPrefix(why, basis): // most reasons begin with it
		why = basis + ": " + why
	}
	fmt.Fprintf(w, "  %d/%s  %s, %s\n", d.Port, d.Protocol, port, why)
	if len(d.Waits) > 0 {
		fmt.Fprintf(w, margin+"waits for %s\n", strings.Join(d.Waits, ", "))
	}
	for _, c := range d.Clashes {
		fmt.Fprintf(w, margin+"withheld in %s: held by %s\n", c.Cluster, c.Holder)
	}
	for _, m := range d.Moves {
		fmt.Fprintf(w, margin+"moves in %s: from %d\n", m.Cluster, m.From)
	}
}

func writeReplicas(w io.Writer, d federation.ReplicasDecision) {
	fmt.Fprintf(w, "  %d in Git", d.Total)
	if d.Shortfall > 0 {
		fmt.Fprintf(w, ", %d could not be placed", d.Shortfall)
	}
	if d.Reason != "" {
		fmt.Fprintf(w, ": %s", printer.Indented(d.Reason, "    "))
	}
	fmt.Fprintln(w)
	if len(d.Waits) > 0 {
		fmt.Fprintf(w, "  waits for %s\n", strings.Join(d.Waits, ", "))
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "  CLUSTER\tREPLICAS\tSHARE\tOVERFLOW\tLIVE\tBECAUSE")
	for _, s := range d.Shares {
		live := "-"
		if s.Live >= 0 {
			live = fmt.Sprint(s.Live)
		}
		fmt.Fprintf(t, "  %s\t%d\t%d\t%d\t%s\t%s\n", s.Cluster, s.Replicas, s.Share, s.Overflow, live, printer.Because(s.Basis))
	}
	_ = t.Flush() // an error means that the output is gone
}

// writeClasses prints which class each cluster gets for an Ingress, and why.
func writeClasses(w io.Writer, d federation.IngressDecision) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "  CLUSTER\tCLASS IN GIT\tCLASS\tBECAUSE")
	for _, c := range d.Clusters {
		class := cmp.Or(c.Class, "none")
		if c.Basis == federation.ClassUnknown {
			class = "unchanged"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", c.Cluster, cmp.Or(c.Git, "none"), class, classWords(c.Basis))
	}
	_ = t.Flush() // an error means that the output is gone
}

// classWords returns the reason for a class in words.
func classWords(b federation.ClassBasis) string {
	switch b {
	case federation.ClassOurs:
		return "fedsync maintains its load balancer, and no controller there may create another"
	case federation.ClassMoves:
		return federation.AnnotationMove + " allows it, and the cluster takes traffic behind fedsync's load balancer"
	case federation.ClassStays:
		return "Google's controller serves it there; set " + federation.AnnotationMove + ": " + federation.MoveAllowed + " to move it"
	case federation.ClassWaits:
		return "Google's controller serves it there until the cluster takes traffic behind fedsync's load balancer"
	case federation.ClassUnknown:
		return "it is not known whether Google's controller serves it there"
	}
	return string(b)
}
