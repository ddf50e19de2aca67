package status

import (
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Commit is one status of one commit, under one context.
type Commit struct {
	SHA         string // of the commit, in full
	Context     string // names the status among the commit's others: "fedsync/web"
	State       State
	Description string    // one line
	TargetURL   string    // where to read more; may be empty
	Time        time.Time // when it was posted; set by List, ignored by Post
	Cluster     string    // set for a status of a single cluster; the forge does not store it
	// Superseded reports that another revision took the commit's place. A forge that has
	// a word for this, as an inactive deployment, shows it instead of the state.
	Superseded bool
}

// Same reports whether two statuses show a reader the same.
func (c Commit) Same(o Commit) bool {
	c.Time, o.Time = time.Time{}, time.Time{}
	c.Cluster, o.Cluster = "", ""
	return c == o
}

// perClusterLimit is how many clusters may have a context of their own. More would spend
// a forge's rate limit on one push: GitHub accepts about 80 statuses a minute.
const perClusterLimit = 20

// Commits returns the statuses that a report's revision should have: one for the
// federation, and one for each cluster that counts, if fedsync.yaml enables these and
// there are at most 20. They have no target URL yet; the Poster adds it. A report without
// a revision has none.
func Commits(r Report, settings federation.CommitStatus) []Commit {
	if r.Revision.SHA == "" {
		return nil
	}
	context := settings.Context
	if context == "" {
		context = federation.DefaultStatusContext(r.Folder, r.Federation)
	}
	commits := []Commit{{SHA: r.Revision.SHA, Context: context, State: r.State, Description: r.Description.String()}}
	if !settings.PerCluster || counted(r.Clusters) > perClusterLimit {
		return commits
	}
	for _, c := range r.Clusters {
		if c.Outcome == "" {
			continue
		}
		commits = append(commits, Commit{
			SHA: r.Revision.SHA, Context: federation.ClusterStatusContext(context, c.Name), State: c.Outcome, Description: c.Reason.String(),
			Cluster: c.Name,
		})
	}
	return commits
}

// counted is the number of clusters that count for the state.
func counted(clusters []Cluster) int {
	n := 0
	for _, c := range clusters {
		if c.Targeted && !c.Lost {
			n++
		}
	}
	return n
}
