package web

import (
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// minAbbreviation is the least length of an abbreviated SHA: Git prints as much.
const minAbbreviation = 7

// found is the result of a search for a revision.
type found struct {
	report  *status.Report // nil for none
	current bool           // it is the newest report
	why     string         // why there is none
	maybe   bool           // there may be one later
}

// find returns the report on a revision by its SHA or a prefix of it.
func (s *server) find(sha string) found {
	sha = strings.ToLower(sha)
	if !isHex(sha) || len(sha) > 64 {
		return found{why: fmt.Sprintf("%q is not a commit: use its SHA, or at least the first seven characters of it", untrusted.Shorten(sha, 80))}
	}
	if len(sha) < minAbbreviation {
		return found{why: fmt.Sprintf("%q is too short: use at least the first seven characters of a commit's SHA", sha)}
	}
	newest := s.opts.Report()
	if newest != nil && strings.EqualFold(newest.Revision.SHA, sha) {
		return found{report: newest, current: true}
	}
	if report, ok := s.opts.Revision(sha); ok && report != nil {
		return found{report: report}
	}
	return s.findByPrefix(sha, newest)
}

func (s *server) findByPrefix(sha string, newest *status.Report) found {
	kept := s.opts.Revisions()
	if newest != nil {
		kept = append([]federation.Revision{newest.Revision}, kept...)
	}
	distinct := map[string]bool{} // all SHAs
	matches := map[string]bool{}  // those that begin with sha
	for _, r := range kept {
		distinct[r.SHA] = true
		if strings.HasPrefix(strings.ToLower(r.SHA), sha) {
			matches[r.SHA] = true
		}
	}
	if len(matches) > 1 {
		return found{why: fmt.Sprintf("%d revisions begin with %s: use more characters of the SHA", len(matches), sha)}
	}
	for match := range matches {
		if newest != nil && newest.Revision.SHA == match {
			return found{report: newest, current: true}
		}
		if report, ok := s.opts.Revision(match); ok && report != nil {
			return found{report: report}
		}
	}
	return found{maybe: true, why: fmt.Sprintf("There is no report on %s. %s", sha, retainedWords(len(distinct)))}
}

func retainedWords(n int) string {
	const since = "only revisions that fedsync has synced since it started have one, and the oldest are dropped."
	switch n {
	case 0:
		return "There are no reports yet: " + since
	case 1:
		return "There is a report on 1 revision: " + since
	}
	return fmt.Sprintf("There are reports on %d revisions: %s", n, since)
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == "" && s != ""
}
