package web

import (
	"fmt"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// minAbbreviation is how much of a SHA must be given, as Git prints it.
const minAbbreviation = 7

// found is the outcome of looking for a revision.
type found struct {
	report  *status.Report // nil when there is none
	current bool           // it is the newest report
	why     string         // there is none
	maybe   bool           // there may be one later
}

// find looks for the report on a revision by its SHA or the beginning of it.
func (s *server) find(sha string) found {
	sha = strings.ToLower(sha)
	if !isHex(sha) || len(sha) > 64 {
		return found{why: fmt.Sprintf("%q is no commit: want its SHA, or the first seven characters of it or more", untrusted.Shorten(sha, 80))}
	}
	if len(sha) < minAbbreviation {
		return found{why: fmt.Sprintf("%q is too short: want the first seven characters of a commit's SHA or more", sha)}
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
	distinct := map[string]bool{} // of all
	matches := map[string]bool{}  // of those that begin with sha
	for _, r := range kept {
		distinct[r.SHA] = true
		if strings.HasPrefix(strings.ToLower(r.SHA), sha) {
			matches[r.SHA] = true
		}
	}
	if len(matches) > 1 {
		return found{why: fmt.Sprintf("%d revisions begin with %s: give more of the SHA", len(matches), sha)}
	}
	for match := range matches {
		if newest != nil && newest.Revision.SHA == match {
			return found{report: newest, current: true}
		}
		if report, ok := s.opts.Revision(match); ok && report != nil {
			return found{report: report}
		}
	}
	return found{maybe: true, why: fmt.Sprintf("There is no report on %s. %s", sha, keptWords(len(distinct)))}
}

func keptWords(n int) string {
	const since = "only revisions that fedsync has synced since it started have one, and the oldest are dropped."
	switch n {
	case 0:
		return "No report is kept yet: " + since
	case 1:
		return "The report on 1 revision is kept: " + since
	}
	return fmt.Sprintf("The reports on %d revisions are kept: %s", n, since)
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == "" && s != ""
}
