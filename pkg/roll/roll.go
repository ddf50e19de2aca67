package roll

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// verdict is what may be done with a cluster, considering which clusters all the names
// lead to.
type verdict struct {
	Action clusterAction
	Member string // of Duplicate and Renamed: the member that is the same cluster
	Why    string // of Duplicate, Replaced and Wait: the reason
}

// clusterAction is the kind of a verdict.
type clusterAction string

const (
	// clusterWrite is a member that is a cluster of its own, as far as is known.
	clusterWrite clusterAction = "Write"
	// clusterReplaced is a member whose name leads to another cluster than before. It
	// is written, and nothing is pruned there until the next revision.
	clusterReplaced clusterAction = "Replaced"
	// clusterDuplicate is a member that is the same cluster as another one. It is not
	// written and has no share.
	clusterDuplicate clusterAction = "Duplicate"
	// clusterEmpty has left the file and is not a member: it is emptied.
	clusterEmpty clusterAction = "Empty"
	// clusterWait has left the file, and may still be a member under another name.
	clusterWait clusterAction = "Wait"
	// clusterRenamed has left the file under this name, and is a member under another.
	clusterRenamed clusterAction = "Renamed"
)

// Input is everything that the verdicts depend on.
type Input struct {
	Members  []federation.Cluster // in the file's order
	Leaving  []federation.Cluster // have left the file and should be emptied
	Roster   Roster               // what was last applied where
	Facts    federation.Facts
	Servers  map[string]string // where each context leads, for clusters without a known uid
	Revision string            // sha of the revision that is applied
}

// Roll holds the verdicts and the new roster.
type Roll struct {
	verdicts map[string]verdict // of members and of those that leave, by name
	Roster   Roster
}

// Of judges every cluster. It depends only on its input: a daemon that has just started
// judges like one that has seen everything.
//
// A cluster is identified by the uid of its Namespace kube-system. If the uids of two
// clusters are not known, their servers are compared. Equal servers mean one cluster;
// different servers mean nothing.
func Of(in Input) Roll {
	out := Roll{verdicts: map[string]verdict{}, Roster: in.Roster}
	out.Roster.Brought = map[string]brought{}
	first := in.firsts()
	for _, c := range in.Members {
		before, had := in.Roster.Brought[c.Name]
		if had {
			out.Roster.Brought[c.Name] = before
		}
		uid := in.uid(c.Name)
		if other := first[in.key(c.Name)]; other != "" && other != c.Name {
			out.verdicts[c.Name] = verdict{clusterDuplicate, other, in.same(c.Name)}
			if had && before.UID == uid && before.Since == in.Revision {
				delete(out.Roster.Brought, c.Name) // it was first until the other was known
			}
			continue
		}
		if uid == "" {
			out.verdicts[c.Name] = verdict{Action: clusterWrite}
			continue
		}
		now := before
		if before.UID != uid {
			now = brought{UID: uid, Since: in.Revision, Before: before.UID}
		}
		out.Roster.Brought[c.Name] = now
		if now.Before != "" && now.Since == in.Revision {
			out.verdicts[c.Name] = verdict{
				clusterReplaced, "",
				fmt.Sprintf("kube-system had the uid %s, and now has %s", now.Before, uid),
			}
			continue
		}
		out.verdicts[c.Name] = verdict{Action: clusterWrite}
	}
	for _, c := range in.Leaving {
		v := in.leaving(c)
		out.verdicts[c.Name] = v
		if before, had := in.Roster.Brought[c.Name]; had {
			out.Roster.Brought[c.Name] = before
		}
		if v.Action == clusterRenamed {
			out.Roster = out.Roster.Without(c.Name)
		}
	}
	return out
}

// firsts returns, for each cluster that members lead to, the member that continues: one
// that was applied before this revision, or otherwise the first in the file.
func (in Input) firsts() map[string]string {
	first := map[string]string{}
	earlier := func(name string) bool {
		b, uid := in.Roster.Brought[name], in.uid(name)
		return b.UID != "" && (uid == "" || b.UID == uid) && b.Since != in.Revision
	}
	for _, c := range in.Members {
		key := in.key(c.Name)
		if key == "" {
			continue
		}
		if has, ok := first[key]; !ok || earlier(c.Name) && !earlier(has) {
			first[key] = c.Name
		}
	}
	return first
}

func (in Input) uid(name string) string { return in.Facts.Clusters[name].UID }

// key is equal for equal clusters, and empty if nothing is known about one.
func (in Input) key(name string) string {
	if uid := in.uid(name); uid != "" {
		return "uid " + uid
	}
	if server := endpoint(in.Servers[name]); server != "" {
		return "server " + server
	}
	return ""
}

// same returns the reason why a member is known to be the same as another.
func (in Input) same(name string) string {
	if uid := in.uid(name); uid != "" {
		return "in both kube-system has the uid " + uid
	}
	return "both contexts lead to " + endpoint(in.Servers[name])
}

// leaving judges a cluster that left the file. A deletion cannot be undone, so it must
// be certain that the cluster is not a member: from what the clusters show now, and not
// from what they showed before an outage.
func (in Input) leaving(c federation.Cluster) verdict {
	uid := in.uid(c.Name)
	for _, m := range in.Members {
		if uid != "" && in.uid(m.Name) == uid {
			return verdict{Action: clusterRenamed, Member: m.Name}
		}
	}
	facts := in.Facts.Clusters[c.Name]
	switch before := in.Roster.Brought[c.Name]; {
	case uid == "" || facts.State != federation.ClusterReady:
		return verdict{Action: clusterWait, Why: "the cluster cannot be identified: it must answer and allow fedsync to get its Namespace kube-system"}
	case before.UID != "" && before.UID != uid:
		return verdict{Action: clusterWait, Why: fmt.Sprintf(
			"its context leads to another cluster than before: kube-system had the uid %s, and now has %s", before.UID, uid)}
	}
	var unknown []string
	for _, m := range in.Members {
		if f := in.Facts.Clusters[m.Name]; f.UID == "" || f.Away() {
			unknown = append(unknown, m.Name)
		}
	}
	if len(unknown) > 0 {
		return verdict{Action: clusterWait, Why: fmt.Sprintf("it may be one of %s, whose clusters cannot be identified now",
			strings.Join(unknown, ", "))}
	}
	return verdict{Action: clusterEmpty}
}

// Excluded returns the clusters that must not be written now, and why.
func (r Roll) Excluded() map[string]string {
	var all map[string]string
	for name, v := range r.verdicts {
		why := ""
		switch v.Action {
		case clusterDuplicate:
			why = fmt.Sprintf("it is the same cluster as %s: %s", v.Member, v.Why)
		case clusterRenamed:
			why = fmt.Sprintf("it is the member %s under another name", v.Member)
		case clusterWait:
			why = v.Why
		case clusterWrite, clusterReplaced, clusterEmpty:
			continue
		}
		if all == nil {
			all = map[string]string{}
		}
		all[name] = why
	}
	return all
}

// Unpruned returns the clusters where nothing is pruned now.
func (r Roll) Unpruned() map[string]bool {
	var all map[string]bool
	for _, name := range r.those(clusterReplaced) {
		if all == nil {
			all = map[string]bool{}
		}
		all[name] = true
	}
	return all
}

// Renamed returns the members that left under one name and are members under another,
// by the name that left.
func (r Roll) Renamed() map[string]string {
	all := map[string]string{}
	for _, name := range r.those(clusterRenamed) {
		all[name] = r.verdicts[name].Member
	}
	return all
}

// those returns the names with a verdict, sorted.
func (r Roll) those(a clusterAction) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.verdicts)) {
		if r.verdicts[name].Action == a {
			names = append(names, name)
		}
	}
	return names
}

// Findings explains the verdicts to the readers of a report.
func (r Roll) Findings(file string) []federation.Finding {
	var all []federation.Finding
	for _, name := range r.those(clusterDuplicate) {
		v := r.verdicts[name]
		all = append(all, federation.Finding{
			ID: federation.FindingClusterTwice, Severity: federation.SeverityError, Cluster: name, File: file,
			Message: untrusted.Textf("is the same cluster as %s: %s; %s is written, %s is not written and has no share", v.Member, v.Why, v.Member, name),
			Remedy:  untrusted.Textf("remove %s or %s from %s, or correct the context of one of them in the kubeconfig", name, v.Member, federation.FileName),
		})
	}
	for _, name := range r.those(clusterReplaced) {
		all = append(all, federation.Finding{
			ID: federation.FindingReplaced, Severity: federation.SeverityWarning, Cluster: name,
			Message: untrusted.Textf("is another cluster than before: %s; everything is applied there, and nothing is pruned until the next revision", r.verdicts[name].Why),
			Remedy:  untrusted.Const("if it was rebuilt or moved, the next push ends this; if not, correct its context in the kubeconfig"),
		})
	}
	for _, name := range r.those(clusterWait) {
		all = append(all, federation.Finding{
			ID: federation.FindingLeaving, Severity: federation.SeverityNote, Cluster: name, File: file,
			Message: untrusted.New("left the file but is not emptied yet: " + r.verdicts[name].Why),
			Remedy:  untrusted.Const("wait until these clusters answer, or remove the unreachable ones from " + federation.FileName + "; with onRemove: Orphan nothing is deleted"),
		})
	}
	return all
}

// endpoint returns a server in canonical form, without credentials. Text that is not a
// URL is returned unchanged.
func endpoint(server string) string {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return server
	}
	u.User = nil
	u.Scheme = strings.ToLower(u.Scheme)
	number := u.Port()
	if number == "" {
		number = "443"
		if u.Scheme == "http" {
			number = "80"
		}
	}
	u.Host = net.JoinHostPort(strings.ToLower(u.Hostname()), number)
	u.Path = strings.TrimRight(u.Path, "/")
	return u.String()
}
