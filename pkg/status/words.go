package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// wordsLimit is the longest description in bytes, including the number of further
// reasons: the strictest forge accepts 140 characters.
const wordsLimit = 140

// state returns the outcome and its description.
func (s *summary) state() (State, string) {
	if failed := failures(s.noted.findings, s.members); len(failed) > 0 {
		return Failure, s.failureWords(failed)
	}
	if s.Snapshot.Revision.SHA == "" || s.Federation == nil {
		return Pending, "waiting for the repository"
	}
	if len(s.waits) > 0 {
		return Pending, s.pendingWords()
	}
	return Success, s.successWords()
}

// failures returns the findings that make the state a failure, the most important first.
// Findings of equal weight keep their order.
func failures(findings []federation.Finding, members map[string]bool) []federation.Finding {
	var failed []federation.Finding
	for _, f := range findings {
		if counts, known := members[f.Cluster]; f.Severity == federation.SeverityError && (counts || !known) {
			failed = append(failed, f)
		}
	}
	slices.SortStableFunc(failed, func(a, b federation.Finding) int { return cmp.Compare(weight(a), weight(b)) })
	return failed
}

// weight ranks causes before their effects: errors in Git, then clusters that do not
// answer, then failed writes, then unhealthy objects.
func weight(f federation.Finding) int {
	switch {
	case f.ID == federation.FindingMore:
		return 6
	case f.Cluster == "" && f.File != "":
		return 0
	case f.ID == federation.FindingNoContext, f.ID == federation.FindingCredentials, f.ID == federation.FindingUnreachable, f.ID == federation.FindingNotReady:
		return 2
	case f.ID == federation.FindingHealth:
		return 4
	case f.ID == federation.FindingAddresses, f.ID == federation.FindingAddress, f.ID == federation.FindingNotSynced, f.ID == federation.FindingTraffic:
		return 5
	case f.Cluster == "":
		return 1
	}
	return 3
}

// failureWords returns "1/13 failed: gce-us-east1b Service/nginx nodePort 30036 held by
// default/legacy (+1 more)". Clusters that fail for the same reason are named together.
func (s *summary) failureWords(failed []federation.Finding) string {
	type reason struct {
		id, message string
		object      federation.ObjectRef
		file        string
	}
	type failing struct {
		reason
		cluster string
	}
	clusters := map[string]bool{}
	reasons, known := map[reason][]string{}, map[failing]bool{}
	more := -1 // other than the first
	for _, f := range failed {
		if s.members[f.Cluster] {
			clusters[f.Cluster] = true
		}
		r := reason{f.ID, f.Message.String(), f.Object, f.File}
		if len(reasons[r]) == 0 {
			more += f.Stands()
		}
		if at := (failing{r, f.Cluster}); !known[at] {
			known[at] = true
			reasons[r] = append(reasons[r], f.Cluster)
		}
	}
	head := "failed: "
	if len(clusters) > 0 {
		head = fmt.Sprintf("%d/%d failed: ", len(clusters), counted(s.report.Clusters))
	}
	first := failed[0]
	same := reasons[reason{first.ID, first.Message.String(), first.Object, first.File}]
	if first.ID == federation.FindingTraffic {
		return s.noTrafficWords(first, same, len(clusters), more)
	}
	if len(same) > 1 && first.Cluster != "" {
		first.Cluster = fmt.Sprintf("%s and %d more", first.Cluster, len(same)-1)
	}
	return head + withMore(s.reason(first), more, wordsLimit-len(head))
}

// reason describes a finding in one line. A cluster that is not Ready is described as in
// pending descriptions.
func (s *summary) reason(f federation.Finding) string {
	if f.Cluster != "" && f.Object == (federation.ObjectRef{}) {
		if c, shown := s.shown(f.Cluster); shown && c.State != federation.ClusterReady {
			if w := s.absent(c); w.finding.ID == f.ID {
				return w.words
			}
		}
	}
	where := place(f)
	if f.Cluster != "" && f.Object == (federation.ObjectRef{}) {
		where += ":" // the message is about the cluster, and not part of a name
	}
	return strings.TrimSpace(where + " " + untrusted.Line(f.Message.String()))
}

// shown returns a cluster of the report.
func (s *summary) shown(name string) (Cluster, bool) {
	if s.places == nil {
		s.places = make(map[string]int, len(s.report.Clusters))
		for i, c := range slices.Backward(s.report.Clusters) {
			s.places[c.Name] = i
		}
	}
	i, found := s.places[name]
	if !found {
		return Cluster{}, false
	}
	return s.report.Clusters[i], true
}

// place returns where a finding is: cluster, object, or file.
func place(f federation.Finding) string {
	var parts []string
	if f.Cluster != "" {
		parts = append(parts, f.Cluster)
	}
	if f.Object != (federation.ObjectRef{}) {
		name := f.Object.Name
		if f.Object.Namespace != "" && f.Object.Namespace != "default" {
			name = f.Object.Namespace + "/" + name
		}
		parts = append(parts, f.Object.Kind+"/"+name)
	}
	if f.File != "" && f.Cluster == "" && !strings.HasPrefix(f.Message.String(), f.File) {
		file := f.File
		if f.Line > 0 {
			file = fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		parts = append(parts, file)
	}
	return untrusted.Line(strings.Join(parts, " "))
}

// withMore adds the number of further reasons, and cuts the first reason so that the
// result stays within limit bytes.
func withMore(words string, more, limit int) string {
	if more <= 0 {
		return words
	}
	suffix := fmt.Sprintf(" (+%d more)", more)
	return untrusted.Clean(words, limit-len(suffix)) + suffix
}

// pendingWords returns "12/13 synced, eu-3 unreachable 4m". Clusters that do not answer
// come before objects that are not ready.
func (s *summary) pendingWords() string {
	synced := 0
	for _, c := range s.report.Clusters {
		if s.members[c.Name] && c.Current && c.State == federation.ClusterReady {
			synced++
		}
	}
	head := fmt.Sprintf("%d/%d synced", synced, counted(s.report.Clusters))
	if synced == counted(s.report.Clusters) {
		if ready, desired := s.pods(); desired > 0 {
			head += fmt.Sprintf(", %d/%d ready", ready, desired)
		}
	}
	var early, late []string
	for _, w := range s.waits {
		switch {
		case w.early:
			early = append(early, w.words)
		case w.words != "":
			late = append(late, w.words)
		}
	}
	words := slices.Concat(early, late)
	if len(words) == 0 {
		return head
	}
	head += ", "
	return head + withMore(words[0], len(words)-1, wordsLimit-len(head))
}

// successWords returns "203.0.113.10 · 13/13 clusters · 26/26 ready".
func (s *summary) successWords() string {
	var parts []string
	if a := s.addressWords(); a != "" {
		parts = append(parts, a)
	}
	n := counted(s.report.Clusters)
	parts = append(parts, fmt.Sprintf("%d/%d clusters", n, n))
	if ready, desired := s.pods(); desired > 0 {
		parts = append(parts, fmt.Sprintf("%d/%d ready", ready, desired))
	}
	return strings.Join(parts, " · ")
}

// addressWords names one or two addresses and counts more. The address of most
// clusters comes first.
func (s *summary) addressWords() string {
	reporters := map[string]int{}
	for _, a := range s.report.Addresses {
		if b := s.balancer[a.Object]; b != nil && b.Address != "" && a.Address != untrusted.Line(b.Address) {
			continue // another controller's, next to ours
		}
		reporters[a.Address] += len(a.Clusters)
	}
	addresses := slices.SortedFunc(maps.Keys(reporters), func(a, b string) int {
		return cmp.Or(cmp.Compare(reporters[b], reporters[a]), strings.Compare(a, b))
	})
	if len(addresses) > 2 {
		return fmt.Sprintf("%s and %d more addresses", addresses[0], len(addresses)-1)
	}
	return strings.Join(addresses, ", ")
}

// pods adds up the pods of the clusters that count.
func (s *summary) pods() (ready, desired int64) {
	for _, c := range s.report.Clusters {
		if s.members[c.Name] {
			ready += c.Ready
			desired += c.Desired
		}
	}
	return ready, desired
}

// outcomes sets the state and the reason of each cluster that counts.
func (s *summary) outcomes() {
	failed := map[string][]federation.Finding{}
	for _, f := range failures(s.noted.findings, s.members) {
		failed[f.Cluster] = append(failed[f.Cluster], f)
	}
	waits := map[string][]wait{}
	for _, w := range s.waits {
		waits[w.finding.Cluster] = append(waits[w.finding.Cluster], w)
	}
	for i := range s.report.Clusters {
		c := &s.report.Clusters[i]
		if !s.members[c.Name] {
			continue
		}
		c.Outcome, c.Reason = s.outcome(*c, failed[c.Name], waits[c.Name])
	}
}

func (s *summary) outcome(c Cluster, failed []federation.Finding, waits []wait) (State, untrusted.Text) {
	if len(failed) > 0 {
		reason := strings.TrimPrefix(s.reason(failed[0]), c.Name+" ")
		return Failure, untrusted.New(withMore(reason, len(failed)-1, wordsLimit))
	}
	pending, words := !c.Current, []string{}
	for _, w := range waits {
		pending = true
		if w.words != "" {
			words = append(words, strings.TrimPrefix(w.words, c.Name+" "))
		}
	}
	switch {
	case len(words) > 0:
		return Pending, untrusted.New(withMore(words[0], len(words)-1, wordsLimit))
	case pending:
		return Pending, untrusted.Const("not synced yet")
	}
	done := "synced"
	if c.Desired > 0 {
		done = fmt.Sprintf("%d/%d ready", c.Ready, c.Desired)
	}
	if traffic := s.trafficOf(c.Name); traffic != "" {
		done += " · " + traffic
	}
	return Success, untrusted.New(done)
}
