package main

import (
	"bytes"
	"context"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// A pass is one run of go test.
type pass struct {
	dir       string // of the module
	race      bool
	run, skip string // as for go test; if empty, all tests run and none is skipped
	processes int    // packages that are tested, or built, at the same time
	options   []string
	packages  []string // and -args with the arguments of the tests
}

// arguments returns the arguments of the go command.
func (p pass) arguments() []string {
	args := []string{"test", "-json", "-p", strconv.Itoa(p.processes), "-parallel", strconv.Itoa(parallel())}
	if p.race {
		args = append(args, "-race")
	}
	if p.run != "" {
		args = append(args, "-run", p.run)
	}
	if p.skip != "" {
		args = append(args, "-skip", p.skip)
	}
	return slices.Concat(args, p.options, p.packages)
}

// parallel returns how many tests that call Parallel run at the same time in one package.
// Two packages have such tests, and each test has a daemon with the race detector: with
// more of them, what a test waits for comes too late.
func parallel() int { return runtime.GOMAXPROCS(0) }

// plan returns the passes to make, in order.
func plan(ctx context.Context, wanted tests) ([]pass, error) {
	usual := pass{dir: ".", race: true, run: wanted.run, processes: runtime.GOMAXPROCS(0), options: []string{"-timeout", wanted.timeout.String()}}
	if wanted.run != "" || slices.Contains(wanted.packages, "-args") {
		usual.packages = wanted.packages
		return []pass{usual}, nil
	}
	out, err := exec.CommandContext(ctx, "go", append([]string{"list"}, wanted.packages...)...).Output()
	if err != nil {
		return nil, err
	}
	var packages []string
	for line := range bytes.Lines(out) {
		packages = append(packages, strings.TrimSpace(string(line)))
	}
	passes := split(usual, packages)
	if len(wanted.packages) == 1 && wanted.packages[0] == "./..." {
		usual.dir, usual.packages = "sandbox", wanted.packages
		passes = append(passes, usual)
	}
	return passes, nil
}

const module = "github.com/fedsync/fedsync/"

// split divides the tests of packages into those with the race detector and those
// without.
func split(usual pass, packages []string) []pass {
	// The go command starts packages in the order in which they are given.
	slices.SortStableFunc(packages, func(a, b string) int { return rank(a) - rank(b) })
	raced, whole, some := usual, usual, usual
	whole.race, some.race = false, false
	for _, name := range packages {
		if _, computes := computing[strings.TrimPrefix(name, module)]; computes {
			whole.packages = append(whole.packages, name)
		} else {
			raced.packages = append(raced.packages, name)
		}
	}
	without, leave := namesOf(packages, apart), namesOf(packages, twice)
	some.packages = slices.DeleteFunc(slices.Clone(raced.packages), func(name string) bool {
		return len(namesOf([]string{name}, apart))+len(namesOf([]string{name}, twice)) == 0
	})
	raced.skip, some.run = exactly(without), exactly(slices.Concat(without, leave))
	return slices.DeleteFunc([]pass{raced, some, whole}, func(p pass) bool { return len(p.packages) == 0 })
}

// namesOf returns the names of the tests that are in one of the packages.
func namesOf(packages []string, parts []part) []string {
	var names []string
	for _, p := range parts {
		if slices.Contains(packages, module+p.path) {
			names = append(names, p.names...)
		}
	}
	return names
}

// exactly returns a regular expression that matches the names; it is empty for none.
func exactly(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// rank is lower for packages that take longer: they begin first, so that none runs alone
// at the end.
func rank(name string) int {
	i := slices.Index(longest, strings.TrimPrefix(name, module))
	if i < 0 {
		return len(longest)
	}
	return i
}

var longest = []string{"pkg/daemon", "cmd/fedsync", "pkg/apply", "pkg/watch", "pkg/facts", "pkg/render/worker", "pkg/source", "pkg/gcp/keeper"}
