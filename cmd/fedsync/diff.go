package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/internal/fields"
	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/status"
)

func newDiff(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Print what an apply would change in every cluster; changes nothing",
		Long: `Asks every member cluster for a dry run of an apply of the revision, and prints each
object that would change: whether it would be created, configured, adopted (it exists and
is not fedsync's yet) or pruned, and the fields with their values before and after.
Changes that are equal in several clusters are printed once, with the names of the
clusters. The content of a Secret is never shown, only that it would change.

If fedsync maintains load balancers on Google Cloud, the changes that it would make there
follow, in order.

Only commits are compared: changes that are not committed are named on standard
error. A controller's own changes, such as a status, do not count as a difference.

Exit status 0 when nothing would change, 1 when something would or when a cluster or Compute
Engine could not be compared, 2 when no cluster answers.`,
		Example: `  fedsync diff
  fedsync diff --revision new-ports --repo https://forge.example/team/web.git
  fedsync diff -o json | jq '.differences[].object'`,
		Args: cobra.NoArgs,
	}
	q := newClusterQuery(cmd, environment, 30*time.Second, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := q.compare(cmd, "compared")
		if err != nil {
			return err
		}
		d := newDiffReport(c)
		if q.json() {
			err = printer.JSON(cmd.OutOrStdout(), d)
		} else {
			d.write(printer.Plain(cmd.OutOrStdout()))
		}
		if err == nil && !d.equal() {
			err = printer.ErrNo
		}
		return err
	}
	return cmd
}

// diffReport is the output of `fedsync diff`, in the form of its JSON.
type diffReport struct {
	Federation  string               `json:"federation"`
	Revision    federation.Revision  `json:"revision"`
	Differences []objectDiff         `json:"differences"`
	Clusters    []clusterDiff        `json:"clusters"`
	Cloud       *cloudDiff           `json:"cloud,omitempty"` // nil if fedsync maintains no load balancers
	Findings    []federation.Finding `json:"findings"`
}

// objectDiff is what would happen to one object, the same in some clusters.
type objectDiff struct {
	Action   string               `json:"action"` // create, configure, adopt, prune or fail
	Object   federation.ObjectRef `json:"object"`
	App      string               `json:"app"`
	File     string               `json:"file,omitempty"`
	Clusters []string             `json:"clusters"` // in the order of fedsync.yaml
	Fields   []fields.Difference  `json:"fields,omitempty"`
	Error    string               `json:"error,omitempty"` // why it cannot be done
}

// clusterDiff is whether a cluster was compared.
type clusterDiff struct {
	Name     string                  `json:"name"`
	Compared bool                    `json:"compared"`
	State    federation.ClusterState `json:"state"`
	Error    string                  `json:"error,omitempty"`
}

func newDiffReport(c *preview.Comparison) *diffReport {
	d := &diffReport{
		Federation:  c.Report.Federation,
		Revision:    c.Report.Revision,
		Differences: []objectDiff{},
		Clusters:    make([]clusterDiff, len(c.Report.Clusters)),
		Cloud:       newCloudDiff(c.Report.Cloud),
		Findings:    []federation.Finding{},
	}
	d.Findings = append(d.Findings, c.Findings...)
	slices.SortStableFunc(d.Findings, federation.Finding.Compare)
	for i, cluster := range c.Report.Clusters {
		differences, compared := c.Differences[cluster.Name]
		d.Clusters[i] = clusterDiff{Name: cluster.Name, Compared: compared, State: cluster.State, Error: whyNot(cluster, compared)}
		for _, one := range differences {
			d.add(cluster.Name, one)
		}
	}
	slices.SortStableFunc(d.Differences, func(a, b objectDiff) int {
		return cmp.Or(strings.Compare(a.App, b.App), a.Object.Compare(b.Object))
	})
	return d
}

// whyNot returns why a cluster was not compared.
func whyNot(c status.Cluster, compared bool) string {
	switch {
	case compared:
		return ""
	case !c.Error.IsZero():
		return strings.TrimPrefix(string(c.Failure)+": "+c.Error.String(), ": ")
	}
	return "no answer in time"
}

// add adds a cluster's difference to the same difference in other clusters.
func (d *diffReport) add(cluster string, one apply.Difference) {
	next := objectDiff{
		Action: verb(one.Action), Object: one.Object, App: one.App, File: one.File, Clusters: []string{cluster}, Fields: one.Fields,
	}
	if one.Err != nil {
		next.Error = one.Err.Error()
	}
	for i := range d.Differences {
		if d.Differences[i].like(next) {
			d.Differences[i].Clusters = append(d.Differences[i].Clusters, cluster)
			return
		}
	}
	d.Differences = append(d.Differences, next)
}

// like reports whether two differences are the same except for their clusters.
func (o objectDiff) like(other objectDiff) bool {
	return o.Action == other.Action && o.Object == other.Object && o.App == other.App && o.File == other.File &&
		o.Error == other.Error && slices.Equal(o.Fields, other.Fields)
}

// verb returns what would be done, whereas an Action is what was done.
func verb(a federation.Action) string {
	switch a {
	case federation.ActionCreated:
		return "create"
	case federation.ActionConfigured:
		return "configure"
	case federation.ActionAdopted:
		return "adopt"
	case federation.ActionPruned:
		return "prune"
	case federation.ActionUnchanged:
		return "keep"
	case federation.ActionFailed:
		return "fail"
	}
	return string(a)
}

// equal reports whether everything was compared, nothing would change and no finding is
// an error.
func (d *diffReport) equal() bool {
	return len(d.Differences) == 0 && d.Cloud.equal() &&
		!slices.ContainsFunc(d.Clusters, func(c clusterDiff) bool { return !c.Compared }) &&
		!slices.ContainsFunc(d.Findings, func(f federation.Finding) bool { return f.Severity == federation.SeverityError })
}

func (d *diffReport) write(w io.Writer) {
	fmt.Fprintf(w, "%s  %s  %s\n", d.Federation, d.Revision, d.summary())
	for _, c := range d.Clusters {
		if !c.Compared {
			fmt.Fprintf(w, "not compared: %s  %s  %s\n", c.Name, c.State, printer.Indented(c.Error, "  "))
		}
	}
	for _, o := range d.Differences {
		fmt.Fprintf(w, "\n%-9s  %s", o.Action, o.Object)
		if o.File != "" {
			fmt.Fprintf(w, "  %s", o.File)
		}
		fmt.Fprintf(w, "\n           in %s\n", d.where(o.Clusters))
		if o.Error != "" {
			fmt.Fprintf(w, "  ! %s\n", printer.Indented(o.Error, "    "))
		}
		for _, f := range o.Fields {
			writeField(w, f)
		}
	}
	d.Cloud.write(w)
	if len(d.Findings) > 0 {
		fmt.Fprintln(w)
		_ = printer.Findings(w, d.Findings) // equal decides the exit status
	}
}

// writeField prints a field on one line, or on two when it changes. Of a text with
// several lines, such as a file in a ConfigMap, it prints the lines that change.
func writeField(w io.Writer, f fields.Difference) {
	before, wasText := f.Before.Lines()
	after, isText := f.After.Lines()
	if wasText && isText {
		changed := diff.Diff("before", []byte(before), "after", []byte(after))
		for range 3 { // the names
			_, changed, _ = bytes.Cut(changed, []byte("\n"))
		}
		fmt.Fprintf(w, "  ~ %s:\n    %s\n", f.Path, printer.Indented(string(changed), "    "))
		return
	}
	if f.Before != "" {
		fmt.Fprintf(w, "  - %s: %s\n", f.Path, shown(f.Before))
	}
	if f.After != "" {
		fmt.Fprintf(w, "  + %s: %s\n", f.Path, shown(f.After))
	}
}

// shown returns a value as it is printed: a text of several lines as a YAML block.
func shown(v fields.Value) string {
	text, ok := v.Lines()
	if !ok {
		return string(v)
	}
	return "|\n      " + printer.Indented(text, "      ")
}

// summary returns "1 to create, 2 to configure in 3 of 3 clusters".
func (d *diffReport) summary() string {
	compared, differ := 0, map[string]bool{}
	for _, c := range d.Clusters {
		if c.Compared {
			compared++
		}
	}
	objects := map[string]map[federation.ObjectRef]bool{}
	for _, o := range d.Differences {
		if objects[o.Action] == nil {
			objects[o.Action] = map[federation.ObjectRef]bool{}
		}
		objects[o.Action][o.Object] = true
		for _, c := range o.Clusters {
			differ[c] = true
		}
	}
	if len(differ) == 0 {
		return fmt.Sprintf("no difference in %d of %d clusters", compared, len(d.Clusters))
	}
	var parts []string
	for _, action := range []string{"create", "configure", "adopt", "prune", "fail"} {
		if n := len(objects[action]); n > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n, action))
		}
	}
	return fmt.Sprintf("%s in %d of %d clusters", strings.Join(parts, ", "), len(differ), len(d.Clusters))
}

func (d *diffReport) where(clusters []string) string {
	if n := len(d.Clusters); n > 1 && len(clusters) == n {
		return fmt.Sprintf("all %d clusters", n)
	}
	return strings.Join(clusters, ", ")
}
