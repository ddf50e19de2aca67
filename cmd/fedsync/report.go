package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/tools/txtar"

	"github.com/fedsync/fedsync/internal/printer"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/daemon"
	"github.com/fedsync/fedsync/pkg/doctor"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
)

func newReport(environment []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write one file for support, without secrets; changes nothing",
		Long: `Examines everything once, as fedsync doctor does, and writes the result as one text:
the version, the settings, fedsync.yaml, the findings, the report of every cluster with
its version and state, the facts, and the decisions on node ports and replicas with their
reasons. Each part begins with a line "-- NAME --".

It contains no credentials, nothing from Secrets and no manifests. Read it before you send
it anyway: it contains names of clusters, objects and hosts.

Exit status 0 when the file was written, whatever it contains; 2 when it could not be.`,
		Example: `  fedsync report -o fedsync-report.txt
  fedsync report --repo https://forge.example/team/web.git --token-file token > report.txt`,
		Args: cobra.NoArgs,
	}
	cfg := settings(cmd, environment, config.Groups()...)
	quiet(cmd)
	output := cmd.Flags().StringP("output", "o", "", "file to write, readable only by its owner (default: standard output)")
	timeout := cmd.Flags().Duration("timeout", 15*time.Second, "how long to wait for the clusters' answers")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, err := newLog(cmd, cfg)
		if err != nil {
			return err
		}
		e, err := daemon.Examine(cmd.Context(), cfg, *timeout, log)
		if err != nil {
			return err
		}
		data, err := supportFile(cmd, cfg, e)
		if err != nil {
			return err
		}
		if *output == "" {
			_, err = printer.OnTerminal(cmd.OutOrStdout()).Write(data)
			return err
		}
		if err := writePrivate(*output, data); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "fedsync: wrote %s; read it before you send it\n", *output)
		return nil
	}
	return cmd
}

// writePrivate writes a new file that only its owner can read. It replaces a file of that
// name, which others may be able to read.
func writePrivate(name string, data []byte) error {
	if there, err := os.Stat(name); err == nil && !there.Mode().IsRegular() {
		return os.WriteFile(name, data, 0o600) // a pipe or a device is not replaced
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".fedsync-report-*") // with mode 0600
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: wrong.Op, Path: name, Err: wrong.Err} // with the name that the user gave
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// supportFile returns the content of the file for support.
func supportFile(cmd *cobra.Command, cfg *config.Config, e *doctor.Examination) ([]byte, error) {
	s := scrubber{secrets: untrusted.NewSecrets(config.Secrets(cfg, e.Plan, e.Snapshot.Files)...)}
	a := &txtar.Archive{Comment: fmt.Appendf(nil, "fedsync %s, %s %s/%s, %s\n\n", buildVersion(),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, time.Now().UTC().Format(time.RFC3339))}
	parts := []struct {
		name    string
		content any
	}{
		{"settings.json", givenSettings(cmd)},
		{"doctor.json", newDiagnosis(e)},
		{"decisions.json", newExplanation(e.Plan, nil, "")},
		{"withheld.json", withheld(e.Plan.Clusters)},
	}
	if c := e.Comparison; c != nil {
		facts, err := fedfile.FactsJSON(c.Facts)
		if err != nil {
			return nil, err
		}
		parts = append(parts, struct {
			name    string
			content any
		}{"facts.json", json.RawMessage(facts)}, struct {
			name    string
			content any
		}{"report.json", c.Report})
	}
	for _, p := range parts {
		data, err := s.json(p.content)
		if err != nil {
			return nil, fmt.Errorf("report: %s: %w", p.name, err)
		}
		a.Files = append(a.Files, txtar.File{Name: p.name, Data: data})
	}
	if e.Snapshot.Files != nil {
		if data, err := fs.ReadFile(e.Snapshot.Files, e.Snapshot.FederationFile()); err == nil { // a missing file is a finding
			a.Files = append(a.Files, txtar.File{Name: e.Snapshot.FederationFile(), Data: s.lines(data)})
		}
	}
	return txtar.Format(a), nil
}

// givenSettings returns the settings that differ from their defaults. Credentials are
// files, of which only the names are settings.
func givenSettings(cmd *cobra.Command) map[string]string {
	given := map[string]string{}
	table := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.New().Flags(table, config.Groups()...)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if table.Lookup(f.Name) != nil && f.Value.String() != f.DefValue {
			given[f.Name] = untrusted.URL(f.Value.String())
		}
	})
	return given
}

// scrubber removes secrets from texts.
type scrubber struct{ secrets *untrusted.Secrets }

// json returns a value as JSON with every text in it redacted.
func (s scrubber) json(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var content any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&content); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // it is not embedded in HTML, and is to be readable
	encoder.SetIndent("", "  ")
	err = encoder.Encode(s.clean(content))
	return b.Bytes(), err
}

func (s scrubber) clean(v any) any {
	switch v := v.(type) {
	case string:
		return s.secrets.Clean(v, untrusted.MaxText)
	case []any:
		for i := range v {
			v[i] = s.clean(v[i])
		}
	case map[string]any:
		for key := range v { // keys are the names of fields, apps and resources
			v[key] = s.clean(v[key])
		}
	}
	return v
}

// lines redacts a text line by line, and leaves the indentation.
func (s scrubber) lines(text []byte) []byte {
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		words := strings.TrimLeft(line, " ")
		lines[i] = line[:len(line)-len(words)] + s.secrets.Clean(words, untrusted.MaxText)
	}
	return []byte(strings.Join(lines, "\n"))
}
