package page

import (
	"fmt"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// portRow is what was decided for one port of one Service.
type portRow struct {
	App       string
	Namespace string
	Name      string
	Port      string // "80/TCP"
	NodePort  string // empty for none
	State     badge  // empty if every cluster has the number or gets it
	Origin    string // where it comes from, in words
	Waits     string // the clusters whose facts are missing, if Origin does not name them
	Moves     string // the clusters where it changes
	Clashes   []clashRow
	MoreClash int // clashes that are left out
}

// clashRow is a cluster where another object holds the port.
type clashRow struct {
	Cluster *link
	Holder  string
}

func (v view) ports() ([]portRow, int) {
	shown, left := oddFirst(v.report.Ports, maxPorts, oddPort)
	rows := make([]portRow, 0, len(shown))
	for _, d := range shown {
		rows = append(rows, v.portRow(d))
	}
	return rows, left
}

func oddPort(d federation.PortDecision) bool {
	return d.NodePort == 0 || d.Basis == federation.PortOverflow || len(d.Waits)+len(d.Clashes)+len(d.Moves) > 0
}

func (v view) portRow(d federation.PortDecision) portRow {
	row := portRow{
		App:       d.App,
		Namespace: d.Service.Namespace,
		Name:      d.Service.Name,
		Port:      fmt.Sprintf("%d/%s", d.Port, d.Protocol),
		State:     portBadge(d),
		Origin:    untrusted.Shorten(d.Reason, maxText),
	}
	if d.NodePort != 0 {
		row.NodePort = fmt.Sprint(d.NodePort)
	}
	if d.Basis != federation.PortWaiting { // its reason names them
		row.Waits = named(d.Waits)
	}
	var moves []string
	for _, m := range d.Moves {
		moves = append(moves, fmt.Sprintf("%s (from %d)", m.Cluster, m.From))
	}
	row.Moves = named(moves)
	shown := d.Clashes[:min(maxNamed, len(d.Clashes))]
	for _, c := range shown {
		row.Clashes = append(row.Clashes, clashRow{Cluster: v.clusterLink(c.Cluster), Holder: c.Holder.String()})
	}
	row.MoreClash = len(d.Clashes) - len(shown)
	return row
}

// portBadge is empty for a number that every cluster has or gets.
func portBadge(d federation.PortDecision) badge {
	switch {
	case d.Basis == federation.PortRefused:
		return badge{"bad", "cross", "Refused"}
	case len(d.Clashes) > 0:
		return badge{"bad", "cross", "Clash"}
	case d.Basis == federation.PortWaiting:
		return badge{"wait", "clock", "Waiting"}
	case d.Basis == federation.PortOverflow:
		return badge{"warn", "triangle", "Above the band"}
	case len(d.Moves) > 0:
		return badge{"wait", "clock", "Moving"}
	}
	return badge{}
}
