package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Results are the figures of one machine. The measurements may come from several runs of
// this program: each has its own commit and time.
type Results struct {
	Machine  Machine   `json:"machine"`
	Sections []Section `json:"sections"` // in the order of measurements
}

// Section is one measurement.
type Section struct {
	Name   string    `json:"name"`
	Commit string    `json:"commit"`
	Began  time.Time `json:"began"`
	Took   Seconds   `json:"took"`
	Others float64   `json:"others"` // the share of the processors that other programs used during it
	Quick  bool      `json:"quick,omitempty"`
	Rows   []Row     `json:"rows"`
}

// Seconds is a duration that is readable in JSON.
type Seconds float64

func (s Seconds) String() string { return time.Duration(float64(s) * float64(time.Second)).String() }

// Missed returns the bars that were not met.
func (r Results) Missed() []string {
	var missed []string
	for _, s := range r.Sections {
		for _, row := range s.Rows {
			for _, bar := range row.Bars {
				if !bar.Met() {
					missed = append(missed, fmt.Sprintf("%s: %s: %s %s > %s", s.Name, row.What, bar.Figure, number(bar.Got, bar.Unit), number(bar.Limit, bar.Unit)))
				}
			}
		}
	}
	return missed
}

// Markdown returns the results in a form for readers.
func (r Results) Markdown(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Measured\n\nOn %s. `make bench` writes this file; README.md says what is measured and how.\n", r.Machine)
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "\n## %s\n\nCommit %s, %s, took %s; somebody else used %.0f %% of the processors meanwhile.%s\n\n",
			s.Name, s.Commit, s.Began.Format("2006-01-02 15:04 MST"), s.Took, 100*s.Others, caution(s))
		b.WriteString("| what | runs | median | worst | verdict |\n|---|---|---|---|---|\n")
		for _, row := range s.Rows {
			verdicts := make([]string, len(row.Bars))
			for i, bar := range row.Bars {
				verdicts[i] = bar.String()
			}
			fmt.Fprintf(&b, "| %s | %d %s | %s | %s | %s |\n", row.What, len(row.Values), row.Of,
				number(row.Median(), row.Unit), number(row.Worst(), row.Unit), strings.Join(verdicts, "<br>"))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// tolerable is the share of the processors that other programs may use during a
// measurement.
const tolerable = 0.1

// caution explains why figures cannot be trusted.
func caution(s Section) string {
	var why string
	if s.Quick {
		why += " **Few runs and short waits: shows that it works, no more.**"
	}
	if s.Others > tolerable {
		why += " **The machine was busy with something else: these figures are no verdict.**"
	}
	return why
}

// benchmarks returns every value in the form that benchstat reads.
func (r Results) benchmarks(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\ncpu: %s\n", r.Machine.OS, r.Machine.Arch, r.Machine.CPU)
	for _, s := range r.Sections {
		for _, row := range s.Rows {
			name := strings.Map(func(c rune) rune {
				if strings.ContainsRune(" \t|", c) {
					return '_'
				}
				return c
			}, row.What)
			for _, v := range row.Values {
				fmt.Fprintf(&b, "Benchmark/%s/%s 1 %v %s\n", s.Name, name, v, strings.ReplaceAll(row.Unit, " ", "_"))
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Keep writes the results into dir: results.md for readers, results.json with every value,
// new.txt for benchstat. Measurements of an earlier run on this machine remain unless this
// run repeated them.
func (r Results) Keep(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, "results.json")
	before, err := readResults(file)
	if err != nil {
		return err
	}
	r = r.with(before)
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	var people, benchstat bytes.Buffer
	if err := errors.Join(r.Markdown(&people), r.benchmarks(&benchstat)); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		file:                             append(data, '\n'),
		filepath.Join(dir, "results.md"): people.Bytes(),
		filepath.Join(dir, "new.txt"):    benchstat.Bytes(),
	} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func readResults(file string) (Results, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Results{}, nil
	}
	if err != nil {
		return Results{}, err
	}
	var r Results
	if err := json.Unmarshal(data, &r); err != nil {
		return Results{}, fmt.Errorf("read %s: %w: remove it to start over", file, err)
	}
	return r, nil
}

// with adds the sections of earlier results that these results lack, if they are of the
// same machine.
func (r Results) with(before Results) Results {
	if !r.Machine.same(before.Machine) {
		return r
	}
	byName := map[string]Section{}
	for _, s := range slices.Concat(before.Sections, r.Sections) {
		byName[s.Name] = s
	}
	r.Sections = nil
	for _, name := range names() {
		if s, ok := byName[name]; ok {
			r.Sections = append(r.Sections, s)
		}
	}
	return r
}
