package page

import (
	"fmt"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// balancerRow is the load balancer of one Ingress over all clusters.
type balancerRow struct {
	objectName
	App         string
	Address     string // empty for none yet
	AddressName string
	State       badge
	Spread      string // "12 of 13 clusters take traffic"
	Refused     string // why it is not created or changed
	Waits       string // why it is not created or changed yet
	Cells       []trafficCell
	CellsCut    int // clusters that are left out
}

// trafficCell is one cluster behind a load balancer.
type trafficCell struct {
	Cluster *link
	Tone    string // empty if all of its endpoints are healthy and serve
	Healthy string // "6/6"
	State   string
	Reason  string
}

// trafficRow is a cluster's state behind one load balancer, on the cluster's own page.
type trafficRow struct {
	objectName
	Address string
	State   badge
	Healthy string
	Reason  string
}

// cloudView shows what fedsync does on Compute Engine.
type cloudView struct {
	Project    string
	Looked     *moment
	Error      string
	Calls      string // "12 calls in the last minute"
	Pending    []actionRow
	PendingCut int
	Done       []actionRow
	DoneCut    int
}

// actionRow is one change on Compute Engine.
type actionRow struct {
	Time     *moment
	Verb     string
	Resource string
	Fields   string // that an update changes
	Reason   string
	Outcome  badge
	Error    string
}

func (v view) balancers() ([]balancerRow, int) {
	shown, left := oddFirst(v.report.Balancers, maxBalancers, oddBalancer)
	rows := make([]balancerRow, 0, len(shown))
	for _, b := range shown {
		rows = append(rows, v.balancerRow(b))
	}
	return rows, left
}

func oddBalancer(b status.Balancer) bool {
	return !b.Complete || !b.Refused.IsZero() || slices.ContainsFunc(b.Clusters, oddTraffic)
}

func oddTraffic(c federation.BalancerCluster) bool { return trafficBadge(c.State).Tone != "good" }

func (v view) balancerRow(b status.Balancer) balancerRow {
	row := balancerRow{
		objectName:  nameOf(b.Ingress),
		App:         b.App,
		Address:     untrusted.Shorten(b.Address, maxName),
		AddressName: untrusted.Shorten(b.AddressName, maxName),
		State:       balancerBadge(b),
		Refused:     untrusted.Shorten(b.Refused.String(), maxText),
	}
	if b.Waits {
		row.Waits, row.Refused = row.Refused, ""
	}
	serving := 0
	for _, c := range b.Clusters {
		if c.State == federation.TrafficServing {
			serving++
		}
	}
	row.Spread = fmt.Sprintf("%d of %d %s traffic", serving, len(b.Clusters), plural(len(b.Clusters), "cluster takes", "clusters take"))
	clusters, left := oddFirst(b.Clusters, maxShares, oddTraffic)
	row.CellsCut = left
	for _, c := range clusters {
		row.Cells = append(row.Cells, v.trafficCell(c))
	}
	return row
}

func (v view) trafficCell(c federation.BalancerCluster) trafficCell {
	cell := trafficCell{
		Cluster: v.clusterLink(c.Cluster),
		Tone:    trafficBadge(c.State).Tone,
		Healthy: fmt.Sprintf("%d/%d", c.Healthy, c.Endpoints),
		State:   trafficBadge(c.State).Text,
		Reason:  untrusted.Shorten(c.Reason.String(), maxReason),
	}
	switch {
	case cell.Tone != "good":
	case c.Healthy < c.Endpoints:
		cell.Tone = "warn" // some nodes do not answer; the others serve
	default:
		cell.Tone = ""
	}
	return cell
}

// traffic returns a cluster's state behind each load balancer, and how many load
// balancers are left out.
func (v view) traffic(cluster string) ([]trafficRow, int) {
	var rows []trafficRow
	behind := 0
	for _, b := range v.report.Balancers {
		c, ok := b.Cluster(cluster)
		if !ok {
			continue
		}
		if behind++; behind > maxBalancers {
			continue
		}
		rows = append(rows, trafficRow{
			objectName: nameOf(b.Ingress),
			Address:    untrusted.Shorten(b.Address, maxName),
			State:      trafficBadge(c.State),
			Healthy:    fmt.Sprintf("%d of %d", c.Healthy, c.Endpoints),
			Reason:     untrusted.Shorten(c.Reason.String(), maxText),
		})
	}
	return rows, behind - len(rows)
}

// cloud returns nil if Compute Engine is not read.
func (v view) cloud() *cloudView {
	c := v.report.Cloud
	if c == nil {
		return nil
	}
	shown := &cloudView{
		Project: untrusted.Shorten(c.Project, maxName),
		Looked:  at(c.LastRead, v.now),
		Error:   untrusted.Shorten(c.Error.String(), maxText),
		Calls:   fmt.Sprintf("%d %s in the last minute", c.Calls, plural(c.Calls, "call", "calls")),
	}
	shown.Pending, shown.PendingCut = v.actions(c.Pending)
	shown.Done, shown.DoneCut = v.actions(c.Done)
	return shown
}

func (v view) actions(all []status.CloudAction) ([]actionRow, int) {
	shown := all[:min(maxActions, len(all))]
	rows := make([]actionRow, 0, len(shown))
	for _, a := range shown {
		rows = append(rows, actionRow{
			Time:     at(a.Time, v.now),
			Verb:     untrusted.Shorten(a.Verb, maxName),
			Resource: untrusted.Shorten(a.Resource, maxName),
			Fields:   untrusted.Shorten(named(a.Fields), maxReason),
			Reason:   untrusted.Shorten(a.Reason.String(), maxText),
			Outcome:  outcomeBadge(a.Outcome),
			Error:    untrusted.Shorten(a.Error.String(), maxText),
		})
	}
	return rows, len(all) - len(shown)
}

func balancerBadge(b status.Balancer) badge {
	switch {
	case !b.Refused.IsZero() && b.Waits:
		return badge{"wait", "clock", "Waiting"}
	case !b.Refused.IsZero():
		return badge{"bad", "cross", "Refused"}
	case b.Complete:
		return badge{"good", "check", "Complete"}
	}
	return badge{"wait", "clock", "In progress"}
}

func trafficBadge(s federation.TrafficState) badge {
	switch s {
	case federation.TrafficServing:
		return badge{"good", "check", "Serving"}
	case federation.TrafficWaiting:
		return badge{"wait", "clock", "Waiting"}
	case federation.TrafficUnhealthy:
		return badge{"bad", "cross", "Unhealthy"}
	case federation.TrafficNone:
		return badge{"bad", "cross", "No endpoints"}
	case federation.TrafficUnknown:
		return badge{"warn", "question", "Unknown"}
	case federation.TrafficDraining:
		return badge{"wait", "clock", "Draining"}
	case federation.TrafficDrained:
		return badge{"dim", "note", "Drained"}
	}
	return badge{"dim", "question", "Unknown"}
}

func outcomeBadge(o status.CloudOutcome) badge {
	switch o {
	case status.CloudWaiting:
		return badge{"dim", "clock", "Waiting"}
	case status.CloudRunning:
		return badge{"wait", "clock", "Running"}
	case status.CloudDone:
		return badge{"dim", "check", "Done"}
	case status.CloudFailed:
		return badge{"bad", "cross", "Failed"}
	}
	return badge{"dim", "question", "Unknown"}
}
