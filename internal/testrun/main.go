// Command testrun runs all tests on one sandbox.
//
// It starts real clusters and a real forge one time and names them in
// FEDSYNC_TEST_SANDBOX. It then runs `go test -race` for every module; tests that compute
// in one goroutine run without the race detector. It prints a line for each package, and
// the whole output of what failed. A skipped test fails the run: what is not tested is
// not known to work.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
)

func main() {
	run := flag.String("run", "", "run only the tests that match, as go test -run does")
	timeout := flag.Duration("timeout", 45*time.Minute, "how long the tests of a package may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := runAll(ctx, tests{run: *run, timeout: *timeout, packages: flag.Args()})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(1)
	}
}

// runAll runs the tests of packages of the main module. If the packages are ./..., it
// also runs the tests of the sandbox's module.
func runAll(ctx context.Context, wanted tests) error {
	passes, err := plan(ctx, wanted)
	if err != nil {
		return fmt.Errorf("find the packages: %w", err)
	}
	box, err := lab.Start(ctx, 3, lab.WithForge())
	if err != nil {
		return err
	}
	defer box.Stop()

	var t tally
	began := time.Now()
	err = t.testAll(ctx, passes, box)
	if wanted.run == "" {
		t.longest()
	}
	//nolint:forbidigo // The answer of this program.
	fmt.Printf("%d passed, %d failed, %d skipped in %s, with %s of processor time\n",
		t.passed, t.failed, t.skipped, time.Since(began).Round(time.Second), t.processor.Round(time.Second))
	switch {
	case err != nil:
		return err
	case t.skipped > 0:
		return fmt.Errorf("%d tests were skipped: %s", t.skipped, strings.Join(t.names, ", "))
	case t.passed == 0:
		return errors.New("no test ran")
	}
	return nil
}

// tests selects the tests to run.
type tests struct {
	run      string // as for go test; empty for all
	timeout  time.Duration
	packages []string // and -args with the arguments of the tests
}

// tally adds up the tests.
type tally struct {
	passed, failed, skipped int
	names                   []string      // of the skipped tests
	processor               time.Duration // processor time of all tests, without the sandbox
	times                   []timed       // of each test that is not a subtest
}

// timed is how long a test took.
type timed struct {
	name  string
	took  float64 // seconds
	raced bool
}

// mostTimes is how many of the slowest tests are printed.
const mostTimes = 40

// longest prints the slowest tests, which are worth making faster.
func (t *tally) longest() {
	slices.SortFunc(t.times, func(a, b timed) int { return cmp.Compare(b.took, a.took) })
	for _, its := range t.times[:min(len(t.times), mostTimes)] {
		fmt.Printf("%6.1fs  %s%s\n", its.took, its.name, howTested(its.raced)) //nolint:forbidigo // The answer of this program.
	}
}

func howTested(race bool) string {
	if race {
		return ""
	}
	return ", without the race detector"
}

// event is one line of `go test -json` (cmd/test2json documents it).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// testAll makes one pass after the other, and continues after a failed one. Concurrent
// passes would take processor time from what tests wait for.
func (t *tally) testAll(ctx context.Context, passes []pass, box *lab.Sandbox) error {
	var all error
	for _, p := range passes {
		all = errors.Join(all, t.test(ctx, p, box))
	}
	return all
}

func (t *tally) test(ctx context.Context, p pass, box *lab.Sandbox) error {
	cmd := exec.CommandContext(ctx, "go", p.arguments()...)
	cmd.Dir, cmd.Stderr, cmd.Env = p.dir, os.Stderr, os.Environ()
	if p.dir == "." {
		cmd.Env = append(cmd.Env, lab.Variable+"="+filepath.Join(box.Description().Dir, "sandbox.json"))
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := t.read(stdout, p.race); err != nil {
		return fmt.Errorf("read the results: %w", err)
	}
	err = cmd.Wait()
	t.processor += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err != nil {
		return fmt.Errorf("go test in %s: %w", p.dir, err)
	}
	return nil
}

// read prints the events of interest and counts the tests.
func (t *tally) read(r io.Reader, race bool) error {
	output := map[[2]string]*strings.Builder{} // by package and test
	decoder := json.NewDecoder(r)
	for {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		key := [2]string{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			fmt.Print(e.Output) //nolint:forbidigo // The answer of this program.
		case "output":
			if output[key] == nil {
				output[key] = &strings.Builder{}
			}
			output[key].WriteString(e.Output)
		case "pass", "fail", "skip":
			t.end(e, race, output[key])
			delete(output, key)
		}
	}
}

func (t *tally) end(e event, race bool, output *strings.Builder) {
	if e.Test == "" && e.Action == "skip" {
		return // a package without tests
	}
	if e.Test == "" {
		fmt.Printf("%-4s  %s  %.1fs%s\n", e.Action, e.Package, e.Elapsed, howTested(race)) //nolint:forbidigo // The answer of this program.
		if e.Action == "fail" && output != nil {
			fmt.Print(output.String()) //nolint:forbidigo // The answer of this program.
		}
		return
	}
	if !strings.Contains(e.Test, "/") {
		t.times = append(t.times, timed{name: strings.TrimPrefix(e.Package, module) + " " + e.Test, took: e.Elapsed, raced: race})
	}
	switch e.Action {
	case "pass":
		t.passed++
	case "skip":
		t.skipped++
		t.names = append(t.names, e.Package+"."+e.Test)
	case "fail":
		t.failed++
		fmt.Printf("--- %s %s\n%s", e.Package, e.Test, output) //nolint:forbidigo // The answer of this program.
	}
}
