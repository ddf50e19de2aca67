package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/daemon"
	"github.com/fedsync/fedsync/pkg/doctor"
	"github.com/fedsync/fedsync/pkg/federation"
)

func newDoctor(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong, where, and what to do about it; changes nothing",
		Long: `Examines everything once: the settings, the kubeconfig, the repository and its
fedsync.yaml, the rendering, and in every member cluster its state, fedsync's permissions,
node ports, replicas, Ingresses and what they need. It prints each finding with its id,
the object and what is wrong, with the observed values, and below it, after an arrow, what
to do.

It needs no running daemon and changes nothing. Anything that is broken is a finding, even
a repository that cannot be read, and everything else is still examined. The ids are
explained in the documentation.

Exit status 0 when no finding is an error, 1 when one is, 2 when nothing could be examined
(usage, settings).`,
		Example: `  fedsync doctor
  fedsync doctor --kubeconfig clusters.kubeconfig --repo https://forge.example/team/web.git --token-file token
  fedsync doctor -o json | jq '.findings[] | select(.severity == "E")'`,
		Args: cobra.NoArgs,
	}
	cfg := settings(cmd, environment, config.GroupRepository, config.GroupPolicy, config.GroupClusters, config.GroupCloud, config.GroupLog)
	quiet(cmd)
	output := cmd.Flags().StringP("output", "o", "text", "text or json")
	timeout := cmd.Flags().Duration("timeout", 15*time.Second, "how long to wait for the clusters' answers")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := printer.CheckFormat(*output, "text", "json"); err != nil {
			return err
		}
		log, err := newLog(cmd, cfg)
		if err != nil {
			return err
		}
		e, err := daemon.Examine(cmd.Context(), cfg, *timeout, log)
		if err != nil {
			return err
		}
		printer.Uncommitted(cmd.ErrOrStderr(), e.Uncommitted, "examined")
		d := newDiagnosis(e)
		if *output == "json" {
			err = printer.JSON(cmd.OutOrStdout(), d)
		} else {
			d.write(printer.Plain(cmd.OutOrStdout()))
		}
		if err == nil && d.Errors > 0 {
			err = printer.ErrNo
		}
		return err
	}
	return cmd
}

// diagnosis is the output of doctor, in the form of its JSON.
type diagnosis struct {
	Federation string               `json:"federation,omitempty"`
	Repository string               `json:"repository"`
	Revision   federation.Revision  `json:"revision,omitzero"`
	Checked    checked              `json:"checked"`
	Errors     int                  `json:"errors"`
	Warnings   int                  `json:"warnings"`
	Findings   []federation.Finding `json:"findings"` // errors first
}

// checked counts what was examined.
type checked struct {
	Clusters    int `json:"clusters"`    // in the federation
	Answering   int `json:"answering"`   // clusters that answer
	Permissions int `json:"permissions"` // clusters whose permissions are known
	Apps        int `json:"apps"`
	Objects     int `json:"objects"` // rendered, in all clusters together
}

func newDiagnosis(e *doctor.Examination) diagnosis {
	d := diagnosis{
		Repository: e.Repository,
		Revision:   e.Snapshot.Revision,
		Findings:   append([]federation.Finding{}, e.Findings...),
	}
	if e.Federation != nil {
		d.Federation = e.Federation.Name
		d.Checked.Clusters, d.Checked.Apps = len(e.Federation.Clusters), len(e.Federation.Apps)
	}
	if e.Comparison != nil {
		for _, c := range e.Comparison.Report.Clusters {
			if c.State == federation.ClusterReady {
				d.Checked.Answering++
			}
		}
	}
	d.Checked.Permissions = e.Permitted
	for _, p := range e.Plan.Clusters {
		for _, app := range p.Apps {
			d.Checked.Objects += len(app.Objects)
		}
	}
	for _, f := range d.Findings {
		switch f.Severity {
		case federation.SeverityError:
			d.Errors += f.Stands()
		case federation.SeverityWarning:
			d.Warnings += f.Stands()
		case federation.SeverityNote:
		}
	}
	return d
}

// write prints the findings by severity and cluster, in their order.
func (d diagnosis) write(w io.Writer) {
	if d.Federation == "" {
		fmt.Fprintln(w, d.Repository)
	} else {
		fmt.Fprintf(w, "%s  %s\n", d.Federation, d.Revision)
	}
	var severity federation.Severity
	cluster := "\x00" // not a cluster's name
	for _, f := range d.Findings {
		if f.Severity != severity {
			severity, cluster = f.Severity, "\x00"
			fmt.Fprintf(w, "\n%s\n", heading(severity))
		}
		if f.Cluster != cluster {
			cluster = f.Cluster
			where := cluster
			if where == "" {
				where = "everywhere"
			}
			fmt.Fprintf(w, "  %s\n", where)
		}
		f.Cluster = "" // it is in the heading
		const margin = "          "
		fmt.Fprintf(w, "    %-5s %s\n", f.ID, printer.Indented(f.String(), margin))
		if !f.Remedy.IsZero() {
			fmt.Fprintf(w, margin+"→ %s\n", printer.Indented(f.Remedy.String(), margin+"  "))
		}
	}
	if len(d.Findings) > 0 {
		fmt.Fprintf(w, "\n%s, %s\n", count(d.Errors, "error"), count(d.Warnings, "warning"))
		return
	}
	fmt.Fprintf(w, "nothing is wrong: %d of %s answer, permissions checked in %d, %s rendered of %s\n", d.Checked.Answering,
		count(d.Checked.Clusters, "cluster"), d.Checked.Permissions, count(d.Checked.Objects, "object"), count(d.Checked.Apps, "app"))
}

func heading(s federation.Severity) string {
	switch s {
	case federation.SeverityError:
		return "ERRORS"
	case federation.SeverityWarning:
		return "WARNINGS"
	case federation.SeverityNote:
		return "NOTES"
	}
	return string(s)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
