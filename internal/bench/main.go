// Command bench measures fedsync on a federation of real clusters, from outside:
// it starts a sandbox, pushes to a repository and watches the clusters with clients
// of its own. What must never happen is tested in pkg/daemon.
//
// It takes flags, and writes a table with the median and the worst of every measurement
// and a verdict on each bar to standard output and to bench/. The exit status is 1 when a
// bar was missed. bench/README.md describes what is measured and how.
//
// Each measurement is a file of its own: render.go, push.go, drift.go, outage.go,
// restart.go, memory.go, relocation.go, guard.go, portwaiting.go, port.go,
// hundredports.go. They share the fleet (clusters, and clients of them), federations (a
// repository, and fedsync running on it; the guide is the one with the objects of the
// Federated Ingress guide), the sightings (what was seen in which cluster, and when) and
// the tally (what a ReplicaSet runs everywhere).
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fedsync/fedsync/internal/sleep"
	"github.com/fedsync/fedsync/pkg/render/worker"
)

func main() {
	worker.Serve() // if this is the rendering process
	o := options{}
	flag.Func("only", "measure these alone, separated by commas: "+strings.Join(names(), ", "), func(s string) error {
		o.only = strings.Split(s, ",")
		return checkNames(o.only)
	})
	flag.IntVar(&o.runs, "runs", 0, "how often each thing is measured, slow ones less often (default 20; 5 with -quick)")
	flag.IntVar(&o.clusters, "clusters", 13, "how many member clusters")
	flag.BoolVar(&o.quick, "quick", false, "few runs and short waits: shows that everything works; a missed bar is no failure, and nothing is written unless -out is given")
	flag.StringVar(&o.out, "out", "", "folder for results.md, results.json and new.txt (default: bench)")
	flag.StringVar(&o.fedsync, "fedsync", "", "measure this program (default: build bin/fedsync)")
	flag.StringVar(&o.keep, "keep", "", "folder for the logs of fedsync and the clusters, which stays")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the values of the flags.
type options struct {
	only     []string // empty for all
	runs     int
	clusters int
	quick    bool
	out      string // empty for the default, which with quick is no folder
	fedsync  string
	keep     string
}

// measurement is one measurement with its name.
type measurement struct {
	name string
	run  func(context.Context, *bench) ([]Row, error)
}

// measurements lists all of them in the order in which they run: those that need a quiet
// machine first, those that change the clusters most last.
func measurements() []measurement {
	return []measurement{
		{"render", measureRender},
		{"push", measurePush},
		{"drift", measureDrift},
		{"outage", measureOutage},
		{"restart", measureRestart},
		{"memory", measureMemory},
		{"relocation", measureRelocation},
		{"guard", measureGuard},
		{"port-waiting", measurePortWaiting},
		{"port", measurePort},
		{"hundred-ports", measureHundredPorts},
	}
}

func names() []string {
	var all []string
	for _, m := range measurements() {
		all = append(all, m.name)
	}
	return all
}

func checkNames(only []string) error {
	for _, name := range only {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("there is no %q", name)
		}
	}
	return nil
}

// bench is the state that measurements share.
type bench struct {
	options
	dir     string    // temporary
	version string    // of what is measured, for fedsync and the results
	log     io.Writer // progress messages

	fleet *fleet // the clusters; nil until they are needed
	guide *guide // the running federation; nil until it is needed
}

// run measures and reports.
func run(ctx context.Context, o options) (err error) {
	o.runs = cmp.Or(o.runs, map[bool]int{false: 20, true: 5}[o.quick])
	if o.clusters < 2 || o.runs < 1 {
		return errors.New("-clusters must be 2 or more, and -runs 1 or more")
	}
	if o.out == "" && !o.quick {
		o.out = "bench"
	}
	if _, err := os.Stat("cmd/fedsync"); err != nil {
		return errors.New("start this program at the root of the checkout: go run ./internal/bench")
	}
	dir, err := os.MkdirTemp("", "fedsync-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{options: o, dir: dir, log: os.Stderr}
	defer func() { err = errors.Join(err, b.close()) }()

	machine, err := describeMachine(ctx)
	if err != nil {
		return err
	}
	b.version = machine.Commit
	results := Results{Machine: machine}
	for _, m := range measurements() {
		if len(o.only) > 0 && !slices.Contains(o.only, m.name) {
			continue
		}
		b.tell("%s …", m.name)
		section, err := b.measure(ctx, m)
		if err != nil {
			return fmt.Errorf("measure %s: %w", m.name, err)
		}
		results.Sections = append(results.Sections, section)
		b.tell("%s took %v", m.name, section.Took)
	}
	return b.report(results)
}

// measure runs one measurement, and records what else the machine does during it.
func (b *bench) measure(ctx context.Context, m measurement) (Section, error) {
	s := Section{Name: m.name, Commit: b.version, Began: time.Now().UTC().Truncate(time.Second), Quick: b.quick}
	before, err := readProcessors()
	if err != nil {
		return s, err
	}
	if s.Rows, err = m.run(ctx, b); err != nil {
		return s, err
	}
	now, err := readProcessors()
	if err != nil {
		return s, err
	}
	s.Others = now.others(before)
	s.Took = Seconds(time.Since(s.Began).Round(time.Second).Seconds())
	return s, nil
}

// report prints the results, writes them to the output folder and reports
// whether a bar was missed.
func (b *bench) report(results Results) error {
	if err := results.Markdown(os.Stdout); err != nil {
		return err
	}
	if b.out != "" {
		if err := results.Keep(b.out); err != nil {
			return err
		}
		b.tell("written to %s", filepath.Join(b.out, "results.md"))
	}
	missed := results.Missed()
	switch {
	case len(missed) == 0:
		return nil
	case b.quick:
		b.tell("bars missed (ignored with -quick): %s", strings.Join(missed, "; "))
		return nil
	}
	return fmt.Errorf("bars missed: %s", strings.Join(missed, "; "))
}

// close stops what measurements started.
func (b *bench) close() error {
	var errs []error
	if b.guide != nil {
		errs = append(errs, b.guide.close())
	}
	if b.fleet != nil {
		b.fleet.close()
	}
	return errors.Join(errs...)
}

// tell reports progress.
func (b *bench) tell(format string, args ...any) {
	fmt.Fprintf(b.log, "bench: "+format+"\n", args...)
}

// some returns how many times something slow is measured: a fraction of the usual number,
// but at least one time.
func (b *bench) some(of int) int { return max(1, b.runs/of) }

// span returns how long the clusters are left alone when memory is measured.
func (b *bench) span() time.Duration {
	if b.quick {
		return 2 * time.Minute
	}
	return 10 * time.Minute
}

// wait polls until the condition is true. The condition also returns what it saw last,
// for the error.
func wait(ctx context.Context, limit, interval time.Duration, what string, so func(context.Context) (bool, string)) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		done, last := so(limited)
		if done {
			return nil
		}
		if sleep.For(limited, interval) != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%s: not within %s; last: %s", what, limit, last)
		}
	}
}
