package page

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// The most that one page shows. Beyond that, the page says how much it leaves out;
// the JSON has everything.
const (
	maxAddresses = 50
	maxFindings  = 200
	maxObjects   = 400  // rows on the page of the whole federation
	maxOwn       = 1000 // rows of each list on a cluster's own page
	maxClusters  = 1000 // rows on the page of the whole federation
	maxRevisions = 10   // links to earlier revisions
	maxNamed     = 20   // clusters named at an address
	maxText      = 2000 // runes of one message
	maxName      = 253  // runes of a name, as long as a DNS name may be
	maxPorts     = 100  // node ports
	maxWorkloads = 50   // workloads whose replicas are shown
	maxShares    = 40   // clusters shown for one workload
	maxRules     = 400  // rules of all Ingresses on a cluster's page
	maxBalancers = 50   // load balancers
	maxActions   = 15   // on Compute Engine: pending ones, and as many ended ones
	maxReason    = 120  // runes of a reason in a cell
)

// view makes pages of a report.
type view struct {
	report   *status.Report
	now      time.Time
	current  bool   // it is the newest report
	root     string // relative path to /
	revision string // SHA, on pages below /revisions/
	// visible has the clusters that can be seen. Counts of live replicas in other
	// clusters are old and not shown.
	visible map[string]bool
}

func newView(r *status.Report, now time.Time) view {
	v := view{report: r, now: now, visible: make(map[string]bool, len(r.Clusters))}
	for _, c := range r.Clusters {
		v.visible[c.Name] = c.Visible()
	}
	return v
}

// reportPage is the whole federation.
type reportPage struct {
	Frame
	Summary      summary
	Source       string
	Counts       []count
	Addresses    []addressRow
	AddressesCut int
	Balancers    []balancerRow
	BalancersCut int
	Cloud        *cloudView // nil if Compute Engine is not read
	Findings     []findingRow
	FindingsCut  int
	Ports        []portRow
	PortsCut     int
	Workloads    []workloadRow
	WorkloadsCut int
	Clusters     []clusterRow
	ClustersCut  int
	Objects      []objectGroup
	ObjectsCut   int // clusters whose objects are left out
	Revisions    []link
}

// clusterPage is one member cluster in full.
type clusterPage struct {
	Frame
	Summary     summary
	Cluster     clusterRow
	Tone        string // of the health if the cluster is Ready, else of the state
	Findings    []findingRow
	FindingsCut int
	Probes      string // how many failed; empty for none
	Places      string // regions and zones of the nodes
	Objects     []objectGroup
	ObjectsCut  int
	Shares      []shareRow
	SharesCut   int
	Traffic     []trafficRow
	TrafficCut  int // load balancers that are left out
	Endpoints   []endpointsRow
	MoreBehind  int // Services whose endpoints are left out
	Ingresses   []ingressRow
	MoreRouted  int // Ingresses whose rules are left out
	Annotations []annotationGroup
	Unquoted    int // annotations that are left out
	Changes     []changeRow
	ChangesCut  int
	Overview    string // path of the overview it belongs to
}

// summary is the head of a page: the revision and its outcome.
type summary struct {
	Federation  string
	Repository  string
	Revision    string
	SHA         string
	Subject     string
	Description string
	State       badge
	Forced      bool
	Earlier     bool // there is a newer report
	Committed   *moment
	FirstSeen   *moment
	Waiting     *moment
	Reported    *moment
}

type count struct{ Label, Value, Of string }

type link struct{ Href, Text string }

type addressRow struct {
	Address  string
	Object   string
	Clusters string
	Count    string // "3 of 13 clusters"
}

type findingRow struct {
	Severity badge
	ID       string
	Title    string // of the ID
	Cluster  *link
	App      string
	Object   string
	File     string
	Message  string
	Remedy   string
	Since    *moment
}

func (v view) reportPage(f Frame, revisions []federation.Revision) reportPage {
	r := v.report
	p := reportPage{
		Frame:     f,
		Summary:   v.summary(),
		Source:    untrusted.Shorten(r.Source.String(), maxText),
		Counts:    v.counts(),
		Revisions: v.otherRevisions(revisions),
	}
	p.Addresses, p.AddressesCut = v.addresses()
	p.Balancers, p.BalancersCut = v.balancers()
	p.Cloud = v.cloud()
	p.Findings, p.FindingsCut = v.findings(r.Findings)
	p.Ports, p.PortsCut = v.ports()
	p.Workloads, p.WorkloadsCut = v.workloads()
	addresses := v.addressesByCluster()
	clusters, left := oddFirst(r.Clusters, maxClusters, oddCluster)
	p.ClustersCut = left
	for _, c := range clusters {
		p.Clusters = append(p.Clusters, v.clusterRow(c, addresses[c.Name]))
	}
	p.Objects, p.ObjectsCut = v.objectGroups(r.Clusters)
	return p
}

func (v view) clusterPage(f Frame, c status.Cluster) clusterPage {
	f.Title = fmt.Sprintf("%s: %s, %s", c.Name, v.report.Federation, v.report.Revision)
	var own []federation.Finding
	for _, finding := range v.report.Findings {
		if finding.Cluster == c.Name {
			own = append(own, finding)
		}
	}
	row := v.clusterRow(c, v.addressesByCluster()[c.Name])
	p := clusterPage{
		Frame:    f,
		Summary:  v.summary(),
		Cluster:  row,
		Tone:     row.State.Tone,
		Probes:   probeWords(c.Probes),
		Places:   placeWords(c),
		Overview: v.root,
	}
	if v.revision != "" {
		p.Overview = v.root + "revisions/" + url.PathEscape(v.revision)
	}
	if c.State == federation.ClusterReady && row.Health.Tone != "" {
		p.Tone = row.Health.Tone
	}
	p.Findings, p.FindingsCut = v.findings(own)
	p.Shares, p.SharesCut = v.shares(c)
	p.Annotations, p.Unquoted = annotationGroups(c.Objects)
	p.Changes, p.ChangesCut = changeRows(c.Changes)
	p.Traffic, p.TrafficCut = v.traffic(c.Name)
	p.Endpoints, p.MoreBehind = endpointsRows(c)
	p.Ingresses, p.MoreRouted = ingressRows(c)
	if len(c.Objects) > 0 {
		c.Objects, p.ObjectsCut = oddFirst(c.Objects, maxOwn, oddObject)
		p.Objects = []objectGroup{v.objectGroup(c)}
	}
	return p
}

func (v view) summary() summary {
	r := v.report
	return summary{
		Federation:  r.Federation,
		Repository:  r.Repository,
		Revision:    r.Revision.String(),
		SHA:         r.Revision.SHA,
		Subject:     untrusted.Shorten(r.Subject.String(), 200),
		Description: untrusted.Shorten(r.Description.String(), maxText),
		State:       stateBadge(r.State),
		Forced:      r.Forced,
		Earlier:     !v.current,
		Committed:   at(r.Committed, v.now),
		FirstSeen:   at(r.FirstSeen, v.now),
		Waiting:     at(r.WaitingSince, v.now),
		Reported:    at(r.Time, v.now),
	}
}

// counts returns the figures that summarise the report.
func (v view) counts() []count {
	var targeted, current int
	var ready, desired int64
	for _, c := range v.report.Clusters {
		ready, desired = ready+c.Ready, desired+c.Desired
		if !c.Targeted || c.Lost {
			continue
		}
		targeted++
		if c.Current {
			current++
		}
	}
	distinct := map[string]bool{}
	for _, a := range v.report.Addresses {
		distinct[a.Address] = true
	}
	errs := 0
	for _, f := range v.report.Findings {
		if f.Severity == federation.SeverityError {
			errs += f.Stands()
		}
	}
	all := federation.CountFindings(v.report.Findings)
	return []count{
		{Label: "Clusters up to date", Value: fmt.Sprint(current), Of: fmt.Sprintf("of %d", targeted)},
		{Label: "Pods ready", Value: fmt.Sprint(ready), Of: fmt.Sprintf("of %d", desired)},
		{Label: plural(len(distinct), "Address", "Addresses"), Value: fmt.Sprint(len(distinct))},
		{Label: plural(all, "Finding", "Findings"), Value: fmt.Sprint(all), Of: errorsOf(errs)},
	}
}

func errorsOf(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", n, plural(n, "error", "errors"))
}

func (v view) addresses() ([]addressRow, int) {
	shown := v.report.Addresses[:min(maxAddresses, len(v.report.Addresses))]
	rows := make([]addressRow, 0, len(shown))
	for _, a := range shown {
		rows = append(rows, addressRow{
			Address:  untrusted.Shorten(a.Address, maxName),
			Object:   a.Object.String(),
			Clusters: named(a.Clusters),
			Count: fmt.Sprintf("%d of %d %s", len(a.Clusters), len(v.report.Clusters),
				plural(len(v.report.Clusters), "cluster", "clusters")),
		})
	}
	return rows, len(v.report.Addresses) - len(shown)
}

// addressesByCluster returns the report's addresses by cluster.
func (v view) addressesByCluster() map[string][]string {
	by := map[string][]string{}
	for _, a := range v.report.Addresses {
		for _, name := range a.Clusters {
			// The list is sorted by address, so equal ones are adjacent.
			if have := by[name]; len(have) == 0 || have[len(have)-1] != a.Address {
				by[name] = append(have, a.Address)
			}
		}
	}
	return by
}

func (v view) findings(all []federation.Finding) ([]findingRow, int) {
	shown := all[:min(maxFindings, len(all))]
	rows := make([]findingRow, 0, len(shown))
	for _, f := range shown {
		row := findingRow{
			Severity: severityBadge(f.Severity),
			ID:       f.ID,
			Title:    federation.FindingTitle(f.ID),
			App:      f.App,
			File:     f.File,
			Message:  untrusted.Shorten(f.Message.String(), maxText),
			Remedy:   untrusted.Shorten(f.Remedy.String(), maxText),
			Since:    at(f.Since, v.now),
		}
		if f.Cluster != "" {
			row.Cluster = v.clusterLink(f.Cluster)
		}
		if f.Object != (federation.ObjectRef{}) {
			row.Object = f.Object.String()
		}
		if f.File != "" && f.Line > 0 {
			row.File = fmt.Sprintf("%s:%d", row.File, f.Line)
		}
		rows = append(rows, row)
	}
	return rows, federation.CountFindings(all) - federation.CountFindings(shown)
}

// clusterLink links to a cluster's own page for the same revision.
func (v view) clusterLink(name string) *link {
	href := v.root
	if v.revision != "" {
		href += "revisions/" + url.PathEscape(v.revision) + "/"
	}
	return &link{Href: href + "clusters/" + url.PathEscape(name), Text: name}
}

// otherRevisions links to the other revisions that have a report.
func (v view) otherRevisions(all []federation.Revision) []link {
	var links []link
	for _, r := range all {
		if r.SHA == v.report.Revision.SHA {
			continue
		}
		if len(links) == maxRevisions {
			break
		}
		links = append(links, link{Href: v.root + "revisions/" + url.PathEscape(r.SHA), Text: r.String()})
	}
	return links
}

// probeWords returns how many of a cluster's last probes failed, in words.
func probeWords(p status.Probes) string {
	if p.Failed == 0 {
		return ""
	}
	return fmt.Sprintf("%d of the last %d %s failed", p.Failed, p.Of, plural(p.Of, "probe", "probes"))
}

// placeWords returns where the nodes of a cluster are, in words.
func placeWords(c status.Cluster) string {
	var words []string
	if len(c.Regions) > 0 {
		words = append(words, plural(len(c.Regions), "region ", "regions ")+named(c.Regions))
	}
	if len(c.Zones) > 0 {
		words = append(words, plural(len(c.Zones), "zone ", "zones ")+named(c.Zones))
	}
	return untrusted.Shorten(strings.Join(words, ", "), maxText)
}

func oddCluster(c status.Cluster) bool {
	return c.State != federation.ClusterReady || c.Health != federation.Healthy
}

// named lists up to maxNamed names, and counts the rest.
func named(names []string) string {
	return untrusted.Some(names, maxNamed)
}

// oddFirst returns at most limit items, and how many it leaves out. If it leaves out
// any, the odd ones come first.
func oddFirst[T any](all []T, limit int, odd func(T) bool) ([]T, int) {
	if len(all) <= limit {
		return all, 0
	}
	var first, rest []T
	for _, item := range all {
		if odd(item) {
			first = append(first, item)
		} else {
			rest = append(rest, item)
		}
	}
	return append(first, rest...)[:limit:limit], len(all) - limit
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
