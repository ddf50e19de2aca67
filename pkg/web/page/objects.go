package page

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// clusterRow is one member cluster.
type clusterRow struct {
	Link      *link
	Version   string
	Targeted  bool
	Lost      bool
	Counts    bool // targeted and not lost: its state counts for the federation
	State     badge
	Failure   string // the class, if it does not answer as it should
	Since     *moment
	Error     string
	Reason    string // why it is not a success, if Error does not contain it
	Failed    bool   // it is a failure
	Applied   string // abbreviated SHA; empty for never
	Current   bool
	Behind    bool // it should be current and is not
	Health    badge
	Pods      string // "2/3"; empty if none are wanted
	Addresses []string
	LastSync  string // "2 created, 1 failed"; empty before the first
}

// objectGroup are one cluster's objects.
type objectGroup struct {
	Cluster *link
	State   badge
	Stale   bool // the last known state: the cluster cannot be seen now
	Rows    []objectRow
}

// objectRow is one object in the columns of kubectl get.
type objectRow struct {
	Kind      string
	Namespace string
	Name      string
	Hosts     string
	Addresses string
	Ports     string
	Ready     string
	Age       *moment
	Health    badge
	Message   string
}

// annotationGroup has the annotations that the ingress controller set on one object.
type annotationGroup struct {
	Object string
	Pairs  []pair
}

type pair struct{ Key, Value string }

type changeRow struct {
	Action badge
	App    string
	Object string
	Drift  string
	Error  string
}

func (v view) clusterRow(c status.Cluster, addresses []string) clusterRow {
	row := clusterRow{
		Link:      v.clusterLink(c.Name),
		Version:   c.Version,
		Targeted:  c.Targeted,
		Lost:      c.Lost,
		Counts:    c.Targeted && !c.Lost,
		State:     clusterBadge(c.State),
		Failure:   string(c.Failure),
		Since:     at(c.Since, v.now),
		Error:     untrusted.Shorten(c.Error.String(), maxText),
		Applied:   c.Applied.Short(),
		Failed:    c.Outcome == status.Failure,
		Current:   c.Current,
		Behind:    c.Targeted && !c.Lost && !c.Current && c.Applied.SHA != "",
		Health:    healthBadge(c.Health),
		Addresses: someAddresses(addresses),
		LastSync:  syncWords(c.Changes),
	}
	if row.LastSync == "" && c.Applied.SHA != "" {
		row.LastSync = "unchanged"
	}
	if c.Desired > 0 || c.Ready > 0 {
		row.Pods = fmt.Sprintf("%d/%d", c.Ready, c.Desired)
	}
	if c.Outcome != status.Success && (c.Error.IsZero() || !strings.Contains(c.Reason.String(), c.Error.String())) {
		row.Reason = untrusted.Shorten(c.Reason.String(), maxText)
	}
	return row
}

// someAddresses returns as many addresses as fit into a cell.
func someAddresses(all []string) []string {
	shown := make([]string, 0, min(maxNamed, len(all))+1)
	for _, address := range all[:min(maxNamed, len(all))] {
		shown = append(shown, untrusted.Shorten(address, maxName))
	}
	if more := len(all) - maxNamed; more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	return shown
}

func oddObject(o federation.Observation) bool {
	return o.Health != federation.Healthy && o.Health != ""
}

// objectGroups returns the objects of all clusters. If there are too many for a page, it
// returns those of unhealthy clusters, and how many clusters it leaves out.
func (v view) objectGroups(clusters []status.Cluster) (groups []objectGroup, left int) {
	total := 0
	for _, c := range clusters {
		total += len(c.Objects)
	}
	rows := 0
	for _, c := range clusters {
		if len(c.Objects) == 0 {
			continue
		}
		healthy := c.State == federation.ClusterReady && c.Health == federation.Healthy
		if total > maxObjects && (healthy || rows+len(c.Objects) > maxObjects) {
			left++
			continue
		}
		rows += len(c.Objects)
		groups = append(groups, v.objectGroup(c))
	}
	return groups, left
}

func (v view) objectGroup(c status.Cluster) objectGroup {
	g := objectGroup{
		Cluster: v.clusterLink(c.Name),
		State:   clusterBadge(c.State),
		Stale:   !c.Visible(),
	}
	for _, o := range c.Objects {
		g.Rows = append(g.Rows, objectRow{
			Kind:      o.Object.Kind,
			Namespace: o.Object.Namespace,
			Name:      o.Object.Name,
			Hosts:     hosts(o),
			Addresses: untrusted.Shorten(strings.Join(o.Addresses, ", "), maxText),
			Ports:     ports(o.Ports),
			Ready:     readyPods(o),
			Age:       at(o.Created, v.now),
			Health:    healthBadge(o.Health),
			Message:   untrusted.Shorten(o.Message.String(), maxText),
		})
	}
	return g
}

// hosts returns * for an Ingress without hosts, as kubectl does.
func hosts(o federation.Observation) string {
	if len(o.Hosts) == 0 && o.Object.Kind == "Ingress" {
		return "*"
	}
	return untrusted.Shorten(strings.Join(o.Hosts, ", "), maxText)
}

// ports formats ports as kubectl does: 80, 443 for an Ingress and 80:30036/TCP for a
// Service's port with a node port.
func ports(all []federation.Port) string {
	words := make([]string, 0, len(all))
	for _, p := range all {
		word := strconv.Itoa(int(p.Port))
		if p.NodePort != 0 {
			word += ":" + strconv.Itoa(int(p.NodePort))
		}
		if p.Protocol != "" {
			word += "/" + p.Protocol
		}
		words = append(words, word)
	}
	return untrusted.Shorten(strings.Join(words, ", "), maxText)
}

// readyPods is empty for an object that is not a workload.
func readyPods(o federation.Observation) string {
	workload := o.Object.Group == "apps" || o.Object.Group == "batch" ||
		o.Object.Kind == "Pod" || o.Object.Kind == "ReplicationController"
	if !workload && o.Desired == 0 && o.Ready == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", o.Ready, o.Desired)
}

// annotationGroups returns at most a page of annotations, and how many it leaves out.
func annotationGroups(objects []federation.Observation) (groups []annotationGroup, left int) {
	shown := 0
	for _, o := range objects {
		g := annotationGroup{Object: o.Object.String()}
		for _, key := range slices.Sorted(maps.Keys(o.Annotations)) {
			if shown == maxOwn {
				left++
				continue
			}
			shown++
			g.Pairs = append(g.Pairs, pair{Key: key, Value: untrusted.Shorten(o.Annotations[key], maxText)})
		}
		if len(g.Pairs) > 0 {
			groups = append(groups, g)
		}
	}
	return groups, left
}

// changeRows returns changes sorted by object, with failures first, and how many it
// leaves out.
func changeRows(changes []status.Change) (rows []changeRow, left int) {
	changes = slices.SortedStableFunc(slices.Values(changes), func(a, b status.Change) int {
		return cmp.Or(failedFirst(a)-failedFirst(b), a.Object.Compare(b.Object))
	})
	for _, c := range changes[:min(maxOwn, len(changes))] {
		rows = append(rows, changeRow{
			Action: actionBadge(c.Action),
			App:    c.App,
			Object: c.Object.String(),
			Drift:  untrusted.Shorten(c.Drift.String(), maxText),
			Error:  untrusted.Shorten(c.Error.String(), maxText),
		})
	}
	return rows, len(changes) - len(rows)
}

func failedFirst(c status.Change) int {
	if c.Action == federation.ActionFailed {
		return 0
	}
	return 1
}

// syncWords counts changes by action: "2 created, 1 failed".
func syncWords(changes []status.Change) string {
	counts := map[federation.Action]int{}
	for _, c := range changes {
		counts[c.Action]++
	}
	var words []string
	for _, a := range []federation.Action{
		federation.ActionCreated, federation.ActionConfigured, federation.ActionAdopted,
		federation.ActionPruned, federation.ActionFailed,
	} {
		if n := counts[a]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, a))
		}
	}
	return strings.Join(words, ", ")
}
